#include "openmmcg/engine/PairList.h"
#include <map>
#include <numeric>

using namespace OpenMMCG;
using namespace std;

namespace {

// Below this size a replica's pairs are found faster by looking at all of them.
const size_t MAX_ALL_PAIRS = 48;

double squaredDistance(const double* first, const double* second, const Box& box, double shift[3]) {
    double delta[3] = {second[0] - first[0], second[1] - first[1], second[2] - first[2]};
    shift[0] = shift[1] = shift[2] = 0;
    if (box.periodic)
        box.minimumImageShift(delta, shift);
    double x = delta[0] + shift[0], y = delta[1] + shift[1], z = delta[2] + shift[2];
    return x * x + y * y + z * z;
}

/**
 * A regular grid over the box, or over the extent of the beads where there is no box.
 */
class CellGrid {
public:
    /** Up to three cells along an axis. */
    struct Neighbors {
        int cells[3], count = 0;
        const int* begin() const {
            return cells;
        }
        const int* end() const {
            return cells + count;
        }
    };
    CellGrid(const vector<int>& group, const double* positions, const Box& box, double minWidth) : box(box) {
        double width[3];
        if (box.periodic)
            box.faceDistances(width);
        else {
            for (int k = 0; k < 3; k++) {
                double low = positions[3 * group[0] + k], high = low;
                for (int bead : group) {
                    low = min(low, positions[3 * bead + k]);
                    high = max(high, positions[3 * bead + k]);
                }
                origin[k] = low;
                extent[k] = width[k] = max(high - low, minWidth);
            }
        }

        // A few beads far apart must not ask for an endless number of cells.

        double limit = max(1.0, cbrt(8.0 * static_cast<double>(group.size())));
        for (int k = 0; k < 3; k++)
            size[k] = max(1, static_cast<int>(min(floor(width[k] / minWidth), limit)));
    }
    array<int, 3> cellOf(const double* position) const {
        double fraction[3];
        if (box.periodic)
            box.toFractional(position, fraction);
        else
            for (int k = 0; k < 3; k++)
                fraction[k] = (position[k] - origin[k]) / extent[k];
        array<int, 3> cell;
        for (int k = 0; k < 3; k++)
            cell[k] = min(size[k] - 1, static_cast<int>(fraction[k] * size[k]));
        return cell;
    }
    int numCells() const {
        return size[0] * size[1] * size[2];
    }
    int index(const array<int, 3>& cell) const {
        return (cell[2] * size[1] + cell[1]) * size[0] + cell[0];
    }
    /**
     * The cells along one axis that hold neighbours of a cell, each of them once.
     */
    Neighbors neighborsAlong(int axis, int cell) const {
        Neighbors result;
        for (int offset = -1; offset <= 1; offset++) {
            int other = cell + offset;
            if (box.periodic)
                other = (other + size[axis]) % size[axis];
            else if (other < 0 || other >= size[axis])
                continue;
            if (find(result.begin(), result.end(), other) == result.end())
                result.cells[result.count++] = other;
        }
        return result;
    }

private:
    const Box& box;
    double origin[3] = {0, 0, 0}, extent[3] = {1, 1, 1};
    int size[3];
};

} // namespace

void PairBatch::findRows(int numBeads, vector<int64_t>& starts) const {
    starts.resize(numBeads + 1);
    int64_t pair = 0;
    for (int bead = 0; bead < numBeads; bead++) {
        starts[bead] = pair;
        while (pair < numPairs && indices[pair] == bead)
            pair++;
    }
    starts[numBeads] = pair;
}

PairList::PairList(const BeadTopology& topology, double cutoff, double skin, int padding)
    : cutoff(cutoff), skin(skin), padding(padding), topology(topology), found(topology.molecules.size()) {
    map<int, vector<int>> groups;
    for (size_t bead = 0; bead < topology.replicas.size(); bead++)
        groups[topology.replicas[bead]].push_back(static_cast<int>(bead));
    for (auto& group : groups)
        replicaGroups.push_back(group.second);
    classifyTopology();
}

void PairList::classifyTopology() {
    vector<vector<int>> bonded(topology.molecules.size());
    for (auto& bond : topology.bonds) {
        bonded[bond.first].push_back(bond.second);
        bonded[bond.second].push_back(bond.first);
    }
    near.resize(bonded.size());
    for (size_t bead = 0; bead < bonded.size(); bead++) {
        // Breadth first, so that in rings the shortest path decides.
        map<int, int64_t> type = {{static_cast<int>(bead), SameMolecule}};
        vector<int> shell = {static_cast<int>(bead)};
        for (int64_t level : {Bonded12, Bonded13, Bonded14}) {
            vector<int> next;
            for (int member : shell)
                for (int other : bonded[member])
                    if (type.insert({other, level}).second)
                        next.push_back(other);
            shell.swap(next);
        }
        type.erase(static_cast<int>(bead));
        near[bead].assign(type.begin(), type.end());
    }
}

int64_t PairList::edgeType(int first, int second) const {
    auto& close = near[first];
    auto match = lower_bound(close.begin(), close.end(), make_pair(second, int64_t(0)));
    if (match != close.end() && match->first == second)
        return match->second;
    return topology.molecules[first] == topology.molecules[second] ? SameMolecule : OtherMolecule;
}

bool PairList::needsRebuild(const double* positions, const Box& box) const {
    if (numRebuilds == 0 || !(box == builtBox))
        return true;
    double limit = allowedDisplacement * allowedDisplacement;
    for (size_t bead = 0; bead < topology.molecules.size(); bead++) {
        const double* now = positions + 3 * bead;
        const double* then = builtPositions.data() + 3 * bead;
        double x = now[0] - then[0], y = now[1] - then[1], z = now[2] - then[2];
        if (x * x + y * y + z * z >= limit)
            return true;
    }
    return false;
}

