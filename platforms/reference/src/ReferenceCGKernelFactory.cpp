#include "ReferenceCGKernels.h"
#include "openmm/KernelFactory.h"
#include "openmm/OpenMMException.h"
#include "openmm/reference/ReferencePlatform.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

namespace {

/** Creates kernels for the Reference platform and for platforms derived from it. */
class ReferenceCGKernelFactory : public KernelFactory {
public:
    KernelImpl* createKernelImpl(string name, const Platform& platform, ContextImpl&) const override {
        if (name == CalcCGForceKernel::Name())
            return new ReferenceCalcCGForceKernel(name, platform);
        throw OpenMMException("Tried to create kernel with illegal kernel name '" + name + "'");
    }
};

} // namespace

extern "C" void registerPlatforms() {}

extern "C" void registerKernelFactories() {
    for (int i = 0; i < Platform::getNumPlatforms(); i++) {
        Platform& platform = Platform::getPlatform(i);
        if (dynamic_cast<ReferencePlatform*>(&platform) != nullptr)
            platform.registerKernelFactory(CalcCGForceKernel::Name(), new ReferenceCGKernelFactory());
    }
}
