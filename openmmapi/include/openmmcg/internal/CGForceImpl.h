#ifndef OPENMMCG_CGFORCEIMPL_H_
#define OPENMMCG_CGFORCEIMPL_H_

#include "openmm/Kernel.h"
#include "openmm/internal/ContextImpl.h"
#include "openmm/internal/ForceImpl.h"
#include "openmmcg/CGKernels.h"
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace OpenMMCG {

/**
 * This is the internal implementation of CGForce.
 */
class CGForceImpl : public OpenMM::ForceImpl {
public:
    explicit CGForceImpl(const CGForce& owner);
    void initialize(OpenMM::ContextImpl& context) override;
    const CGForce& getOwner() const override {
        return owner;
    }
    /** Changes nothing, but compares temperatures. */
    void updateContextState(OpenMM::ContextImpl& context, bool& forcesInvalid) override;
    double calcForcesAndEnergy(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy,
                               int groups) override;
    std::map<std::string, double> getDefaultParameters() override;
    std::vector<std::string> getKernelNames() override;
    /**
     * The particles of a bead, and bonded beads, belong to one molecule: the barostat and whatever wraps molecules
     * into the box must not tear them apart.
     */
    std::vector<std::pair<int, int>> getBondedParticles() const override;
    void updateParametersInContext(OpenMM::ContextImpl& context);
    BeadState getBeadState(OpenMM::ContextImpl& context, bool evaluate);
    std::map<std::string, std::string> getInfo() const;

private:
    void checkBeads(const OpenMM::System& system) const;
    CalcCGForceKernel& getKernel() const;
    const CGForce& owner;
    OpenMM::Kernel kernel;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CGFORCEIMPL_H_*/
