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
    if (arguments.at(0) == "single")
        farAway = 2;
}

/** One model is evaluated on one device. */
static void testSeveralDevices() {
    Setup setup(3, false, 61);
    VerletIntegrator integrator(0.001);
    assertFails([&] { Context context(setup.system, integrator, *platform, {{"DeviceIndex", "0,0"}}); },
                "Set DeviceIndex to a single index");
}

static void testInfo() {
    Setup setup(3, false, 61);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    context.getState(State::Energy);
    auto info = setup.force->getContextInfo(context);
    ASSERT_EQUAL(pairListProperty, info["pair_list"]);
    ASSERT(info["precision"] == (TOL < 1e-6 ? "double" : "single"));
    ASSERT(stoi(info["pairs"]) > 0 && stoi(info["candidates"]) >= stoi(info["pairs"]));
}

void runPlatformTests() {
    testSeveralDevices();
    testInfo();
}
