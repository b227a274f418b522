#include "openmmcg/engine/PairList.h"
#include "../native/ThreadTeam.h"
#include "CellGrid.h"
#include "openmmcg/engine/BeadOrder.h"
#include "openmmcg/engine/ModelFile.h"
#include <algorithm>
#include <map>

using namespace OpenMMCG;
using namespace std;

// Below this size a replica's pairs are found faster by looking at all of them.
static const size_t MAX_ALL_PAIRS = 48;
static const size_t CHUNK_ROWS = 512;
// Waking threads takes longer than the work on fewer chunks.
static const size_t MIN_SHARED_CHUNKS = 4;
// How often a box vector can be in the minimum image of two beads inside a box in reduced form, plus and minus.
static const int MAX_IMAGE = 2;
static const double BORDER = 1e-9; // relative; what wrapping changes by rounding is much less
static const int IMAGES = 2 * MAX_IMAGE + 1;

vector<vector<pair<int, uint8_t>>> OpenMMCG::findNearBeads(const BeadTopology& topology) {
    vector<vector<int>> bonded(topology.molecules.size());
    for (auto& bond : topology.bonds) {
        bonded[bond.first].push_back(bond.second);
        bonded[bond.second].push_back(bond.first);
    }
    vector<vector<pair<int, uint8_t>>> near(bonded.size());
    for (size_t bead = 0; bead < bonded.size(); bead++) {
        // Breadth first, so that in rings the shortest path decides.
        map<int, uint8_t> type = {{static_cast<int>(bead), SameMolecule}};
        vector<int> shell = {static_cast<int>(bead)};
        for (uint8_t level : {Bonded12, Bonded13, Bonded14}) {
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
    return near;
}

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

PairList::PairList(const BeadTopology& topology, double cutoff, double skin, int padding, int numThreads)
    : cutoff(cutoff), skin(skin), padding(padding), topology(topology) {
    map<int, vector<int>> groups;
    for (size_t bead = 0; bead < topology.replicas.size(); bead++)
        groups[topology.replicas[bead]].push_back(static_cast<int>(bead));
    for (auto& [replica, group] : groups) {
        Region region{rowBeads.size(), rowBeads.size() + group.size(), nullptr};
        if (group.size() > MAX_ALL_PAIRS)
            region.grid = make_unique<CellGrid>();
        rowBeads.insert(rowBeads.end(), group.begin(), group.end());
        regions.push_back(std::move(region));
        replicaGroups.push_back(group);
    }
    chunks.resize((rowBeads.size() + CHUNK_ROWS - 1) / CHUNK_ROWS);
    team = make_unique<ThreadTeam>(chunks.size() < MIN_SHARED_CHUNKS ? 1 : numThreads);
    rowLengths.resize(rowBeads.size());
    firstPairs.resize(rowBeads.size());
    near = findNearBeads(topology);
}

PairList::~PairList() = default;

int64_t PairList::getNumCandidates() const {
    size_t total = 0;
    for (const Chunk& chunk : chunks)
        total += chunk.candidates.size();
    return static_cast<int64_t>(total);
}

/** Call work(chunk) for all chunks. */
template <class Work>
void PairList::forChunks(Work work) {
    team->run([&](int thread, int numThreads) {
        for (size_t chunk = thread; chunk < chunks.size(); chunk += numThreads)
            work(chunk);
    });
}

uint8_t PairList::edgeType(int first, int second) const {
    auto& close = near[first];
    auto match = lower_bound(close.begin(), close.end(), make_pair(second, uint8_t(0)));
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

/** How many times each box vector is in the shift of an image. */
static void countsOf(int image, double counts[3]) {
    counts[0] = image % IMAGES - MAX_IMAGE;
    counts[1] = image / IMAGES % IMAGES - MAX_IMAGE;
    counts[2] = image / (IMAGES * IMAGES) - MAX_IMAGE;
}

void PairList::rebuild(const double* positions, const Box& box) {
    if (box.periodic && !box.isReduced())
        throw ModelError("The periodic box vectors are not in reduced form; expected no vector to be more than "
                         "half of another along its axis. Reduce them with openmm.app's reducePeriodicBoxVectors.");

    // Beyond half the box a pair has several images within reach, and the one at hand now need not
    // be the one that comes within the cutoff: the skin ends there.

    double usedSkin = box.periodic ? max(0.0, min(skin, box.maxCutoff() - cutoff)) : skin;
    listRadius = cutoff + usedSkin;
    allowedDisplacement = 0.5 * usedSkin;
    size_t numBeads = rowBeads.size();
    builtPositions.assign(positions, positions + 3 * numBeads);
    builtBox = box;
    imageShifts.assign(3 * IMAGES * IMAGES * IMAGES, 0.0);
    if (box.periodic) {
        double fraction[3];
        boxCounts.resize(3 * numBeads);
        outside.resize(3 * numBeads);
        wrappedPositions.resize(3 * numBeads);
        for (size_t bead = 0; bead < numBeads; bead++) {
            box.toFractional(positions + 3 * bead, fraction, &boxCounts[3 * bead]);
            box.combine(&boxCounts[3 * bead], &outside[3 * bead]);
        }
        for (int image = 0; image < IMAGES * IMAGES * IMAGES; image++) {
            double multiples[3];
            countsOf(image, multiples);
            box.combine(multiples, &imageShifts[3 * image]);
        }
    }
    wrap(positions);
    for (size_t i = 0; i < regions.size(); i++)
        if (regions[i].grid) {
            regions[i].grid->fill(replicaGroups[i], wrapped, box, listRadius);
            auto& members = regions[i].grid->getMembers();
            copy(members.begin(), members.end(), &rowBeads[regions[i].begin]);
        }
    rowPositions.resize(3 * numBeads);
    for (size_t row = 0; row < numBeads; row++)
        copy_n(wrapped + 3 * static_cast<size_t>(rowBeads[row]), 3, &rowPositions[3 * row]);
    forChunks([this](size_t chunk) { searchChunk(chunk); });
    numRebuilds++;

    // Give the batch room for every candidate and the padding, so that updates need no memory.

    size_t capacity = static_cast<size_t>(getNumCandidates() + padding);
    batch.indices.resize(2 * capacity);
    batch.shifts.resize(3 * capacity);
    batch.edgeTypes.resize(capacity);
}

void PairList::wrap(const double* positions) {
    wrapped = positions;
    if (!builtBox.periodic)
        return;
    wrapped = wrappedPositions.data();
    for (size_t k = 0; k < wrappedPositions.size(); k++)
        wrappedPositions[k] = positions[k] - outside[k];
}

void PairList::findShift(int bead, const Candidate& other, double shift[3]) const {
    if (!builtBox.periodic) {
        shift[0] = shift[1] = shift[2] = 0;
        return;
    }
    double counts[3];
    countsOf(other.image, counts);
    for (int k = 0; k < 3; k++)
        counts[k] += boxCounts[3 * static_cast<size_t>(bead) + k] - boxCounts[3 * static_cast<size_t>(other.bead) + k];
    builtBox.combine(counts, shift);
}

double PairList::squaredDistance(int bead, const Candidate& other, const double* positions) const {
    double shift[3], square = 0;
    findShift(bead, other, shift);
    for (int k = 0; k < 3; k++) {
        double delta = positions[3 * static_cast<size_t>(other.bead) + k] + shift[k] -
                       positions[3 * static_cast<size_t>(bead) + k];
        square += delta * delta;
    }
    return square;
}

void PairList::searchChunk(size_t index) {
    Chunk& chunk = chunks[index];
    chunk.candidates.clear();
    chunk.start.assign(1, 0);
    size_t end = min(rowBeads.size(), (index + 1) * CHUNK_ROWS), region = 0;
    for (size_t row = index * CHUNK_ROWS; row < end; row++) {
        while (row >= regions[region].end)
            region++;
        searchRow(row, region, chunk);
        chunk.start.push_back(static_cast<int>(chunk.candidates.size()));
    }
    chunk.accepted.resize(chunk.candidates.size());
}

void PairList::searchRow(size_t row, size_t regionIndex, Chunk& chunk) const {
    const Region& region = regions[regionIndex];
    const int bead = rowBeads[row];
    const double *here = wrapped + 3 * static_cast<size_t>(bead), limit = listRadius * listRadius;
    auto lookAt = [&](int begin, int end, bool across) {
        for (int other = begin; other < end; other++) {
            const double* there = &rowPositions[3 * static_cast<size_t>(other)];
            double delta[3] = {there[0] - here[0], there[1] - here[1], there[2] - here[2]}, counts[3] = {0, 0, 0};
            if (across) {
                double shift[3];
                builtBox.minimumImage(delta, counts);
                builtBox.combine(counts, shift);
                for (int k = 0; k < 3; k++)
                    delta[k] += shift[k];
            }
            if (delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2] >= limit || rowBeads[other] == bead)
                continue;
            int image = 0;
            for (int k = 2; k >= 0; k--)
                image = IMAGES * image + static_cast<int>(counts[k]) + MAX_IMAGE;
            chunk.candidates.push_back({rowBeads[other], static_cast<uint8_t>(image), edgeType(bead, rowBeads[other])});
        }
    };
    const int begin = static_cast<int>(region.begin);
    if (region.grid) {
        auto home = region.grid->cellOf(here, builtBox);
        CellGrid::Neighbors along[3];
        for (int axis = 0; axis < 3; axis++)
            along[axis] = region.grid->neighborsAlong(axis, home[axis], builtBox);
        for (auto& z : along[2])
            for (auto& y : along[1])
                for (auto& x : along[0]) {
                    const int* start = region.grid->startOf({x.cell, y.cell, z.cell});
                    lookAt(begin + start[0], begin + start[1], x.across || y.across || z.across);
                }
    }
    else
        lookAt(begin, static_cast<int>(region.end), builtBox.periodic);
    sort(chunk.candidates.begin() + chunk.start.back(), chunk.candidates.end(),
         [](const Candidate& a, const Candidate& b) { return a.bead < b.bead; });
}

void PairList::selectPairs(size_t index, const double* positions) {
    Chunk& chunk = chunks[index];
    double limit = cutoff * cutoff;
    int count = 0;
    for (size_t i = 0; i + 1 < chunk.start.size(); i++) {
        int bead = rowBeads[index * CHUNK_ROWS + i], before = count;
        const double* from = wrapped + 3 * static_cast<size_t>(bead);
        for (int k = chunk.start[i]; k < chunk.start[i + 1]; k++) {
            const Candidate& other = chunk.candidates[k];
            const double* to = wrapped + 3 * static_cast<size_t>(other.bead);
            const double* shift = &imageShifts[3 * other.image];
            double x = to[0] + shift[0] - from[0], y = to[1] + shift[1] - from[1], z = to[2] + shift[2] - from[2];
            double square = x * x + y * y + z * z;
            if (abs(square - limit) < BORDER * limit)
                square = squaredDistance(bead, other, positions);
            chunk.accepted[count] = k;
            count += square < limit;
        }
        rowLengths[bead] = count - before;
    }
}

void PairList::writePairs(size_t index, const BeadOrder* order) {
    const Chunk& chunk = chunks[index];
    int next = 0;
    for (size_t i = 0; i + 1 < chunk.start.size(); i++) {
        int bead = rowBeads[index * CHUNK_ROWS + i], first = order ? order->getPlace(bead) : bead;
        int64_t pair = firstPairs[bead];
        for (int k = 0; k < rowLengths[bead]; k++, pair++) {
            const Candidate& other = chunk.candidates[chunk.accepted[next++]];
            batch.indices[pair] = first;
            batch.indices[batch.size + pair] = order ? order->getPlace(other.bead) : other.bead;
            batch.edgeTypes[pair] = other.edgeType;
            findShift(bead, other, &batch.shifts[3 * pair]);
        }
    }
}

void PairList::writePadding() {
    for (int64_t k = batch.numPairs; k < batch.size; k++) {
        batch.indices[k] = batch.indices[batch.size + k] = 0;
        batch.shifts[3 * k] = 2 * cutoff;
        batch.shifts[3 * k + 1] = batch.shifts[3 * k + 2] = 0;
        batch.edgeTypes[k] = OtherMolecule;
    }
}

const PairBatch& PairList::update(const double* positions, const Box& box, const BeadOrder* order) {
    if (needsRebuild(positions, box))
        rebuild(positions, box);
    else
        wrap(positions);
    forChunks([&](size_t chunk) { selectPairs(chunk, positions); });
    int64_t count = 0;
    for (size_t place = 0; place < rowBeads.size(); place++) {
        int bead = order ? order->getBead(static_cast<int>(place)) : static_cast<int>(place);
        firstPairs[bead] = count;
        count += rowLengths[bead];
    }
    batch.numPairs = count;
    batch.size = max<int64_t>(1, (count + padding - 1) / padding) * padding;
    forChunks([&](size_t chunk) { writePairs(chunk, order); });
    writePadding();
    return batch;
}
