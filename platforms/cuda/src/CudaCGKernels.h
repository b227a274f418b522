#ifndef OPENMMCG_CUDACGKERNELS_H_
#define OPENMMCG_CUDACGKERNELS_H_

#include "CudaGuards.h"
#include "DeviceModel.h"
#include "openmm/cuda/CudaContext.h"
#include "openmmcg/common/CommonCGKernels.h"
#include <memory>

namespace OpenMMCG {

/**
 * Calculates CGForce on the CUDA platform: PyTorch evaluates the model on the same device, from memory that OpenMM-CG's
 * kernels write to. The host waits for nothing but the length of the list of pairs, and the energy where it is asked
 * for.
 */
class CudaCalcCGForceKernel : public CommonCalcCGForceKernel {
public:
    CudaCalcCGForceKernel(const std::string& name, const OpenMM::Platform& platform, OpenMM::CudaContext& cu)
        : CommonCalcCGForceKernel(name, platform, cu), cu(cu) {}
    ~CudaCalcCGForceKernel() override;
    std::map<std::string, std::string> getInfo() const override;

protected:
    bool modelIsDouble() const override {
        return setup.options.doublePrecision;
    }
    bool findsPairsOnDevice(const std::string& property) const override;
    void initializeModel(const CGForce& force) override;
    ModelBuffers createBuffers(int capacity) override;
    double computeModel(const std::vector<double>& parameters, bool includeForces, bool includeEnergy) override;
    ModelOutput getModelOutput() override;
    std::vector<double> getParameterDerivatives() override;
    void updateBeads() override;

private:
    void checkResult();
    OpenMM::CudaContext& cu;
    std::unique_ptr<PrimaryContext> primary;
    std::unique_ptr<DeviceModel> model;
    CUstream torchStream = nullptr;
    // One of each context.
    std::unique_ptr<CudaEvent> inputsAreReady, outputsAreReady;
    CommonPairList::State* report = nullptr;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CUDACGKERNELS_H_*/
