#include "openmmcg/common/CommonPairList.h"
#include "CommonCGKernelSources.h"
#include "DeviceValues.h"
#include "openmm/OpenMMException.h"
#include <cmath>
#include <map>
#include <numeric>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

namespace {

// The blocks of threads in pairList.cc.
const int TILE = 32, SCAN_SIZE = 128;
// Cells are a little wider than the list, so that rounding cannot move a neighbour out of the cells around.
const double CELL_MARGIN = 1.001;
// A search comes a little before a bead has moved by half the skin, for the same reason.
const double DISPLACEMENT_MARGIN = 0.999;
const int FIRST_ROW_LENGTH = 128;

int withReserve(int64_t number) {
    int64_t result = (number + number / 8 + 127) / 64 * 64;
    if (result > 500000000)
        throw OpenMMException("CGForce: the pair list needs room for " + to_string(number) +
                              " pairs, more than a device can count. Check the density of the beads and the cutoff.");
    return static_cast<int>(result);
}

} // namespace

CommonPairList::CommonPairList(ComputeContext& cc, const BeadTopology& topology, double cutoff, double skin,
                               bool periodic, bool modelIsDouble, int allPairsLimit)
    : cc(cc), numBeads(static_cast<int>(topology.replicas.size())), cutoff(cutoff), skin(skin), periodic(periodic) {
    map<int, int> sizes;
    for (int replica : topology.replicas)
        sizes[replica]++;
    int largest = 0;
    for (auto& size : sizes)
        largest = max(largest, size.second);
    usesCells = largest > allPairsLimit;
    setTopology(topology);

    initializeMixed(builtBeads, cc, numBeads, 4, "cgBuiltBeads");
    uploadTo(rowCount, cc, vector<int>(numBeads), "cgRowCount"); // counted before there has been a search, too
    pairCount.initialize<int>(cc, numBeads, "cgPairCount");
    pairStart.initialize<int>(cc, numBeads, "cgPairStart");
    deviceState.initialize<int>(cc, sizeof(State) / sizeof(int), "cgListState");
    deviceState.upload(&state);
    if (usesCells)
        homes.initialize<int>(cc, numBeads, "cgHomes");
    firstRowLength = min(max(1, largest - 1), FIRST_ROW_LENGTH);
    reported = cc.createEvent();
    createKernels(modelIsDouble);
    setRowLength(firstRowLength);
}

void CommonPairList::setTopology(const BeadTopology& topology) {
    // Replicas may have any indices; cells need small ones.
    map<int, int> indices;
    for (int replica : topology.replicas)
        indices.insert({replica, 0});
    numReplicas = 0;
    for (auto& index : indices)
        index.second = numReplicas++;
    vector<int> replicaOf;
    vector<vector<int>> membersOf(numReplicas);
    for (int bead = 0; bead < numBeads; bead++) {
        replicaOf.push_back(indices[topology.replicas[bead]]);
        membersOf[replicaOf.back()].push_back(bead);
    }
    uploadTo(replicas, cc, replicaOf, "cgReplicas");
    uploadTo(molecules, cc, topology.molecules, "cgMolecules");

    vector<int> starts = {0}, nearBeads;
    for (auto& beads : findNearBeads(topology)) {
        for (auto& entry : beads)
            nearBeads.push_back(entry.first * 8 + static_cast<int>(entry.second));
        starts.push_back(static_cast<int>(nearBeads.size()));
    }
    uploadTo(nearStart, cc, starts, "cgNearStart");
    uploadTo(near, cc, nearBeads, "cgNear");

    if (usesCells) {
        cellsPerAxis = max(1, static_cast<int>(cbrt(8.0 * numBeads / numReplicas)));
        vector<int> empty(static_cast<size_t>(numReplicas) * cellsPerAxis * cellsPerAxis * cellsPerAxis);
        uploadTo(cellCount, cc, empty, "cgCellCount");
        uploadTo(cellStart, cc, empty, "cgCellStart");
        uploadTo(cellEnd, cc, empty, "cgCellEnd");
        uploadTo(members, cc, replicaOf, "cgCellMembers");
    }
    else {
        // The replicas stand for cells, and their members are in order already.
        vector<int> begin, end, all;
        for (auto& group : membersOf) {
            begin.push_back(static_cast<int>(all.size()));
            all.insert(all.end(), group.begin(), group.end());
            end.push_back(static_cast<int>(all.size()));
        }
        uploadTo(cellStart, cc, begin, "cgCellStart");
        uploadTo(cellEnd, cc, end, "cgCellEnd");
        uploadTo(members, cc, all, "cgCellMembers");
    }
    mustSearch = true;
}

