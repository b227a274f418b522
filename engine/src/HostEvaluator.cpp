#include "openmmcg/engine/HostEvaluator.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

static string beadName(const BeadSet& beads, const vector<string>& typeNames, size_t bead) {
    string name = "bead " + to_string(bead);
    if (!typeNames.empty())
        name +=
            " (type " + typeNames[beads.types[bead]] + ", replica " + to_string(beads.topology.replicas[bead]) + ")";
    return name;
}

string OpenMMCG::describeBadPosition(const BeadSet& beads, const vector<string>& typeNames, size_t bead) {
    return "The position of " + beadName(beads, typeNames, bead) + ", which is made of particle " +
           to_string(beads.particles[bead][0]) + (beads.particles[bead].size() > 1 ? " and others" : "") +
           ", is not a number. If the simulation has blown up, use a shorter time step or check the starting "
           "structure.";
}

string OpenMMCG::describeBadForce(const BeadSet& beads, const vector<string>& typeNames, size_t bead) {
    return "The model returned a force on " + beadName(beads, typeNames, bead) +
           " that is not a number. The configuration may be far from those that the model was trained on: check the "
           "starting structure, use a shorter time step, or add a repulsive prior.";
}

void OpenMMCG::checkOutput(const BeadSet& beads, const vector<string>& typeNames, const ModelOutput& output) {
    for (size_t i = 0; i < output.forces.size(); i++)
        if (!isfinite(output.forces[i]))
            throw ModelError(describeBadForce(beads, typeNames, i / 3));
    if (!isfinite(output.energy))
        throw ModelError("The model returned the energy " + to_string(output.energy) +
                         ", though all forces are numbers. Check the starting structure and the model.");
}

void OpenMMCG::checkCutoff(double cutoff, const Box& box, const string& boxName) {
    if (box.periodic && cutoff > box.maxCutoff())
        throw ModelError("The cutoff of the model (" + to_string(cutoff) + " nm) is more than half of the " + boxName +
                         " (" + to_string(box.maxCutoff()) + " nm). Use a larger box.");
}

HostEvaluator::HostEvaluator(int numParticles, const BeadSet& beads, const ModelFile& model,
                             unique_ptr<ModelRunner> runner, double skin, int numThreads)
    : numParticles(numParticles), numThreads(numThreads), interface(model.getInterface()), cutoff(model.getCutoff()),
      skin(skin), typeNames(model.getBeadTypes()), runner(std::move(runner)) {
    setBeads(beads);
}

void HostEvaluator::setBeads(const BeadSet& newBeads) {
    beads = newBeads;
    map = BeadMap(numParticles, beads.particles, beads.weights);
    positions.resize(3 * beads.types.size());
    pairList.reset();
    order.reset();
    near.reset();
}

/** Prepare for finding pairs, which is left out where they are given, or the model takes none. */
void HostEvaluator::createPairList() {
    pairList = make_unique<PairList>(beads.topology, cutoff, skin, 8, numThreads);
    if (runner->roundsPositions())
        near = make_unique<NearPositions>(beads.topology);
    if (runner->allowsReordering()) {
        order = make_unique<BeadOrder>(beads.topology.replicas, cutoff);
        if (order->isTrivial())
            order.reset();
    }
}

const vector<double>& HostEvaluator::computePositions(const double* particlePositions) {
    StageTimer timer(times[Map]);
    map.gather(particlePositions, positions.data());
    checkPositions();
    return positions;
}

void HostEvaluator::setPositions(const vector<double>& beadPositions) {
    positions = beadPositions;
    checkPositions();
}

void HostEvaluator::checkPositions() const {
    for (size_t i = 0; i < positions.size(); i++)
        if (!isfinite(positions[i]))
            throw ModelError(describeBadPosition(beads, typeNames, i / 3));
}

const PairBatch& HostEvaluator::findPairs(const Box& box) {
    if (interface != ModelFile::Pairs)
        return noPairs;
    StageTimer timer(times[List]);
    if (!pairList)
        createPairList();
    if (order)
        order->update(positions.data(), box);
    return pairList->update(positions.data(), box, order.get());
}

const ModelOutput& HostEvaluator::computeBeads(const Box& box, const vector<double>& parameters,
                                               const PairBatch* given) {
    checkCutoff(cutoff, box);
    const PairBatch& pairs = given == nullptr ? findPairs(box) : *given;
    numPairs = pairs.numPairs;
    StageTimer timer(times[Network]);
    // Pairs that are given have the beads' own numbers and positions.
    if (order && given == nullptr)
        evaluateReordered(pairs, parameters, box);
    else if (near && given == nullptr) {
        near->update(positions, pairs, box);
        runner->evaluate({near->getPositions(), beads.types, near->getPairs(), parameters, box}, output);
    }
    else
        runner->evaluate({positions, beads.types, pairs, parameters, box}, output);
    checkOutput(beads, typeNames, output);
    numEvaluations++;
    return output;
}

void HostEvaluator::evaluateReordered(const PairBatch& pairs, const vector<double>& parameters, const Box& box) {
    size_t numBeads = beads.types.size();
    orderedPositions.resize(3 * numBeads);
    orderedTypes.resize(numBeads);
    for (size_t place = 0; place < numBeads; place++) {
        size_t bead = static_cast<size_t>(order->getBead(static_cast<int>(place)));
        copy_n(&positions[3 * bead], 3, &orderedPositions[3 * place]);
        orderedTypes[place] = beads.types[bead];
    }
    runner->evaluate({orderedPositions, orderedTypes, pairs, parameters, box}, orderedOutput);
    output.energy = orderedOutput.energy;
    output.parameterDerivatives = orderedOutput.parameterDerivatives;
    output.beadEnergies.resize(numBeads);
    output.forces.resize(3 * numBeads);
    for (size_t place = 0; place < numBeads; place++) {
        size_t bead = static_cast<size_t>(order->getBead(static_cast<int>(place)));
        output.beadEnergies[bead] = orderedOutput.beadEnergies[place];
        copy_n(&orderedOutput.forces[3 * place], 3, &output.forces[3 * bead]);
    }
}

void HostEvaluator::addForces(double* particleForces) {
    StageTimer timer(times[Scatter]);
    map.scatterAdd(output.forces.data(), particleForces);
}
