#include "openmmcg/common/HostPathCGKernel.h"
#include "DeviceValues.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

bool HostPathCalcCGForceKernel::modelIsDouble() const {
    return mixedIsDouble(cc);
}

void HostPathCalcCGForceKernel::initializeModel(const CGForce& force) {
    evaluator = setup.createHostEvaluator(force);
}

ModelBuffers HostPathCalcCGForceKernel::createBuffers(int capacity) {
    if (!positions.isInitialized()) {
        initializeMixed(positions, cc, 3 * setup.beads.types.size(), 1, "cgPositions");
        initializeMixed(forces, cc, 3 * setup.beads.types.size(), 1, "cgForces");
    }
    if (capacity > 0 && !pairs.isInitialized()) {
        pairs.initialize<int64_t>(cc, 2 * static_cast<size_t>(capacity), "cgPairs");
        initializeMixed(shifts, cc, 3 * static_cast<size_t>(capacity), 1, "cgShifts");
        edgeTypes.initialize<int64_t>(cc, capacity, "cgEdgeTypes");
    }
    else if (capacity > 0) {
        pairs.resize(2 * static_cast<size_t>(capacity));
        shifts.resize(3 * static_cast<size_t>(capacity));
        edgeTypes.resize(capacity);
    }
    ModelBuffers buffers;
    buffers.positions = DeviceBuffer(positions);
    buffers.pairs = DeviceBuffer(pairs);
    buffers.shifts = DeviceBuffer(shifts);
    buffers.edgeTypes = DeviceBuffer(edgeTypes);
    buffers.forces = DeviceBuffer(forces);
    return buffers;
}

const PairBatch* HostPathCalcCGForceKernel::downloadPairs() {
    StageTimer timer(evaluator->getTime(HostEvaluator::List));
    batch.numPairs = getPairList()->getState().numPairs;
    batch.size = getPairList()->getCapacity();
    pairs.download(batch.indices);
    shifts.download(batch.shifts, true);
    edgeTypes.download(batch.edgeTypes);
    return &batch;
}

double HostPathCalcCGForceKernel::computeModel(const vector<double>& parameters, bool includeForces, bool) {
    if (!listIsComplete())
        return 0; // OpenMM is going to repeat the evaluation
    const PairBatch* found = getPairList() == nullptr ? nullptr : downloadPairs();
    {
        StageTimer timer(evaluator->getTime(HostEvaluator::Map));
        positions.download(hostPositions, true);
    }
    withOpenMMErrors([&] {
        evaluator->setPositions(hostPositions);
        output = &evaluator->computeBeads(box, parameters, found);
    });
    if (includeForces) {
        StageTimer timer(evaluator->getTime(HostEvaluator::Scatter));
        forces.upload(output->forces, true);
    }
    return output->energy;
}

void HostPathCalcCGForceKernel::updateBeads() {
    evaluator->setBeads(setup.beads);
}

map<string, string> HostPathCalcCGForceKernel::getInfo() const {
    map<string, string> info = CommonCalcCGForceKernel::getInfo();
    addHostInfo(*evaluator, info);
    return info;
}