void PairList::addCandidatesOf(int bead, const double* positions, const Box& box) {
    // `scratch` holds beads that may be close. Beads come in ascending order, so those before this one have entered
    // their pairs with it already.
    vector<Candidate>& close = found[bead];
    size_t known = close.size();
    double limit = listRadius * listRadius;
    for (int other : scratch) {
        Candidate candidate{other, {}};
        if (other > bead &&
            squaredDistance(positions + 3 * bead, positions + 3 * other, box, candidate.shift.data()) < limit)
            close.push_back(candidate);
    }
    sort(close.begin() + static_cast<ptrdiff_t>(known), close.end(),
         [](const Candidate& a, const Candidate& b) { return a.bead < b.bead; });
    for (size_t k = known; k < close.size(); k++) {
        auto& shift = close[k].shift;
        found[close[k].bead].push_back({bead, {-shift[0], -shift[1], -shift[2]}});
    }
}

void PairList::findByAllPairs(const vector<int>& group, const double* positions, const Box& box) {
    scratch = group;
    for (int bead : group)
        addCandidatesOf(bead, positions, box);
}

void PairList::findByCells(const vector<int>& group, const double* positions, const Box& box) {
    CellGrid grid(group, positions, box, listRadius);
    // Sort the beads by cell: count, add up, and put each into its place, which moves every start to the next.
    cellStart.assign(grid.numCells() + 1, 0);
    homes.resize(group.size());
    for (size_t i = 0; i < group.size(); i++) {
        homes[i] = grid.cellOf(positions + 3 * group[i]);
        cellStart[grid.index(homes[i])]++;
    }
    exclusive_scan(cellStart.begin(), cellStart.end(), cellStart.begin(), 0);
    cellMembers.resize(group.size());
    for (size_t i = 0; i < group.size(); i++)
        cellMembers[cellStart[grid.index(homes[i])]++] = group[i];
    for (size_t i = 0; i < group.size(); i++) {
        int bead = group[i];
        scratch.clear();
        CellGrid::Neighbors along[3];
        for (int axis = 0; axis < 3; axis++)
            along[axis] = grid.neighborsAlong(axis, homes[i][axis]);
        for (int z : along[2])
            for (int y : along[1])
                for (int x : along[0]) {
                    int cell = grid.index({x, y, z});
                    int start = cell == 0 ? 0 : cellStart[cell - 1];
                    scratch.insert(scratch.end(), cellMembers.begin() + start, cellMembers.begin() + cellStart[cell]);
                }
        addCandidatesOf(bead, positions, box);
    }
}

void PairList::rebuild(const double* positions, const Box& box) {
    // Beyond half the box a pair has several images within reach, and the one at hand now need not
    // be the one that comes within the cutoff: the skin ends there.

    double usedSkin = box.periodic ? max(0.0, min(skin, box.maxCutoff() - cutoff)) : skin;
    listRadius = cutoff + usedSkin;
    allowedDisplacement = 0.5 * usedSkin;
    for (auto& close : found)
        close.clear();
    for (auto& group : replicaGroups)
        if (group.size() <= MAX_ALL_PAIRS)
            findByAllPairs(group, positions, box);
        else
            findByCells(group, positions, box);

    candidateStart.assign(1, 0);
    candidate.clear();
    candidateEdgeType.clear();
    for (size_t bead = 0; bead < found.size(); bead++) {
        for (const Candidate& other : found[bead]) {
            candidate.push_back(other);
            candidateEdgeType.push_back(edgeType(static_cast<int>(bead), other.bead));
        }
        candidateStart.push_back(static_cast<int64_t>(candidate.size()));
    }
    builtPositions.assign(positions, positions + 3 * found.size());
    builtBox = box;
    numRebuilds++;

    // The batch is filled in place, so give it room for every candidate and the padding.

    size_t capacity = candidate.size() + static_cast<size_t>(padding);
    batch.indices.resize(2 * capacity);
    batch.shifts.resize(3 * capacity);
    batch.edgeTypes.resize(capacity);
    secondBead.resize(capacity);
}

const PairBatch& PairList::update(const double* positions, const Box& box) {
    if (needsRebuild(positions, box))
        rebuild(positions, box);
    double limit = cutoff * cutoff;
    int64_t count = 0;
    for (size_t bead = 0; bead < found.size(); bead++)
        for (int64_t k = candidateStart[bead]; k < candidateStart[bead + 1]; k++) {
            const Candidate& other = candidate[k];
            const double *from = positions + 3 * bead, *to = positions + 3 * other.bead;
            double x = to[0] + other.shift[0] - from[0], y = to[1] + other.shift[1] - from[1],
                   z = to[2] + other.shift[2] - from[2];
            if (x * x + y * y + z * z < limit) {
                copy(other.shift.begin(), other.shift.end(), &batch.shifts[3 * count]);
                batch.indices[count] = static_cast<int64_t>(bead);
                secondBead[count] = other.bead;
                batch.edgeTypes[count] = candidateEdgeType[k];
                count++;
            }
        }
    batch.numPairs = count;
    batch.size = max<int64_t>(1, (count + padding - 1) / padding) * padding;
    for (int64_t k = count; k < batch.size; k++) {
        batch.indices[k] = secondBead[k] = 0;
        batch.shifts[3 * k] = 2 * cutoff;
        batch.shifts[3 * k + 1] = batch.shifts[3 * k + 2] = 0;
        batch.edgeTypes[k] = OtherMolecule;
    }
    copy(secondBead.begin(), secondBead.begin() + batch.size, batch.indices.begin() + batch.size);
    return batch;
}
