#include "openmmcg/common/CommonCGKernels.h"
#include "DeviceValues.h"
#include "openmm/common/ContextSelector.h"
#include "openmm/internal/ThreadPool.h"
#include <cmath>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

/**
 * Keeps the particles of a bead, and of bonded beads, in one molecule where the platform moves molecules into the box.
 * Particles may change places freely, since the beads follow their order.
 */
class CommonCalcCGForceKernel::ForceInfo : public ComputeForceInfo {
public:
    explicit ForceInfo(const BeadSet& beads) : bonded(findBondedParticles(beads)) {}
    int getNumParticleGroups() override {
        return static_cast<int>(bonded.size());
    }
    void getParticlesInGroup(int index, vector<int>& particles) override {
        particles = {bonded[index].first, bonded[index].second};
    }

private:
    vector<pair<int, int>> bonded;
};

/**
 * Looks at the list of pairs when everything else has been handed to the device.
 */
class CommonCalcCGForceKernel::ListCheck : public ComputeContext::ForcePostComputation {
public:
    explicit ListCheck(CommonCalcCGForceKernel& kernel) : kernel(kernel) {}
    double computeForceAndEnergy(bool, bool, int) override {
        // The kernel may not have been executed: its force group may be left out.
        if (!kernel.listIsComplete()) {
            kernel.cc.setForcesValid(false);
            kernel.complete = true;
        }
        return 0;
    }

private:
    CommonCalcCGForceKernel& kernel;
};

void OpenMMCG::checkOneDevice(const ComputeContext& cc) {
    if (cc.getNumContexts() > 1)
        throw OpenMMException("CGForce: the Context uses " + to_string(cc.getNumContexts()) +
                              " devices, but a model is evaluated on one. Set DeviceIndex to a single index, and use a "
                              "Context for each device to use them all.");
}

CommonCalcCGForceKernel::CommonCalcCGForceKernel(const string& name, const Platform& platform, ComputeContext& cc)
    : CalcCGForceKernel(name, platform), cc(cc) {}

void CommonCalcCGForceKernel::initialize(ContextImpl& context, const CGForce& force) {
    ContextSelector selector(cc);
    setup = CGKernelSetup(context, force, cc.getUseDoublePrecision(), cc.getThreadPool().getNumThreads());
    for (size_t index : setup.derivativeIndices)
        cc.addEnergyParameterDerivative(setup.parameterNames[index]);
    beadMap = make_unique<CommonBeadMap>(cc, setup.beads, modelIsDouble());
    if (setup.interface == ModelFile::Pairs && findsPairsOnDevice(force.getProperty("pairList")))
        pairList = make_unique<CommonPairList>(cc, setup.beads.topology, setup.cutoff, setup.skin, setup.periodic,
                                               modelIsDouble());
    initializeModel(force);
    buffers = createBuffers(0);
    cc.addForce(new ForceInfo(setup.beads));
    cc.addPostComputation(new ListCheck(*this));
}

void CommonCalcCGForceKernel::findBeads() {
    box = currentBox(cc, setup.periodic);
    withOpenMMErrors([&] { checkCutoff(setup.cutoff, box); });
    beadMap->gather(buffers.positions);
    if (pairList) {
        pairList->update(beadMap->getBeads(), box);
        listIsUnchecked = true;
    }
}

bool CommonCalcCGForceKernel::listIsComplete() {
    if (!listIsUnchecked)
        return complete;
    listIsUnchecked = false;
    complete = pairList->check();
    const CommonPairList::State& state = pairList->getState();
    if (state.badBead != 0)
        throw OpenMMException("CGForce: " + describeBadPosition(setup.beads, setup.typeNames, state.badBead - 1));
    if (!pairList->hasRoom()) {
        int capacity = pairList->getRecommendedCapacity();
        // Without enough memory the old buffers are gone too: nothing may be written to them, and the next evaluation
        // has to begin with the list.
        pairList->releaseBuffers();
        isFirst = true;
        buffers = createBuffers(capacity);
        pairList->setBuffers(buffers, capacity);
    }
    return complete;
}

double CommonCalcCGForceKernel::execute(ContextImpl& context, bool includeForces, bool includeEnergy) {
    ContextSelector selector(cc);
    findBeads();
    // How large the list must be is known after the first time; until then there is no sense in evaluating the model.
    while (isFirst && !listIsComplete())
        findBeads();
    isFirst = false;
    double energy = computeModel(setup.getParameters(context), includeForces, includeEnergy);
    if (includeForces)
        beadMap->scatter(buffers.forces);
    if (!setup.derivativeIndices.empty() && listIsComplete())
        setup.addDerivatives(getParameterDerivatives(), cc.getEnergyParamDerivWorkspace());
    return energy;
}

void CommonCalcCGForceKernel::copyParametersToContext(ContextImpl&, const CGForce& force) {
    checkNumBeads(force, static_cast<int>(setup.beads.types.size()));
    ContextSelector selector(cc);
    setup.beads = collectBeads(force);
    beadMap->setBeads(setup.beads);
    if (pairList)
        pairList->setTopology(setup.beads.topology);
    updateBeads();
}

BeadState CommonCalcCGForceKernel::getBeadState(ContextImpl& context, bool evaluate) {
    ContextSelector selector(cc);
    BeadState state;
    if (evaluate) {
        do
            findBeads();
        while (!listIsComplete());
        isFirst = false;
        computeModel(setup.getParameters(context), true, true);
        state.output = getModelOutput();
    }
    else
        beadMap->gather(buffers.positions);
    state.positions = beadMap->download();
    for (size_t i = 0; i < state.positions.size(); i++)
        if (!isfinite(state.positions[i]))
            throw OpenMMException("CGForce: " + describeBadPosition(setup.beads, setup.typeNames, i / 3));
    return state;
}

map<string, string> CommonCalcCGForceKernel::getInfo() const {
    map<string, string> info = setup.getInfo();
    if (pairList) {
        ContextSelector selector(cc);
        info["pair_list"] = "device";
        info["pairs"] = to_string(pairList->getState().numPairs);
        info["candidates"] = to_string(pairList->countCandidates());
        info["list_rebuilds"] = to_string(pairList->getState().numSearches);
    }
    return info;
}
