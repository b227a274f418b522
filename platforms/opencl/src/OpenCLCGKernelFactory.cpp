#include "openmm/opencl/OpenCLPlatform.h"
#include "openmmcg/common/HostPathKernelFactory.h"

// OpenMM calls these when it loads the library as a plugin.

extern "C" void registerPlatforms() {}

extern "C" void registerKernelFactories() {
    OpenMMCG::HostPathKernelFactory<OpenMM::OpenCLPlatform>::registerForPlatforms();
}