void CommonPairList::createKernels(bool modelIsDouble) {
    map<string, string> defines = {{"TILE", cc.intToString(TILE)},
                                   {"SCAN_SIZE", cc.intToString(SCAN_SIZE)},
                                   {"modelReal", modelIsDouble ? "double" : "float"}};
    if (periodic)
        defines.insert({"PERIODIC", "1"});
    if (usesCells)
        defines.insert({"CELLS", "1"});
    ComputeProgram program = cc.compileProgram(KernelSources::pairList, defines);
    displacementKernel = program->createKernel("checkDisplacement");
    displacementKernel->addArg(); // beads
    displacementKernel->addArg(builtBeads);
    displacementKernel->addArg(); // square of the allowed displacement
    displacementKernel->addArg(); // whether a search is due anyway
    for (int k = 0; k < 4; k++)
        displacementKernel->addArg(); // box
    displacementKernel->addArg(deviceState);
    displacementKernel->addArg(numBeads);
    addSearchKernels(program);
    countKernel = program->createKernel("countPairs");
    writeKernel = program->createKernel("writePairs");
    for (auto& kernel : {countKernel, writeKernel}) {
        kernel->addArg(); // beads
        kernel->addArg(rowCount);
        kernel->addArg(); // rows and their length
        kernel->addArg();
        for (int k = 0; k < 4; k++)
            kernel->addArg(); // box
        kernel->addArg();     // square of the cutoff
        setMixedArg(cc, kernel, 8, cutoff * cutoff);
    }
    countKernel->addArg(pairCount);
    countKernel->addArg(numBeads);
    scanKernel = program->createKernel("scanPairs");
    scanKernel->addArg(pairCount);
    scanKernel->addArg(pairStart);
    scanKernel->addArg(deviceState);
    scanKernel->addArg(numBeads);
    writeKernel->addArg();
    setMixedArg(cc, writeKernel, 9, 2 * cutoff);
    writeKernel->addArg(pairStart);
    for (int k = 0; k < 4; k++)
        writeKernel->addArg(); // capacity and buffers
    writeKernel->addArg(deviceState);
    writeKernel->addArg(numBeads);
}

void CommonPairList::addSearchKernels(const ComputeProgram& program) {
    auto addBox = [](const ComputeKernel& kernel) {
        for (int k = 0; k < 5; k++)
            kernel->addArg(); // grid, box vectors, inverse box
    };
    if (usesCells) {
        clearKernel = program->createKernel("clearCells");
        clearKernel->addArg(); // number of cells
        clearKernel->addArg(cellCount);
        clearKernel->addArg(deviceState);
        countCellsKernel = program->createKernel("countCells");
        fillKernel = program->createKernel("fillCells");
        countCellsKernel->addArg(); // beads
        countCellsKernel->addArg(replicas);
        addBox(countCellsKernel);
        countCellsKernel->addArg(homes);
        countCellsKernel->addArg(cellCount);
        countCellsKernel->addArg(deviceState);
        countCellsKernel->addArg(numBeads);
        fillKernel->addArg(homes);
        fillKernel->addArg(cellEnd);
        fillKernel->addArg(members);
        fillKernel->addArg(deviceState);
        fillKernel->addArg(numBeads);
        allocateKernel = program->createKernel("allocateCells");
        allocateKernel->addArg(); // number of cells
        allocateKernel->addArg(cellCount);
        allocateKernel->addArg(cellStart);
        allocateKernel->addArg(cellEnd);
        allocateKernel->addArg(deviceState);
        sortKernel = program->createKernel("sortCandidates");
        sortKernel->addArg(rowCount);
        for (int k = 0; k < 3; k++)
            sortKernel->addArg(); // rows and their length
        sortKernel->addArg(deviceState);
        sortKernel->addArg(numBeads);
    }
    searchKernel = program->createKernel("findCandidates");
    searchKernel->addArg(); // beads
    for (ComputeArray* array :
         {usesCells ? &homes : &replicas, &cellStart, &cellEnd, &members, &molecules, &nearStart, &near})
        searchKernel->addArg(*array);
    addBox(searchKernel);
    searchKernel->addArg(); // square of the radius
    searchKernel->addArg(); // length of rows
    searchKernel->addArg(rowCount);
    searchKernel->addArg(); // rows
    searchKernel->addArg(builtBeads);
    searchKernel->addArg(deviceState);
    searchKernel->addArg(numBeads);
}

void CommonPairList::setRowLength(int length) {
    mustSearch = true;
    rowLength = 0; // Kernels must not run on what is left if this fails.
    size_t size = static_cast<size_t>(numBeads) * length;
    recreate(rows, cc, size, sizeof(int), "cgRows");
    if (usesCells) {
        recreate(unsortedRows, cc, size, sizeof(int), "cgUnsortedRows");
        sortKernel->setArg(1, *unsortedRows);
        sortKernel->setArg(2, *rows);
        sortKernel->setArg(3, length);
    }
    for (auto& kernel : {countKernel, writeKernel}) {
        kernel->setArg(2, *rows);
        kernel->setArg(3, length);
    }
    searchKernel->setArg(14, length);
    searchKernel->setArg(16, usesCells ? *unsortedRows : *rows);
    rowLength = length;
}

