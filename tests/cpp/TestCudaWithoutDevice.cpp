// The plugin for CUDA on a machine without a GPU: it can be loaded, and a Context says in one sentence what is missing.
// It runs with a driver that finds no device: see FakeCudaDriver.cpp.

#include "openmm/Context.h"
#include "openmm/OpenMMException.h"
#include "openmm/System.h"
#include "openmm/VerletIntegrator.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/CGForce.h"
#include <iostream>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static void testLoading() {
    for (const string& failure : Platform::getPluginLoadFailures())
        if (failure.find("CUDA") != string::npos)
            throwException(__FILE__, __LINE__, failure);
    Platform& cuda = Platform::getPlatformByName("CUDA");
    // The plugin has taken part: no other knows this kernel.
    ASSERT(cuda.supportsKernels({"CalcCGForce"}));
}

static void testContext() {
    System system;
    auto* force = new CGForce(string(TEST_DATA) + "/pairs-v1.cg.pt");
    for (int i = 0; i < 2; i++) {
        system.addParticle(1.0);
        force->addBead({i}, {}, 0);
    }
    system.addForce(force);
    VerletIntegrator integrator(0.001);
    string message;
    try {
        Context context(system, integrator, Platform::getPlatformByName("CUDA"));
    }
    catch (const OpenMMException& error) {
        message = error.what();
    }
    cout << message << endl;
    ASSERT(message.find("CUDA_ERROR_NO_DEVICE") != string::npos);
    ASSERT_EQUAL(string::npos, message.find('\n'));
}

int main() {
    try {
        Platform::loadPluginLibrary(OPENMM_CUDA);
        Platform::loadPluginsFromDirectory(PLUGIN_DIR);
        testLoading();
        testContext();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
