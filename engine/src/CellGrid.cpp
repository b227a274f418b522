#include "CellGrid.h"
#include <algorithm>
#include <numeric>

using namespace OpenMMCG;
using namespace std;

void CellGrid::fill(const vector<int>& group, const double* positions, const Box& box, double minWidth) {
    double width[3];
    if (box.periodic)
        box.faceDistances(width);
    else
        for (int k = 0; k < 3; k++) {
            double low = positions[3 * group[0] + k], high = low;
            for (int bead : group) {
                low = min(low, positions[3 * bead + k]);
                high = max(high, positions[3 * bead + k]);
            }
            origin[k] = low;
            extent[k] = width[k] = max(high - low, minWidth);
        }

    // A few beads far apart must not ask for an endless number of cells.

    double limit = max(1.0, cbrt(8.0 * static_cast<double>(group.size())));
    for (int k = 0; k < 3; k++)
        size[k] = max(1, static_cast<int>(min(floor(width[k] / minWidth), limit)));

    // Count, add up, and put each bead into its place, which moves every start to the next cell's.

    start.assign(static_cast<size_t>(size[0]) * size[1] * size[2] + 2, 0);
    homes.resize(group.size());
    for (size_t i = 0; i < group.size(); i++) {
        homes[i] = index(cellOf(positions + 3 * group[i], box));
        start[homes[i] + 2]++;
    }
    partial_sum(start.begin(), start.end(), start.begin());
    members.resize(group.size());
    for (size_t i = 0; i < group.size(); i++)
        members[start[homes[i] + 1]++] = group[i];
}

array<int, 3> CellGrid::cellOf(const double* position, const Box& box) const {
    // Positions are in the box but for rounding. A bead that rounding has put onto the far border belongs to the last
    // cell: wrapped once more, it would be looked for on the other side, where it is not.
    double fraction[3], counts[3] = {0, 0, 0};
    if (box.periodic)
        box.toFractional(position, fraction, counts);
    else
        for (int k = 0; k < 3; k++)
            fraction[k] = (position[k] - origin[k]) / extent[k];
    array<int, 3> cell;
    for (int k = 0; k < 3; k++)
        cell[k] = max(0, min(size[k] - 1, static_cast<int>((fraction[k] + counts[k]) * size[k])));
    return cell;
}

CellGrid::Neighbors CellGrid::neighborsAlong(int axis, int cell, const Box& box) const {
    Neighbors result;
    for (int offset = -1; offset <= 1; offset++) {
        // With three cells or more, beads of cells that are next to each other inside the box are nowhere else close.
        int other = cell + offset;
        bool inside = other >= 0 && other < size[axis], across = box.periodic && (!inside || size[axis] < 3);
        if (!inside && !box.periodic)
            continue;
        other = (other + size[axis]) % size[axis];
        if (none_of(result.begin(), result.end(), [other](const Neighbor& known) { return known.cell == other; }))
            result.cells[result.count++] = {other, across};
    }
    return result;
}
