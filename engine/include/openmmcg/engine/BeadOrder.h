#ifndef OPENMMCG_ENGINE_BEADORDER_H_
#define OPENMMCG_ENGINE_BEADORDER_H_

#include "openmmcg/engine/Box.h"
#include <cstdint>
#include <utility>
#include <vector>

namespace OpenMMCG {

/**
 * An order of beads in which neighbours in space are close: replica by replica, and within a large replica along a
 * space-filling curve. It follows from the positions alone, so that a simulation can be continued bit for bit.
 */
class BeadOrder {
public:
    /**
     * @param replicas  the replica of each bead
     * @param cutoff    the range of interactions, in nm
     */
    BeadOrder(const std::vector<int>& replicas, double cutoff);
    /** Whether the order is that of the beads' numbers, whatever their positions. */
    bool isTrivial() const {
        return trivial;
    }
    /**
     * Find the order for a configuration.
     *
     * @param positions  x, y, z of every bead in nm
     */
    void update(const double* positions, const Box& box);
    /** The bead at a place in the order. */
    int getBead(int place) const {
        return beads[place];
    }
    /** The place of a bead in the order. */
    int getPlace(int bead) const {
        return places[bead];
    }

private:
    struct Group {
        size_t begin, end;
    };
    void sortAlongCurve(const Group& group, const double* positions, const Box& box);
    double cellWidth;
    bool trivial = true;
    std::vector<Group> largeGroups;
    std::vector<int> beads, places;
    std::vector<std::pair<uint64_t, int>> keys;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_BEADORDER_H_*/
