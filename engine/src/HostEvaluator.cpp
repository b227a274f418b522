#include "openmmcg/engine/HostEvaluator.h"
#include <chrono>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

namespace {

/** Adds the time until the end of its scope to a counter. */
class StageTimer {
public:
    explicit StageTimer(double& total) : total(total), start(chrono::steady_clock::now()) {}
    ~StageTimer() {
        total += chrono::duration<double>(chrono::steady_clock::now() - start).count();
    }

private:
    double& total;
    chrono::steady_clock::time_point start;
};

} // namespace

HostEvaluator::HostEvaluator(int numParticles, const BeadSet& beads, const ModelFile& model,
                             unique_ptr<ModelRunner> runner, double skin)
    : numParticles(numParticles), interface(model.getInterface()), cutoff(model.getCutoff()), skin(skin),
      typeNames(model.getBeadTypes()), runner(std::move(runner)) {
    setBeads(beads);
}

void HostEvaluator::setBeads(const BeadSet& newBeads) {
    beads = newBeads;
    map = BeadMap(numParticles, beads.particles, beads.weights);
    pairList = make_unique<PairList>(beads.topology, cutoff, skin);
    positions.resize(3 * beads.types.size());
}

string HostEvaluator::beadName(size_t bead) const {
    string name = "bead " + to_string(bead);
    if (!typeNames.empty())
        name +=
            " (type " + typeNames[beads.types[bead]] + ", replica " + to_string(beads.topology.replicas[bead]) + ")";
    return name;
}

const vector<double>& HostEvaluator::computePositions(const double* particlePositions) {
    StageTimer timer(times[Map]);
    map.gather(particlePositions, positions.data());
    for (size_t i = 0; i < positions.size(); i++)
        if (!isfinite(positions[i]))
            throw ModelError("The position of " + beadName(i / 3) + ", which is made of particle " +
                             to_string(beads.particles[i / 3][0]) +
                             (beads.particles[i / 3].size() > 1 ? " and others" : "") +
                             ", is not a number. If the simulation has blown up, use a shorter time step or check " +
                             "the starting structure.");
    return positions;
}

const ModelOutput& HostEvaluator::computeBeads(const double* particlePositions, const Box& box,
                                               const vector<double>& parameters) {
    computePositions(particlePositions);
    if (box.periodic && cutoff > box.maxCutoff())
        throw ModelError("The cutoff of the model (" + to_string(cutoff) +
                         " nm) is more than half of the periodic box (" + to_string(box.maxCutoff()) +
                         " nm). Use a larger box.");
    const PairBatch* pairs = &noPairs;
    if (interface == ModelFile::Pairs) {
        StageTimer timer(times[List]);
        pairs = &pairList->update(positions.data(), box);
        numPairs = pairs->numPairs;
    }
    StageTimer timer(times[Network]);
    runner->evaluate({positions, beads.types, *pairs, parameters, box}, output);
    checkOutput();
    numEvaluations++;
    return output;
}

void HostEvaluator::checkOutput() const {
    for (size_t i = 0; i < output.forces.size(); i++)
        if (!isfinite(output.forces[i]))
            throw ModelError(
                "The model returned a force on " + beadName(i / 3) +
                " that is not a number. The configuration may be far from those that the model was trained " +
                "on: check the starting structure, use a shorter time step, or add a repulsive prior.");
}

void HostEvaluator::addForces(double* particleForces) {
    StageTimer timer(times[Scatter]);
    map.scatterAdd(output.forces.data(), particleForces);
}
