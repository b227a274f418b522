#ifndef OPENMMCG_REFERENCECGKERNELS_H_
#define OPENMMCG_REFERENCECGKERNELS_H_

#include "openmmcg/CGKernels.h"
#include "openmmcg/internal/CGKernelSetup.h"
#include <memory>

namespace OpenMMCG {

/**
 * Calculates CGForce on the Reference platform, and on the CPU platform, which is derived from it.
 */
class ReferenceCalcCGForceKernel : public CalcCGForceKernel {
public:
    using CalcCGForceKernel::CalcCGForceKernel;
    void initialize(OpenMM::ContextImpl& context, const CGForce& force) override;
    double execute(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy) override;
    void copyParametersToContext(OpenMM::ContextImpl& context, const CGForce& force) override;
    BeadState getBeadState(OpenMM::ContextImpl& context, bool evaluate) override;
    std::map<std::string, std::string> getInfo() const override;

private:
    const ModelOutput& computeBeads(OpenMM::ContextImpl& context);
    CGKernelSetup setup;
    std::unique_ptr<HostEvaluator> evaluator;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_REFERENCECGKERNELS_H_*/
