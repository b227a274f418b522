#ifndef OPENMMCG_ENGINE_BEADMAP_H_
#define OPENMMCG_ENGINE_BEADMAP_H_

#include <vector>

namespace OpenMMCG {

/**
 * The linear map between particles and beads, R = M r, and its transpose for forces.
 *
 * Both directions are stored as compressed rows, so that gathering beads and spreading forces
 * are plain sums in a fixed order: the result does not depend on the number of threads.
 */
class BeadMap {
public:
    BeadMap() = default;
    /**
     * @param numParticles  the number of particles in the System
     * @param particles     for each bead, the particles it is made of
     * @param weights       for each bead, the weight of each of its particles
     */
    BeadMap(int numParticles, const std::vector<std::vector<int>>& particles,
            const std::vector<std::vector<double>>& weights);
    int getNumBeads() const {
        return static_cast<int>(beadStart.size()) - 1;
    }
    /**
     * Compute bead positions. Particle coordinates must be unwrapped within each bead.
     *
     * @param particlePositions  x, y, z of every particle, in nm
     * @param beadPositions      on exit, x, y, z of every bead, in nm
     */
    void gather(const double* particlePositions, double* beadPositions) const;
    /**
     * Add the forces on the beads to the particles they are made of.
     *
     * @param beadForces      x, y, z of the force on every bead, in kJ/mol/nm
     * @param particleForces  the forces to add to, x, y, z for every particle
     */
    void scatterAdd(const double* beadForces, double* particleForces) const;

private:
    std::vector<int> beadStart = {0}, beadParticle;
    std::vector<double> beadWeight;
    // Only particles that belong to a bead have a row in the transposed map.
    std::vector<int> mappedParticle, particleStart, particleBead;
    std::vector<double> particleWeight;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_BEADMAP_H_*/
