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
    ModelBuffers buffers;
    buffers.positions = DeviceBuffer(positions);
    buffers.forces = DeviceBuffer(forces);
    if (capacity > 0) {
        recreate(pairs, cc, 2 * static_cast<size_t>(capacity), sizeof(int64_t), "cgPairs");
        recreate(shifts, cc, 3 * static_cast<size_t>(capacity), forces.getElementSize(), "cgShifts");
        recreate(edgeTypes, cc, capacity, sizeof(int64_t), "cgEdgeTypes");
        buffers.pairs = DeviceBuffer(*pairs);
        buffers.shifts = DeviceBuffer(*shifts);
        buffers.edgeTypes = DeviceBuffer(*edgeTypes);
    }
    return buffers;
}

const PairBatch* HostPathCalcCGForceKernel::downloadPairs() {
    StageTimer timer(evaluator->getTime(HostEvaluator::List));
    batch.numPairs = getPairList()->getState().numPairs;
    batch.size = getPairList()->getCapacity();
    pairs->download(batch.indices);
    shifts->download(batch.shifts, true);
    edgeTypes->download(batch.edgeTypes);
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
