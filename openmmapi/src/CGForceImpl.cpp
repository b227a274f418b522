#include "openmmcg/internal/CGForceImpl.h"
#include "TemperatureCheck.h"
#include "openmm/OpenMMException.h"
#include "openmmcg/internal/CGKernelSetup.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

CalcCGForceKernel::~CalcCGForceKernel() = default;

CGForceImpl::CGForceImpl(const CGForce& owner) : owner(owner) {
    forceGroup = owner.getForceGroup();
}

CalcCGForceKernel& CGForceImpl::getKernel() const {
    return const_cast<Kernel&>(kernel).getAs<CalcCGForceKernel>();
}

void CGForceImpl::initialize(ContextImpl& context) {
    if (owner.getModel().empty())
        throw OpenMMException("CGForce: no model has been set. Create it with the path of a model file.");
    if (owner.getNumBeads() == 0)
        throw OpenMMException("CGForce: there are no beads. Call addBead() for every bead.");
    checkBeads(context.getSystem());
    if (owner.getModel().getInterface() == ModelFile::Pairs &&
        owner.getGlobalParameterName(0) != CGForce::Temperature())
        throw OpenMMException("CGForce: the first parameter of the model is '" + owner.getGlobalParameterName(0) +
                              "'; expected '" + CGForce::Temperature() + "'. Export the model again.");
    kernel = context.getPlatform().createKernel(CalcCGForceKernel::Name(), context);
    getKernel().initialize(context, owner);
}

void CGForceImpl::checkBeads(const System& system) const {
    vector<int> particles;
    vector<double> weights;
    int type, molecule, replica;
    for (int bead = 0; bead < owner.getNumBeads(); bead++) {
        owner.getBeadParameters(bead, particles, weights, type, molecule, replica);
        for (int particle : particles)
            if (particle >= system.getNumParticles())
                throw OpenMMException("CGForce: bead " + to_string(bead) + " names particle " + to_string(particle) +
                                      ", but the System has " + to_string(system.getNumParticles()) +
                                      " particles. Indices start at 0.");
    }
    // The beads of a bond may have been changed after it was added.
    for (auto& bond : owner.bonds)
        owner.checkBond(bond.first, bond.second);
}

void CGForceImpl::updateContextState(ContextImpl& context, bool&) {
    owner.temperatures->check(owner, context);
}

double CGForceImpl::calcForcesAndEnergy(ContextImpl& context, bool includeForces, bool includeEnergy, int groups) {
    if ((groups & (1 << forceGroup)) == 0)
        return 0.0;
    return getKernel().execute(context, includeForces, includeEnergy);
}

map<string, double> CGForceImpl::getDefaultParameters() {
    map<string, double> values;
    for (int i = 0; i < owner.getNumGlobalParameters(); i++)
        values[owner.getGlobalParameterName(i)] = owner.getGlobalParameterDefaultValue(i);
    return values;
}

vector<string> CGForceImpl::getKernelNames() {
    return {CalcCGForceKernel::Name()};
}

vector<pair<int, int>> CGForceImpl::getBondedParticles() const {
    return findBondedParticles(collectBeads(owner));
}

void CGForceImpl::updateParametersInContext(ContextImpl& context) {
    checkBeads(context.getSystem());
    getKernel().copyParametersToContext(context, owner);
    context.systemChanged();
}

BeadState CGForceImpl::getBeadState(ContextImpl& context, bool evaluate) {
    return getKernel().getBeadState(context, evaluate);
}

map<string, string> CGForceImpl::getInfo() const {
    return getKernel().getInfo();
}
