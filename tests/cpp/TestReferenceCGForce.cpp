#include "TestCGForce.h"

void choosePlatform(const vector<string>&) {
    platform = &Platform::getPlatformByName("Reference");
    TOL = 1e-9;
}

void runPlatformTests() {}
