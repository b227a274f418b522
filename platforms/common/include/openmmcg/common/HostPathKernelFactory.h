#ifndef OPENMMCG_COMMON_HOSTPATHKERNELFACTORY_H_
#define OPENMMCG_COMMON_HOSTPATHKERNELFACTORY_H_

#include "openmm/KernelFactory.h"
#include "openmmcg/common/HostPathCGKernel.h"

namespace OpenMMCG {

/**
 * Creates kernels for a platform whose models are evaluated on the host.
 *
 * @tparam DevicePlatform  OpenMM's class of the platform
 */
template <class DevicePlatform>
class HostPathKernelFactory : public OpenMM::KernelFactory {
public:
    OpenMM::KernelImpl* createKernelImpl(std::string name, const OpenMM::Platform& platform,
                                         OpenMM::ContextImpl& context) const override {
        if (name != CalcCGForceKernel::Name())
            throw OpenMM::OpenMMException("Tried to create kernel with illegal kernel name '" + name + "'");
        auto* data = static_cast<typename DevicePlatform::PlatformData*>(context.getPlatformData());
        // The context of a platform is a ComputeContext. Its declaration needs the headers of the device's driver, and
        // without it the compiler cannot convert it, but ComputeContext is its only base class and so stands at its
        // beginning.
        auto& cc = *reinterpret_cast<OpenMM::ComputeContext*>(data->contexts[0]);
        checkOneDevice(cc);
        return new HostPathCalcCGForceKernel(name, platform, cc);
    }
    /** Register a factory for every platform of the class. */
    static void registerForPlatforms() {
        for (int i = 0; i < OpenMM::Platform::getNumPlatforms(); i++) {
            OpenMM::Platform& platform = OpenMM::Platform::getPlatform(i);
            if (dynamic_cast<DevicePlatform*>(&platform) != nullptr)
                platform.registerKernelFactory(CalcCGForceKernel::Name(), new HostPathKernelFactory());
        }
    }
};

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_HOSTPATHKERNELFACTORY_H_*/
