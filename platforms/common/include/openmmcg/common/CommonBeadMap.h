#ifndef OPENMMCG_COMMON_COMMONBEADMAP_H_
#define OPENMMCG_COMMON_COMMONBEADMAP_H_

#include "openmm/common/ComputeArray.h"
#include "openmm/common/ComputeContext.h"
#include "openmmcg/common/DeviceBuffer.h"
#include "openmmcg/engine/HostEvaluator.h"
#include <vector>

namespace OpenMMCG {

/**
 * The linear map between particles and beads on a device: R = M r, and its transpose for forces.
 *
 * Platforms that run on devices reorder particles and move molecules into the periodic box. The map follows the order
 * and undoes the moves, so that beads are where the particles are for the user.
 *
 * For pairs that are found on the device, beads are moved close to the origin, as NearPositions does: the numbers of a
 * device are often in single precision, which beads lose as they diffuse.
 */
class CommonBeadMap {
public:
    /**
     * @param cc             the device's context, which must be current in all calls
     * @param beads          the beads
     * @param modelIsDouble  whether the model takes and returns double precision
     * @param periodic       whether beads are moved close to the origin by box vectors, rather than at will
     * @param listState      the state of the list of pairs, where scatter() reports forces that are not numbers, or
     * null
     */
    CommonBeadMap(OpenMM::ComputeContext& cc, const BeadSet& beads, bool modelIsDouble, bool periodic,
                  OpenMM::ArrayInterface* listState);
    /** Take over other beads of the same number. */
    void setBeads(const BeadSet& beads);
    /**
     * Compute the positions of the beads.
     *
     * @param positions   where to write x, y, z of every bead for the model, in nm
     * @param nearOrigin  whether to move beads close to the origin
     */
    void gather(const DeviceBuffer& positions, bool nearOrigin);
    /**
     * Add forces on the beads to the particles.
     *
     * @param forces  x, y, z of the force on every bead, in kJ/mol/nm
     */
    void scatter(const DeviceBuffer& forces);
    /** The positions that gather() computed last, x, y, z of every bead in nm. This waits for the device. */
    std::vector<double> download();
    /** Positions of the beads as four numbers each, in the highest precision of the Context. */
    OpenMM::ComputeArray& getBeads() {
        return beadPositions;
    }

private:
    void followOrder();
    OpenMM::ComputeContext& cc;
    int numBeads, numMapped = 0;
    bool periodic;
    OpenMM::ComputeArray beadPositions, beadStart, beadParticles, beadWeights, references;
    OpenMM::ComputeArray particleSlots, particleStart, particleBeads, particleWeights;
    OpenMM::ComputeKernel gatherKernel, scatterKernel;
    // The particles of all beads one after another, and the slot and box offsets of each as the device knows them.
    // The place of each bead's reference among the particles of all beads.
    std::vector<int> particles, referencePlaces, mappedParticles;
    std::vector<OpenMM::mm_int4> slots;
    std::vector<int> slotOfParticle;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_COMMONBEADMAP_H_*/
