#include "CudaCGKernels.h"
#include "openmm/KernelFactory.h"
#include "openmm/cuda/CudaPlatform.h"
#include "openmm/internal/ContextImpl.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

namespace {

/** Creates kernels for the CUDA platform. */
class CudaCGKernelFactory : public KernelFactory {
public:
    KernelImpl* createKernelImpl(string name, const Platform& platform, ContextImpl& context) const override {
        if (name != CalcCGForceKernel::Name())
            throw OpenMMException("Tried to create kernel with illegal kernel name '" + name + "'");
        CudaContext& cu = *static_cast<CudaPlatform::PlatformData*>(context.getPlatformData())->contexts[0];
        checkOneDevice(cu);
        return new CudaCalcCGForceKernel(name, platform, cu);
    }
};

} // namespace

// OpenMM calls these when it loads the library as a plugin.

extern "C" void registerPlatforms() {}

extern "C" void registerKernelFactories() {
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform& platform = Platform::getPlatform(i);
        if (dynamic_cast<CudaPlatform*>(&platform) != nullptr)
            platform.registerKernelFactory(CalcCGForceKernel::Name(), new CudaCGKernelFactory());
    }
}
