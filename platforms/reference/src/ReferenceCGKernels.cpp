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
    return toBox(platformData(context).periodicBoxVectors, periodic);
}

void ReferenceCalcCGForceKernel::initialize(ContextImpl& context, const CGForce& force) {
    const Platform& platform = context.getPlatform();
    bool isReference = platform.getName() == "Reference";
    int threads = isReference ? 1 : atoi(platform.getPropertyValue(context.getOwner(), "Threads").c_str());
    setup = CGKernelSetup(context, force, isReference, threads);
    if (isReference)
        setup.options.doublePrecision = true;
    evaluator = setup.createHostEvaluator(force);
}

const ModelOutput& ReferenceCalcCGForceKernel::computeBeads(ContextImpl& context) {
    return withOpenMMErrors([&]() -> const ModelOutput& {
        evaluator->computePositions(coordinates(*platformData(context).positions));
        return evaluator->computeBeads(currentBox(context, setup.periodic), setup.getParameters(context));
    });
}

double ReferenceCalcCGForceKernel::execute(ContextImpl& context, bool includeForces, bool) {
    const ModelOutput& output = computeBeads(context);
    if (includeForces)
        evaluator->addForces(coordinates(*platformData(context).forces));
    setup.addDerivatives(output.parameterDerivatives, *platformData(context).energyParameterDerivatives);
    return output.energy;
}

void ReferenceCalcCGForceKernel::copyParametersToContext(ContextImpl&, const CGForce& force) {
    checkNumBeads(force, static_cast<int>(setup.beads.types.size()));
    setup.beads = collectBeads(force);
    evaluator->setBeads(setup.beads);
}

BeadState ReferenceCalcCGForceKernel::getBeadState(ContextImpl& context, bool evaluate) {
    BeadState state;
    if (evaluate)
        state.output = computeBeads(context);
    state.positions =
        withOpenMMErrors([&] { return evaluator->computePositions(coordinates(*platformData(context).positions)); });
    return state;
}

map<string, string> ReferenceCalcCGForceKernel::getInfo() const {
    map<string, string> info = setup.getInfo();
    addHostInfo(*evaluator, info);
    return info;
}
