#include "openmmcg/internal/CGKernelSetup.h"
#include <algorithm>
#include <cstdlib>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

BeadSet OpenMMCG::collectBeads(const CGForce& force) {
    BeadSet beads;
    for (int i = 0; i < force.getNumBeads(); i++) {
        vector<int> particles;
        vector<double> weights;
        int type, molecule, replica;
        force.getBeadParameters(i, particles, weights, type, molecule, replica);
        beads.particles.push_back(particles);
        beads.weights.push_back(weights);
        beads.types.push_back(type);
        beads.topology.molecules.push_back(molecule);
        beads.topology.replicas.push_back(replica);
    }
    for (int i = 0; i < force.getNumBonds(); i++) {
        pair<int, int> bond;
        force.getBondParameters(i, bond.first, bond.second);
        beads.topology.bonds.push_back(bond);
    }
    return beads;
}

vector<pair<int, int>> OpenMMCG::findBondedParticles(const BeadSet& beads) {
    vector<pair<int, int>> bonded;
    for (auto& particles : beads.particles)
        for (size_t k = 1; k < particles.size(); k++)
            bonded.push_back({particles[0], particles[k]});
    for (auto& bond : beads.topology.bonds) {
        int first = beads.particles[bond.first][0], second = beads.particles[bond.second][0];
        if (first != second)
            bonded.push_back({first, second});
    }
    return bonded;
}

void OpenMMCG::checkNumBeads(const CGForce& force, int expected) {
    if (force.getNumBeads() != expected)
        throw OpenMMException("updateParametersInContext: the number of beads has changed from " + to_string(expected) +
                              " to " + to_string(force.getNumBeads()) + ". Create a new Context.");
}

static RunnerOptions chooseOptions(const CGForce& force, const string& runner, bool doublePrecision,
                                   int platformThreads) {
    RunnerOptions options;
    const string &precision = force.getProperty("precision"), &threads = force.getProperty("threads");
    options.doublePrecision = precision == "double" || (doublePrecision && precision == "auto");
    // PyTorch's threads wait for each other actively, which ruins their speed where cores are shared.
    if (threads != "platform" && threads != "auto")
        options.numThreads = static_cast<int>(strtod(threads.c_str(), nullptr));
    else if (threads == "platform" || runner == "native")
        options.numThreads = platformThreads;
    options.parameterDerivatives = force.getNumEnergyParameterDerivatives() > 0;
    options.package = force.getProperty("package");
    return options;
}

CGKernelSetup::CGKernelSetup(ContextImpl& context, const CGForce& force, bool doublePrecision, int platformThreads)
    : numParticles(context.getSystem().getNumParticles()), beads(collectBeads(force)),
      typeNames(force.getModel().getBeadTypes()), periodic(force.usesPeriodicBoundaryConditions()),
      cutoff(force.getModel().getCutoff()), skin(atof(force.getProperty("skin").c_str())),
      interface(force.getModel().getInterface()) {
    for (int i = 0; i < force.getNumGlobalParameters(); i++)
        parameterNames.push_back(force.getGlobalParameterName(i));
    for (int i = 0; i < force.getNumEnergyParameterDerivatives(); i++) {
        auto name = find(parameterNames.begin(), parameterNames.end(), force.getEnergyParameterDerivativeName(i));
        derivativeIndices.push_back(name - parameterNames.begin());
    }
    runnerName = force.getProperty("runner");
    runnerReason = "the property 'runner' asks for it";
    if (runnerName == "auto")
        runnerName = ModelRunner::choose(force.getModel(), runnerReason);
    options = chooseOptions(force, runnerName, doublePrecision, platformThreads);
    Vec3 vectors[3];
    context.getSystem().getDefaultPeriodicBoxVectors(vectors[0], vectors[1], vectors[2]);
    withOpenMMErrors([&] { checkCutoff(cutoff, toBox(vectors, periodic), "default periodic box"); });
}

Box OpenMMCG::toBox(const Vec3 vectors[3], bool periodic) {
    Box box;
    box.periodic = periodic;
    for (int k = 0; k < 3; k++) {
        box.a[k] = vectors[0][k];
        box.b[k] = vectors[1][k];
        box.c[k] = vectors[2][k];
    }
    return box;
}

unique_ptr<HostEvaluator> CGKernelSetup::createHostEvaluator(const CGForce& force) const {
    return withOpenMMErrors([&] {
        return make_unique<HostEvaluator>(numParticles, beads, force.getModel(),
                                          ModelRunner::create(runnerName, force.getModel(), options), skin,
                                          options.numThreads);
    });
}

vector<double> CGKernelSetup::getParameters(ContextImpl& context) const {
    vector<double> values;
    for (const string& name : parameterNames)
        values.push_back(context.getParameter(name));
    return values;
}

void CGKernelSetup::addDerivatives(const vector<double>& values, map<string, double>& derivatives) const {
    for (size_t index : derivativeIndices)
        derivatives[parameterNames[index]] += values[index];
}

map<string, string> CGKernelSetup::getInfo() const {
    return {{"runner", runnerName},
            {"runner_reason", runnerReason},
            {"precision", options.doublePrecision ? "double" : "single"},
            {"threads", to_string(options.numThreads)}};
}

void OpenMMCG::addHostInfo(const HostEvaluator& evaluator, map<string, string>& info) {
    auto& times = evaluator.getTimes();
    info["evaluations"] = to_string(evaluator.getNumEvaluations());
    // insert() leaves what is known of a list on a device.
    info.insert({"pair_list", "host"});
    info.insert({"pairs", to_string(evaluator.getNumPairs())});
    const PairList* pairList = evaluator.getPairList();
    info.insert({"candidates", to_string(pairList == nullptr ? 0 : pairList->getNumCandidates())});
    info.insert({"list_rebuilds", to_string(pairList == nullptr ? 0 : pairList->getNumRebuilds())});
    info["time_map"] = to_string(times[HostEvaluator::Map]);
    info["time_list"] = to_string(times[HostEvaluator::List]);
    info["time_network"] = to_string(times[HostEvaluator::Network]);
    info["time_scatter"] = to_string(times[HostEvaluator::Scatter]);
}
