#ifndef OPENMMCG_COMMON_COMMONCGKERNELS_H_
#define OPENMMCG_COMMON_COMMONCGKERNELS_H_

#include "openmm/common/ComputeContext.h"
#include "openmmcg/CGKernels.h"
#include "openmmcg/common/CommonBeadMap.h"
#include "openmmcg/common/CommonPairList.h"
#include "openmmcg/internal/CGKernelSetup.h"
#include <memory>

namespace OpenMMCG {

/**
 * Calculates CGForce on platforms that run on devices: beads, pairs and particle forces on the device, by kernels that
 * all of them share. How the model is evaluated in between is left to derived classes.
 *
 * A list of pairs may turn out too small after the model has been evaluated. The evaluation of all forces is then
 * declared invalid and OpenMM repeats it, by which time there is more room.
 */
class CommonCalcCGForceKernel : public CalcCGForceKernel {
public:
    CommonCalcCGForceKernel(const std::string& name, const OpenMM::Platform& platform, OpenMM::ComputeContext& cc);
    void initialize(OpenMM::ContextImpl& context, const CGForce& force) override;
    double execute(OpenMM::ContextImpl& context, bool includeForces, bool includeEnergy) override;
    void copyParametersToContext(OpenMM::ContextImpl& context, const CGForce& force) override;
    BeadState getBeadState(OpenMM::ContextImpl& context, bool evaluate) override;
    std::map<std::string, std::string> getInfo() const override;

protected:
    // In all of these, the context of the device is current.

    /** Whether the model's buffers hold double precision. */
    virtual bool modelIsDouble() const = 0;
    /** Whether pairs are found on the device, given the Force's property "pairList". */
    virtual bool findsPairsOnDevice(const std::string& property) const = 0;
    /** Load the model, as the setup says. */
    virtual void initializeModel(const CGForce& force) = 0;
    /**
     * Create the model's buffers. This is called first with room for no pairs, and again whenever more is needed.
     *
     * @param capacity  the number of pairs to have room for
     */
    virtual ModelBuffers createBuffers(int capacity) = 0;
    /**
     * Evaluate the model on the buffers, or ask the device to. Kernels that are executed later must see the forces.
     *
     * @param parameters  the model's parameters
     * @return the energy in kJ/mol; anything if it was not asked for
     */
    virtual double computeModel(const std::vector<double>& parameters, bool includeForces, bool includeEnergy) = 0;
    /** What the model said in the last evaluation. This may wait for the device. */
    virtual ModelOutput getModelOutput() = 0;
    /** The derivative of the energy of the last evaluation with respect to each parameter. This may wait, too. */
    virtual std::vector<double> getParameterDerivatives() = 0;
    /** Take over other beads of the same number: types and topology of the setup have changed. */
    virtual void updateBeads() = 0;
    /**
     * Tell whether the pairs of this step are complete. This waits for the device to find them, and for nothing that
     * came later. If there was no room for all, it makes room for the next time.
     *
     * @throws OpenMMException if the position of a bead is not a number, or the force on one in the evaluation before
     */
    bool listIsComplete();
    /** Where the list of pairs is on the device, or null. */
    CommonPairList* getPairList() const {
        return pairList.get();
    }

    OpenMM::ComputeContext& cc;
    CGKernelSetup setup;
    ModelBuffers buffers;
    Box box;

private:
    class ForceInfo;
    class ListCheck;
    void findBeads();
    std::vector<double> downloadPositions();
    std::unique_ptr<CommonBeadMap> beadMap;
    std::unique_ptr<CommonPairList> pairList;
    bool listIsUnchecked = false, complete = true, isFirst = true;
};

/** Throw an OpenMMException if a Context has several devices. */
void checkOneDevice(const OpenMM::ComputeContext& cc);

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_COMMONCGKERNELS_H_*/