/** Make room for the candidates that the last search found. */
void CommonPairList::growRows() {
    vector<int> counts;
    rowCount.download(counts);
    int longest = *max_element(counts.begin(), counts.end()), length = withReserve(longest);
    if (static_cast<int64_t>(numBeads) * length > INT32_MAX)
        throw OpenMMException("CGForce: there are " + to_string(numBeads) + " beads, and one has " +
                              to_string(longest) + " neighbours, too many for the pair list of a device. Check the " +
                              "positions of the beads, or simulate fewer at once.");
    setRowLength(length);
}

void CommonPairList::setBuffers(const ModelBuffers& buffers, int newCapacity) {
    capacity = newCapacity;
    writeKernel->setArg(11, capacity);
    buffers.pairs.setArg(writeKernel, 12);
    buffers.shifts.setArg(writeKernel, 13);
    buffers.edgeTypes.setArg(writeKernel, 14);
}

bool CommonPairList::hasRoom() const {
    return capacity > 0 && state.numPairs <= capacity;
}

int CommonPairList::getRecommendedCapacity() const {
    return withReserve(state.numPairs);
}

void CommonPairList::chooseGrid(const Box& box) {
    double usedSkin = periodic ? max(0.0, min(skin, box.maxCutoff() - cutoff)) : skin, radius = cutoff + usedSkin;
    double allowed = DISPLACEMENT_MARGIN * 0.5 * usedSkin;
    setMixedArg(cc, displacementKernel, 2, allowed * allowed);
    setMixedArg(cc, searchKernel, 13, radius * radius);
    int size[3] = {cellsPerAxis, cellsPerAxis, cellsPerAxis};
    if (periodic) {
        double width[3];
        box.faceDistances(width);
        for (int k = 0; k < 3; k++)
            size[k] = max(1, min(cellsPerAxis, static_cast<int>(width[k] / (CELL_MARGIN * radius))));
    }
    grid = mm_int4(size[0], size[1], size[2], 0);
    numCells = numReplicas * size[0] * size[1] * size[2];

    // The last number is for Systems without a box, whose cells have a width but no box vectors.

    auto setArgs = [&](const ComputeKernel& kernel, int index) {
        setBoxArgs(cc, kernel, index, box, 1 / (CELL_MARGIN * radius));
    };
    setArgs(displacementKernel, 4);
    setArgs(countKernel, 4);
    setArgs(writeKernel, 4);
    searchKernel->setArg(8, grid);
    setArgs(searchKernel, 9);
    if (usesCells) {
        clearKernel->setArg(0, numCells);
        allocateKernel->setArg(0, numCells);
        countCellsKernel->setArg(2, grid);
        setArgs(countCellsKernel, 3);
    }
}

void CommonPairList::update(ComputeArray& beads, const Box& box) {
    if (rowLength == 0)
        setRowLength(firstRowLength);
    if (mustSearch || !(box == lastBox)) {
        chooseGrid(box);
        mustSearch = true;
        lastBox = box;
    }
    for (auto& kernel : {displacementKernel, searchKernel, countKernel, writeKernel})
        kernel->setArg(0, beads);
    displacementKernel->setArg(3, mustSearch ? 1 : 0);
    displacementKernel->execute(numBeads);
    mustSearch = false;
    if (usesCells) {
        countCellsKernel->setArg(0, beads);
        clearKernel->execute(numCells);
        countCellsKernel->execute(numBeads);
        allocateKernel->execute(numCells);
        fillKernel->execute(numBeads);
    }
    searchKernel->execute(numBeads);
    if (usesCells)
        sortKernel->execute(numBeads * TILE, TILE);
    countKernel->execute(numBeads * TILE, TILE);
    scanKernel->execute(SCAN_SIZE, SCAN_SIZE);
    if (capacity > 0)
        writeKernel->execute(numBeads * TILE, TILE);
    deviceState.download(report, false);
    reported->enqueue();
}

bool CommonPairList::check() {
    reported->wait();
    state = *report;
    // Rows that are cut off stay marked until there is room for them, for this may fail.
    if (state.longRow != 0)
        growRows();
    bool complete = state.longRow == 0 && hasRoom();
    // Forces that came from an incomplete list do not count.
    if (!complete || state.badBead != 0 || state.badForce != 0)
        clearReports();
    return complete;
}

void CommonPairList::forget() {
    reported->wait();
    state = *report;
    clearReports();
    mustSearch = true;
}

void CommonPairList::clearReports() {
    State cleared = state;
    cleared.longRow = cleared.badBead = cleared.badForce = 0;
    deviceState.upload(&cleared);
}

int64_t CommonPairList::countCandidates() {
    vector<int> counts;
    rowCount.download(counts);
    return accumulate(counts.begin(), counts.end(), int64_t(0));
}
