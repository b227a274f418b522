#ifndef OPENMMCG_ENGINE_CELLGRID_H_
#define OPENMMCG_ENGINE_CELLGRID_H_

#include "openmmcg/engine/Box.h"
#include <array>
#include <vector>

namespace OpenMMCG {

/**
 * Beads sorted into the cells of a regular grid over the box, or over the extent of the beads where there is no box.
 */
class CellGrid {
public:
    /** A cell along an axis, and whether beads in it may be neighbours across the boundary of the box. */
    struct Neighbor {
        int cell;
        bool across;
    };
    /** Up to three cells along an axis. */
    struct Neighbors {
        Neighbor cells[3];
        int count = 0;
        const Neighbor* begin() const {
            return cells;
        }
        const Neighbor* end() const {
            return cells + count;
        }
    };
    /**
     * Sort beads into cells.
     *
     * @param group      the beads, in ascending order
     * @param positions  x, y, z of all beads
     * @param minWidth   the least distance between opposite faces of a cell
     */
    void fill(const std::vector<int>& group, const double* positions, const Box& box, double minWidth);
    /** The beads, cell by cell. */
    const std::vector<int>& getMembers() const {
        return members;
    }
    /** Where a cell's beads begin and, in the entry that follows, end. */
    const int* startOf(const std::array<int, 3>& cell) const {
        return &start[index(cell)];
    }
    std::array<int, 3> cellOf(const double* position, const Box& box) const;
    /** The cells along one axis that hold neighbours of a cell, each of them once. */
    Neighbors neighborsAlong(int axis, int cell, const Box& box) const;

private:
    int index(const std::array<int, 3>& cell) const {
        return (cell[2] * size[1] + cell[1]) * size[0] + cell[0];
    }
    double origin[3] = {0, 0, 0}, extent[3] = {1, 1, 1};
    int size[3] = {1, 1, 1};
    std::vector<int> homes, start, members;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_CELLGRID_H_*/
