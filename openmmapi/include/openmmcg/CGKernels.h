#ifndef OPENMMCG_CGKERNELS_H_
#define OPENMMCG_CGKERNELS_H_

#include "openmm/KernelImpl.h"
#include "openmm/Platform.h"
#include "openmm/System.h"
#include "openmm/internal/ContextImpl.h"
#include "openmmcg/CGForce.h"
#include "openmmcg/engine/ModelRunner.h"
#include <map>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * The beads of a Context: where they are, and what the model says of them.
 */
struct BeadState {
    /** x, y, z of every bead in nm. */
    std::vector<double> positions;
    /** Energies and forces; empty unless an evaluation was asked for. */
    ModelOutput output;
};

/**
 * This kernel is invoked by CGForce to calculate the forces acting on the System and its energy.
 */
class CalcCGForceKernel : public OpenMM::KernelImpl {
public:
    static std::string Name() {
        return "CalcCGForce";
    }
    CalcCGForceKernel(const std::string& name, const OpenMM::Platform& platform) : OpenMM::KernelImpl(name, platform) {}
    ~CalcCGForceKernel() override;
    /**
     * Initialize the kernel.
     *
     * @param context  the Context that is being created
     * @param force    the CGForce this kernel will be used to calculate
     */
    virtual void initialize(OpenMM::ContextImpl& context, const CGForce& force) = 0;
    /**
     * Execute the kernel.
     *
     * @return the potential energy of the force
     */
    virtual double execute(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy) = 0;
    /**
     * Take over changed parameters of the beads.
     */
    virtual void copyParametersToContext(OpenMM::ContextImpl& context, const CGForce& force) = 0;
    /**
     * Compute the positions of the beads and, if `evaluate` is set, energies and forces.
     */
    virtual BeadState getBeadState(OpenMM::ContextImpl& context, bool evaluate) = 0;
    /**
     * See CGForce::getContextInfo().
     */
    virtual std::map<std::string, std::string> getInfo() const = 0;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CGKERNELS_H_*/
