#include "TestCGForce.h"

void choosePlatform(const vector<string>&) {
    platform = &Platform::getPlatformByName("CPU");
    TOL = 2e-5;
}

/** The property overrules the platform's own precision. */
static void testDoublePrecision() {
    Setup setup(20, true, 67);
    setup.force->setProperty("precision", "double");
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(), 1e-9);
    ASSERT_EQUAL(string("double"), setup.force->getContextInfo(context)["precision"]);
}

void runPlatformTests() {
    testDoublePrecision();
}
