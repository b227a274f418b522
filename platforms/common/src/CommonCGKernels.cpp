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
    ListCheck(CommonCalcCGForceKernel& kernel, int forceGroup) : kernel(kernel), groupBit(1 << forceGroup) {}
    double computeForceAndEnergy(bool, bool, int groups) override {
        // Where its force group is left out, the kernel has not been executed.
        if ((groups & groupBit) != 0 && !kernel.listIsComplete())
            kernel.cc.setForcesValid(false);
        return 0;
    }

private:
    CommonCalcCGForceKernel& kernel;
    int groupBit;
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
    if (setup.interface == ModelFile::Pairs && findsPairsOnDevice(force.getProperty("pairList")))
        pairList = make_unique<CommonPairList>(cc, setup.beads.topology, setup.cutoff, setup.skin, setup.periodic,
                                               modelIsDouble());
    beadMap = make_unique<CommonBeadMap>(cc, setup.beads, modelIsDouble(), setup.periodic,
                                         pairList ? &pairList->getDeviceState() : nullptr);
    initializeModel(force);
    buffers = createBuffers(0);
    cc.addForce(new ForceInfo(setup.beads));
    cc.addPostComputation(new ListCheck(*this, force.getForceGroup()));
}

void CommonCalcCGForceKernel::findBeads() {
    // Whatever is left from an evaluation that an exception has cut short, be it another Force's, is not of this one.
    if (listIsUnchecked)
        pairList->forget();
    listIsUnchecked = false;
    complete = true;
    box = currentBox(cc, setup.periodic);
    withOpenMMErrors([&] { checkCutoff(setup.cutoff, box); });
    // Models that take positions alone may see them where they are, and a list on the host expects steady ones.
    beadMap->gather(buffers.positions, pairList != nullptr);
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
    // What comes first is the reason for the rest.
    if (state.badForce != 0)
        throw OpenMMException("CGForce: " + describeBadForce(setup.beads, setup.typeNames, state.badForce - 1));
    if (state.badBead != 0) {
        // The bead may have been told by another one, close to which it was moved.
        downloadPositions();
        throw OpenMMException("CGForce: " + describeBadPosition(setup.beads, setup.typeNames, state.badBead - 1));
    }
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
    // Where the list is known to be incomplete, OpenMM is going to repeat the evaluation.
    if (includeForces && complete)
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
    state.positions = downloadPositions();
    return state;
}

/** Compute the positions of the beads where particles are for the user. This waits for the device. */
vector<double> CommonCalcCGForceKernel::downloadPositions() {
    beadMap->gather(buffers.positions, false);
    vector<double> positions = beadMap->download();
    for (size_t i = 0; i < positions.size(); i++)
        if (!isfinite(positions[i]))
            throw OpenMMException("CGForce: " + describeBadPosition(setup.beads, setup.typeNames, i / 3));
    return positions;
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
