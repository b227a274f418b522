#ifndef OPENMMCG_COMMON_HOSTPATHCGKERNEL_H_
#define OPENMMCG_COMMON_HOSTPATHCGKERNEL_H_

#include "openmmcg/common/CommonCGKernels.h"

namespace OpenMMCG {

/**
 * Calculates CGForce on devices for which there is no way to evaluate models on them: the beads are copied to the host,
 * where a ModelRunner evaluates the model, and the forces on the beads are copied back.
 *
 * Unless the Force asks for it, the pairs are found on the host, which saves copying them.
 */
class HostPathCalcCGForceKernel : public CommonCalcCGForceKernel {
public:
    using CommonCalcCGForceKernel::CommonCalcCGForceKernel;
    std::map<std::string, std::string> getInfo() const override;

protected:
    bool modelIsDouble() const override;
    bool findsPairsOnDevice(const std::string& property) const override {
        return property == "device";
    }
    void initializeModel(const CGForce& force) override;
    ModelBuffers createBuffers(int capacity) override;
    double computeModel(const std::vector<double>& parameters, bool includeForces, bool includeEnergy) override;
    ModelOutput getModelOutput() override {
        return *output;
    }
    std::vector<double> getParameterDerivatives() override {
        return output->parameterDerivatives;
    }
    void updateBeads() override;

private:
    const PairBatch* downloadPairs();
    std::unique_ptr<HostEvaluator> evaluator;
    const ModelOutput* output = nullptr;
    OpenMM::ComputeArray positions, forces;
    std::unique_ptr<OpenMM::ComputeArray> pairs, shifts, edgeTypes;
    std::vector<double> hostPositions;
    PairBatch batch;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_HOSTPATHCGKERNEL_H_*/
