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
        return static_cast<int>(beadRows.start.size()) - 1;
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
    /**
     * A sparse matrix in compressed rows: row i has the columns and weights from start[i] to start[i + 1].
     */
    struct Rows {
        std::vector<int> start = {0}, column;
        std::vector<double> weight;
    };
    /** M: a row for each bead, whose columns are particles. */
    const Rows& getBeadRows() const {
        return beadRows;
    }
    /** The transpose of M, whose columns are beads. Only particles that belong to a bead have a row. */
    const Rows& getParticleRows() const {
        return particleRows;
    }
    /** The particle of each row of the transpose. */
    const std::vector<int>& getMappedParticles() const {
        return mappedParticles;
    }

private:
    Rows beadRows, particleRows;
    std::vector<int> mappedParticles;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_BEADMAP_H_*/
