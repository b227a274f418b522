#include "openmmcg/CGForce.h"
#include "TemperatureCheck.h"
#include "openmm/OpenMMException.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/CGKernels.h"
#include "openmmcg/internal/CGForceImpl.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

/** Weights off by no more than rounding are kept as they are, so that XML files repeat them exactly. */
static const double WEIGHT_ROUNDING = 1e-12, WEIGHT_TOLERANCE = 1e-4;

CGForce::CGForce()
    : properties({{"runner", "auto"},
                  {"package", ""},
                  {"precision", "auto"},
                  {"threads", "auto"},
                  {"skin", "0.1"},
                  {"pairList", "auto"},
                  {"cudaGraphs", "auto"}}),
      temperatures(make_shared<TemperatureCheck>()), periodic(false) {
    setName("CGForce");
}

CGForce::CGForce(const string& file) : CGForce() {
    try {
        setModel(ModelFile::fromFile(file));
    }
    catch (const ModelError& error) {
        throw OpenMMException(error.what());
    }
}

void CGForce::setModel(const ModelFile& newModel) {
    if (!beads.empty())
        throw OpenMMException("CGForce: the model must be set before beads are added, since their types belong to it. "
                              "Create a new CGForce for another model.");
    model = newModel;
    parameters = model.getParameters();
    derivatives.clear();
}

CGForce::Bead CGForce::checkedBead(const vector<int>& particles, const vector<double>& weights, int type, int molecule,
                                   int replica) const {
    if (particles.empty())
        throw OpenMMException("CGForce: a bead must be made of at least one particle.");
    set<int> distinct(particles.begin(), particles.end());
    if (distinct.size() != particles.size())
        throw OpenMMException("CGForce: a bead names a particle twice. Add up the weights of its occurrences.");
    if (*distinct.begin() < 0)
        throw OpenMMException("CGForce: a bead names particle " + to_string(*distinct.begin()) +
                              "; particle indices start at 0.");
    vector<double> used = weights;
    if (used.empty())
        used.assign(particles.size(), 1.0 / static_cast<double>(particles.size()));
    if (used.size() != particles.size())
        throw OpenMMException("CGForce: a bead has " + to_string(particles.size()) + " particles but " +
                              to_string(used.size()) + " weights. Give one weight for each particle.");
    double sum = 0;
    for (double weight : used)
        sum += weight;
    if (!(fabs(sum - 1) <= WEIGHT_TOLERANCE))
        throw OpenMMException("CGForce: the weights of a bead add up to " + to_string(sum) +
                              "; expected 1. Divide them by their sum (for masses, by the total mass).");
    if (fabs(sum - 1) > WEIGHT_ROUNDING)
        for (double& weight : used)
            weight /= sum;
    int numTypes = static_cast<int>(model.getBeadTypes().size());
    if (type < 0 || (numTypes > 0 && type >= numTypes)) {
        string known;
        for (auto& name : model.getBeadTypes())
            known += (known.empty() ? "" : ", ") + name;
        throw OpenMMException("CGForce: unknown bead type " + to_string(type) + "; the model has " +
                              to_string(numTypes) + " types, counted from 0" +
                              (known.empty() ? "." : ": " + known + "."));
    }
    return {particles, used, type, molecule, replica};
}

int CGForce::addBead(const vector<int>& particles, const vector<double>& weights, int type, int molecule, int replica) {
    beads.push_back(checkedBead(particles, weights, type, molecule, replica));
    return getNumBeads() - 1;
}

void CGForce::getBeadParameters(int index, vector<int>& particles, vector<double>& weights, int& type, int& molecule,
                                int& replica) const {
    ASSERT_VALID_INDEX(index, beads);
    const Bead& bead = beads[index];
    particles = bead.particles;
    weights = bead.weights;
    type = bead.type;
    molecule = bead.molecule;
    replica = bead.replica;
}

void CGForce::setBeadParameters(int index, const vector<int>& particles, const vector<double>& weights, int type,
                                int molecule, int replica) {
    ASSERT_VALID_INDEX(index, beads);
    beads[index] = checkedBead(particles, weights, type, molecule, replica);
}

static string describeBond(int bead1, int bead2) {
    return "CGForce: the bond between beads " + to_string(bead1) + " and " + to_string(bead2);
}

/** What both beads of a bond must have in common, also when they are changed later. */
void CGForce::checkBond(int bead1, int bead2) const {
    string which = describeBond(bead1, bead2);
    if (beads[bead1].replica != beads[bead2].replica)
        throw OpenMMException(which + " connects replicas " + to_string(beads[bead1].replica) + " and " +
                              to_string(beads[bead2].replica) +
                              ", which never interact. Give both beads the same replica.");
    if (beads[bead1].molecule != beads[bead2].molecule)
        throw OpenMMException(which + " connects molecules " + to_string(beads[bead1].molecule) + " and " +
                              to_string(beads[bead2].molecule) + ". Give both beads the same molecule.");
}

