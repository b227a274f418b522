#include "openmm/KernelFactory.h"
#include "openmm/OpenMMException.h"
#include "openmm/internal/ContextImpl.h"
#include "openmm/opencl/OpenCLPlatform.h"
#include "openmmcg/common/HostPathCGKernel.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

namespace {

/**
 * OpenMM's OpenCLContext as the ComputeContext that it is. Its declaration needs the headers of OpenCL; without them
 * the compiler cannot convert it, but ComputeContext is its only base class and so stands at its beginning.
 */
ComputeContext& asComputeContext(OpenCLContext* context) {
    return *reinterpret_cast<ComputeContext*>(context);
}

/** Creates kernels for the OpenCL platform. */
class OpenCLCGKernelFactory : public KernelFactory {
public:
    KernelImpl* createKernelImpl(string name, const Platform& platform, ContextImpl& context) const override {
        if (name != CalcCGForceKernel::Name())
            throw OpenMMException("Tried to create kernel with illegal kernel name '" + name + "'");
        auto& contexts = static_cast<OpenCLPlatform::PlatformData*>(context.getPlatformData())->contexts;
        ComputeContext& cc = asComputeContext(contexts[0]);
        checkOneDevice(cc);
        return new HostPathCalcCGForceKernel(name, platform, cc);
    }
};

} // namespace

// OpenMM calls these when it loads the library as a plugin.

extern "C" void registerPlatforms() {}

extern "C" void registerKernelFactories() {
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform& platform = Platform::getPlatform(i);
        if (dynamic_cast<OpenCLPlatform*>(&platform) != nullptr)
            platform.registerKernelFactory(CalcCGForceKernel::Name(), new OpenCLCGKernelFactory());
    }
}
