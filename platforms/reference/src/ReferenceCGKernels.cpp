#include "ReferenceCGKernels.h"
#include "openmm/OpenMMException.h"
#include "openmm/reference/ReferencePlatform.h"
#include <cstdlib>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

static ReferencePlatform::PlatformData& platformData(ContextImpl& context) {
    return *static_cast<ReferencePlatform::PlatformData*>(context.getPlatformData());
}

/** Vec3 is three doubles in a row, which is how the engine takes coordinates. */
static double* coordinates(vector<Vec3>& values) {
    static_assert(sizeof(Vec3) == 3 * sizeof(double), "Vec3 must be three doubles");
    return &values[0][0];
}

static Box currentBox(ContextImpl& context, bool periodic) {
    Box box;
    box.periodic = periodic;
    Vec3* vectors = platformData(context).periodicBoxVectors;
    for (int k = 0; k < 3; k++) {
        box.a[k] = vectors[0][k];
        box.b[k] = vectors[1][k];
        box.c[k] = vectors[2][k];
    }
    return box;
}

static BeadSet collectBeads(const CGForce& force) {
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

static RunnerOptions chooseOptions(ContextImpl& context, const CGForce& force, const string& runner) {
    const Platform& platform = context.getPlatform();
    RunnerOptions options;
    bool isReference = platform.getName() == "Reference";
    options.doublePrecision = isReference || force.getProperty("precision") == "double";
    // PyTorch's threads wait for each other actively, which ruins their speed where cores are shared.
    const string& threads = force.getProperty("threads");
    if (threads != "platform" && threads != "auto")
        options.numThreads = atoi(threads.c_str());
    else if (!isReference && (threads == "platform" || runner == "native"))
        options.numThreads = atoi(platform.getPropertyValue(context.getOwner(), "Threads").c_str());
    options.parameterDerivatives = force.getNumEnergyParameterDerivatives() > 0;
    options.package = force.getProperty("package");
    return options;
}

void ReferenceCalcCGForceKernel::initialize(ContextImpl& context, const CGForce& force) {
    periodic = force.usesPeriodicBoundaryConditions();
    numBeads = force.getNumBeads();
    for (int i = 0; i < force.getNumGlobalParameters(); i++)
        parameterNames.push_back(force.getGlobalParameterName(i));
    for (int i = 0; i < force.getNumEnergyParameterDerivatives(); i++)
        for (size_t k = 0; k < parameterNames.size(); k++)
            if (parameterNames[k] == force.getEnergyParameterDerivativeName(i))
                derivativeIndices.push_back(k);
    parameterValues.resize(parameterNames.size());
    runnerName = force.getProperty("runner");
    runnerReason = "the property 'runner' asks for it";
    if (runnerName == "auto")
        runnerName = ModelRunner::choose(force.getModel(), runnerReason);
    options = chooseOptions(context, force, runnerName);
    try {
        evaluator =
            make_unique<HostEvaluator>(context.getSystem().getNumParticles(), collectBeads(force), force.getModel(),
                                       ModelRunner::create(runnerName, force.getModel(), options),
                                       atof(force.getProperty("skin").c_str()), options.numThreads);
    }
    catch (const ModelError& error) {
        throw OpenMMException(string("CGForce: ") + error.what());
    }
    if (periodic) {
        Vec3 a, b, c;
        context.getSystem().getDefaultPeriodicBoxVectors(a, b, c);
        double largest = 0.5 * min({a[0], b[1], c[2]});
        if (force.getModel().getCutoff() > largest)
            throw OpenMMException("CGForce: the cutoff of the model (" + to_string(force.getModel().getCutoff()) +
                                  " nm) is more than half of the default periodic box (" + to_string(largest) +
                                  " nm). Use a larger box.");
    }
}

const ModelOutput& ReferenceCalcCGForceKernel::computeBeads(ContextImpl& context) {
    for (size_t i = 0; i < parameterNames.size(); i++)
        parameterValues[i] = context.getParameter(parameterNames[i]);
    try {
        return evaluator->computeBeads(coordinates(*platformData(context).positions), currentBox(context, periodic),
                                       parameterValues);
    }
    catch (const ModelError& error) {
        throw OpenMMException(string("CGForce: ") + error.what());
    }
}

double ReferenceCalcCGForceKernel::execute(ContextImpl& context, bool includeForces, bool) {
    const ModelOutput& output = computeBeads(context);
    if (includeForces)
        evaluator->addForces(coordinates(*platformData(context).forces));
    for (size_t index : derivativeIndices)
        (*platformData(context).energyParameterDerivatives)[parameterNames[index]] +=
            output.parameterDerivatives[index];
    return output.energy;
}

void ReferenceCalcCGForceKernel::copyParametersToContext(ContextImpl&, const CGForce& force) {
    if (force.getNumBeads() != numBeads)
        throw OpenMMException("updateParametersInContext: the number of beads has changed from " + to_string(numBeads) +
                              " to " + to_string(force.getNumBeads()) + ". Create a new Context.");
    evaluator->setBeads(collectBeads(force));
}

BeadState ReferenceCalcCGForceKernel::getBeadState(ContextImpl& context, bool evaluate) {
    BeadState state;
    if (evaluate)
        state.output = computeBeads(context);
    try {
        state.positions = evaluator->computePositions(coordinates(*platformData(context).positions));
    }
    catch (const ModelError& error) {
        throw OpenMMException(string("CGForce: ") + error.what());
    }
    return state;
}

map<string, string> ReferenceCalcCGForceKernel::getInfo() const {
    auto& times = evaluator->getTimes();
    return {{"runner", runnerName},
            {"runner_reason", runnerReason},
            {"precision", options.doublePrecision ? "double" : "single"},
            {"threads", to_string(options.numThreads)},
            {"evaluations", to_string(evaluator->getNumEvaluations())},
            {"pairs", to_string(evaluator->getNumPairs())},
            {"candidates", to_string(evaluator->getPairList().getNumCandidates())},
            {"list_rebuilds", to_string(evaluator->getPairList().getNumRebuilds())},
            {"time_map", to_string(times[HostEvaluator::Map])},
            {"time_list", to_string(times[HostEvaluator::List])},
            {"time_network", to_string(times[HostEvaluator::Network])},
            {"time_scatter", to_string(times[HostEvaluator::Scatter])}};
}
