// Arguments: the precision, single, mixed or double, and whether CUDA graphs are on or off.

#include "TestCGForce.h"

const int SKIPPED = 77;

static bool hasDevice() {
    try {
        platform = &Platform::getPlatformByName("CUDA");
        return !platform->getDevices().empty();
    }
    catch (const OpenMMException&) {
        return false;
    }
}

void choosePlatform(const vector<string>& arguments) {
    if (!hasDevice()) {
        cout << "Skipped: OpenMM finds no CUDA device." << endl;
        exit(SKIPPED);
    }
    platform->setPropertyDefaultValue("Precision", arguments.at(0));
    cudaGraphsProperty = arguments.at(1);
    TOL = arguments.at(0) == "double" ? 1e-9 : 2e-5;
    if (arguments.at(0) == "single")
        farAway = 2;
}

/** Evaluations by recording, before and after it, are the same, and the list may outgrow it. */
static void testGraphs() {
    Setup setup(40, true, 71);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    for (int step = 0; step < 12; step++) {
        // Beads that come closer have more pairs.
        double scale = step < 6 ? 1 : 0.5;
        vector<Vec3> positions = setup.positions;
        for (Vec3& position : positions)
            position *= scale;
        context.setPositions(positions);
        ASSERT_EQUAL_TOL(setup.expectedEnergy(positions), context.getState(State::Energy).getPotentialEnergy(), TOL);
    }
    auto info = setup.force->getContextInfo(context);
    ASSERT_EQUAL(cudaGraphsProperty, info["cuda_graphs"]);
    ASSERT_EQUAL(string("device"), info["pair_list"]);
}

static void testRefusals() {
    Setup setup(4, false, 73);
    VerletIntegrator integrator1(0.001), integrator2(0.001);
    setup.force->setProperty("runner", "native");
    assertFails([&] { Context context(setup.system, integrator1, *platform); }, "the runner 'native' runs on CPUs");
    setup.force->setProperty("runner", "auto");
    setup.force->setProperty("pairList", "host");
    assertFails([&] { Context context(setup.system, integrator2, *platform); }, "finds pairs on the device");
}

void runPlatformTests() {
    testGraphs();
    testRefusals();
}
