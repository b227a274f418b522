#include "TestCGForce.h"

Platform* platform;
const double TOL = 1e-9;

void runPlatformTests() {
    platform = &Platform::getPlatformByName("Reference");
}
