#ifndef OPENMMCG_ENGINE_NEARPOSITIONS_H_
#define OPENMMCG_ENGINE_NEARPOSITIONS_H_

#include "openmmcg/engine/Box.h"
#include "openmmcg/engine/PairList.h"
#include <vector>

namespace OpenMMCG {

/**
 * For every bead, the one that it moves with where beads are moved close to the origin: the first of its molecule in a
 * periodic box, and of its replica where there is none.
 */
std::vector<int> findReferenceBeads(const BeadTopology& topology, bool periodic);

/**
 * Moves beads close to the origin for models in single precision, whose numbers hold ever less of a distance as beads
 * diffuse: molecules as wholes by box vectors, and replicas as wholes where there is no box. The vectors of pairs stay
 * the same. The moves follow from the positions alone, so that a simulation can be continued bit for bit.
 */
class NearPositions {
public:
    explicit NearPositions(const BeadTopology& topology) : topology(topology) {}
    /**
     * Move the beads of a configuration.
     *
     * @param positions  x, y, z of every bead in nm
     * @param pairs      the pairs of these positions, which must live as long as getPairs() is used
     */
    void update(const std::vector<double>& positions, const PairBatch& pairs, const Box& box);
    /** Positions of the beads that were moved. */
    const std::vector<double>& getPositions() const {
        return moved;
    }
    /** The pairs, with the shifts that belong to these positions. */
    const PairBatch& getPairs() const {
        return *pairs;
    }

private:
    void findReferences(bool periodic);
    void adaptShifts(const PairBatch& given);
    BeadTopology topology;
    bool referencesArePeriodic = false;
    std::vector<int> references;
    std::vector<double> moved, offsets;
    const PairBatch* pairs = nullptr;
    PairBatch adapted;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NEARPOSITIONS_H_*/