int CGForce::addBond(int bead1, int bead2) {
    for (int bead : {bead1, bead2})
        if (bead < 0 || bead >= getNumBeads())
            throw OpenMMException("CGForce: a bond names bead " + to_string(bead) + ", but there are " +
                                  to_string(getNumBeads()) + " beads. Add the beads before their bonds.");
    if (bead1 == bead2)
        throw OpenMMException(describeBond(bead1, bead2) + " connects a bead to itself.");
    checkBond(bead1, bead2);
    if (!bondSet.insert(minmax(bead1, bead2)).second)
        throw OpenMMException(describeBond(bead1, bead2) + " has been added before.");
    bonds.push_back({bead1, bead2});
    return getNumBonds() - 1;
}

void CGForce::getBondParameters(int index, int& bead1, int& bead2) const {
    ASSERT_VALID_INDEX(index, bonds);
    bead1 = bonds[index].first;
    bead2 = bonds[index].second;
}

const string& CGForce::getGlobalParameterName(int index) const {
    ASSERT_VALID_INDEX(index, parameters);
    return parameters[index].first;
}

double CGForce::getGlobalParameterDefaultValue(int index) const {
    ASSERT_VALID_INDEX(index, parameters);
    return parameters[index].second;
}

void CGForce::setGlobalParameterDefaultValue(int index, double value) {
    ASSERT_VALID_INDEX(index, parameters);
    parameters[index].second = value;
}

void CGForce::addEnergyParameterDerivative(const string& name) {
    for (auto& parameter : parameters)
        if (parameter.first == name) {
            if (find(derivatives.begin(), derivatives.end(), name) == derivatives.end())
                derivatives.push_back(name);
            return;
        }
    throw OpenMMException("addEnergyParameterDerivative: the model has no parameter '" + name + "'.");
}

const string& CGForce::getEnergyParameterDerivativeName(int index) const {
    ASSERT_VALID_INDEX(index, derivatives);
    return derivatives[index];
}

/** Whether a text is a number and nothing else; `value` is set if it is. */
static bool parseNumber(const string& text, double& value) {
    char* end;
    value = strtod(text.c_str(), &end);
    return !text.empty() && *end == 0 && isfinite(value);
}

void CGForce::setProperty(const string& name, const string& value) {
    getProperty(name); // throws if there is none of this name
    double number;
    string expected;
    if (name == "precision" && value != "auto" && value != "single" && value != "double")
        expected = "auto, single or double";
    if (name == "pairList" && value != "auto" && value != "host" && value != "device")
        expected = "auto, host or device";
    if (name == "cudaGraphs" && value != "auto" && value != "on" && value != "off")
        expected = "auto, on or off";
    if (name == "threads" && value != "auto" && value != "platform" &&
        !(parseNumber(value, number) && number >= 1 && number == floor(number)))
        expected = "a whole number of at least 1, platform or auto";
    if (name == "skin" && !(parseNumber(value, number) && number >= 0))
        expected = "a length in nm that is not negative";
    if (!expected.empty())
        throw OpenMMException("CGForce: the property '" + name + "' cannot be '" + value + "'; expected " + expected +
                              ".");
    properties[name] = value;
}

const string& CGForce::getProperty(const string& name) const {
    auto property = properties.find(name);
    if (property == properties.end())
        throw OpenMMException(
            "CGForce: unknown property '" + name +
            "'; known properties are cudaGraphs, package, pairList, precision, runner, skin and threads.");
    return property->second;
}

ForceImpl* CGForce::createImpl() const {
    return new CGForceImpl(*this);
}

void CGForce::updateParametersInContext(Context& context) {
    dynamic_cast<CGForceImpl&>(getImplInContext(context)).updateParametersInContext(getContextImpl(context));
}

static vector<Vec3> toVec3(const vector<double>& values) {
    vector<Vec3> result(values.size() / 3);
    for (size_t i = 0; i < result.size(); i++)
        result[i] = Vec3(values[3 * i], values[3 * i + 1], values[3 * i + 2]);
    return result;
}

BeadState CGForce::getBeadState(Context& context, bool evaluate) const {
    return dynamic_cast<CGForceImpl&>(getImplInContext(context)).getBeadState(getContextImpl(context), evaluate);
}

vector<Vec3> CGForce::getBeadPositions(Context& context) const {
    return toVec3(getBeadState(context, false).positions);
}

vector<Vec3> CGForce::getBeadForces(Context& context) const {
    return toVec3(getBeadState(context, true).output.forces);
}

vector<double> CGForce::getBeadEnergies(Context& context) const {
    vector<double> energies = getBeadState(context, true).output.beadEnergies;
    if (energies.empty())
        throw OpenMMException("getBeadEnergies: the model returns the total energy only. Export a model whose forward "
                              "takes pairs, which returns the energy of each bead.");
    return energies;
}

vector<double> CGForce::getReplicaEnergies(Context& context) const {
    vector<double> energies = getBeadEnergies(context);
    if (energies.size() != beads.size())
        throw OpenMMException("getReplicaEnergies: the Context has " + to_string(energies.size()) +
                              " beads, but the Force has " + to_string(beads.size()) +
                              " now. Create a new Context after adding beads.");
    map<int, double> sums;
    for (size_t bead = 0; bead < beads.size(); bead++)
        sums[beads[bead].replica] += energies[bead];
    vector<double> result;
    for (auto& sum : sums)
        result.push_back(sum.second);
    return result;
}

map<string, string> CGForce::getContextInfo(Context& context) const {
    return dynamic_cast<CGForceImpl&>(getImplInContext(context)).getInfo();
}
