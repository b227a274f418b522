// Arguments: the precision, single, mixed or double, and where pairs are found, host or device.

#include "TestCGForce.h"

const int SKIPPED = 77;

static string openCLPlatformName() {
    System system;
    system.addParticle(1.0);
    VerletIntegrator integrator(0.001);
    Context context(system, integrator, *platform);
    return platform->getPropertyValue(context, "OpenCLPlatformName");
}

void choosePlatform(const vector<string>& arguments) {
    bool isPresent = false;
    for (int i = 0; i < Platform::getNumPlatforms(); i++)
        isPresent |= Platform::getPlatform(i).getName() == "OpenCL";
    if (!isPresent) {
        cout << "Skipped: OpenMM finds no OpenCL device." << endl;
        exit(SKIPPED);
    }
    platform = &Platform::getPlatformByName("OpenCL");
    platform->setPropertyDefaultValue("Precision", arguments.at(0));
    pairListProperty = arguments.at(1);
    // OpenMM's own kernels for minimisation crash on PoCL 3.1, with any Force.
    minimizerWorks = openCLPlatformName().find("Portable Computing Language") == string::npos;
    TOL = arguments.at(0) == "double" ? 1e-9 : 2e-5;
}

void runPlatformTests() {}
