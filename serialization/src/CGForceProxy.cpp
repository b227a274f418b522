#include "openmmcg/serialization/CGForceProxy.h"
#include "Base64.h"
#include "openmm/OpenMMException.h"
#include "openmm/serialization/SerializationNode.h"
#include "openmmcg/CGForce.h"
#include "openmmcg/engine/Sha256.h"

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

static const int NEWEST_VERSION = 1;
/** The property that names machine code to run. It is neither written nor read. */
static const char* const PACKAGE = "package";

static string digestOf(const string& bytes) {
    Sha256 digest;
    digest.update(bytes);
    return digest.finish();
}

CGForceProxy::CGForceProxy() : SerializationProxy("CGForce") {}

void CGForceProxy::serialize(const void* object, SerializationNode& node) const {
    const CGForce& force = *reinterpret_cast<const CGForce*>(object);
    node.setIntProperty("version", NEWEST_VERSION);
    node.setIntProperty("forceGroup", force.getForceGroup());
    node.setStringProperty("name", force.getName());
    node.setBoolProperty("usesPeriodic", force.usesPeriodicBoundaryConditions());
    const string& bytes = force.getModel().getBytes();
    node.createChildNode("Model")
        .setStringProperty("sha256", digestOf(bytes))
        .setStringProperty("base64", encodeBase64(bytes));
    SerializationNode& properties = node.createChildNode("Properties");
    for (auto& property : force.getProperties())
        if (property.first != PACKAGE)
            properties.createChildNode("Property")
                .setStringProperty("name", property.first)
                .setStringProperty("value", property.second);
    SerializationNode& parameters = node.createChildNode("GlobalParameters");
    for (int i = 0; i < force.getNumGlobalParameters(); i++)
        parameters.createChildNode("Parameter")
            .setStringProperty("name", force.getGlobalParameterName(i))
            .setDoubleProperty("default", force.getGlobalParameterDefaultValue(i));
    SerializationNode& derivatives = node.createChildNode("EnergyParameterDerivatives");
    for (int i = 0; i < force.getNumEnergyParameterDerivatives(); i++)
        derivatives.createChildNode("Parameter").setStringProperty("name", force.getEnergyParameterDerivativeName(i));
    SerializationNode& beads = node.createChildNode("Beads");
    for (int i = 0; i < force.getNumBeads(); i++) {
        vector<int> particles;
        vector<double> weights;
        int type, molecule, replica;
        force.getBeadParameters(i, particles, weights, type, molecule, replica);
        SerializationNode& bead = beads.createChildNode("Bead");
        bead.setIntProperty("type", type).setIntProperty("molecule", molecule).setIntProperty("replica", replica);
        for (size_t k = 0; k < particles.size(); k++)
            bead.createChildNode("Particle")
                .setIntProperty("index", particles[k])
                .setDoubleProperty("weight", weights[k]);
    }
    SerializationNode& bonds = node.createChildNode("Bonds");
    for (int i = 0; i < force.getNumBonds(); i++) {
        int bead1, bead2;
        force.getBondParameters(i, bead1, bead2);
        bonds.createChildNode("Bond").setIntProperty("b1", bead1).setIntProperty("b2", bead2);
    }
}

static void readModel(CGForce& force, const SerializationNode& node) {
    string bytes;
    if (!decodeBase64(node.getStringProperty("base64"), bytes) || digestOf(bytes) != node.getStringProperty("sha256"))
        throw OpenMMException(
            "CGForce: the model in this XML file has been changed or cut off: it does not have the SHA-256 " +
            node.getStringProperty("sha256").substr(0, 16) +
            "... that is noted beside it. Serialize the System again.");
    if (bytes.empty())
        return;
    try {
        force.setModel(ModelFile(std::move(bytes), "The model in this XML file"));
    }
    catch (const ModelError& error) {
        throw OpenMMException(error.what());
    }
}

static void readBeads(CGForce& force, const SerializationNode& node) {
    for (auto& bead : node.getChildNode("Beads").getChildren()) {
        vector<int> particles;
        vector<double> weights;
        for (auto& particle : bead.getChildren()) {
            particles.push_back(particle.getIntProperty("index"));
            weights.push_back(particle.getDoubleProperty("weight"));
        }
        force.addBead(particles, weights, bead.getIntProperty("type"), bead.getIntProperty("molecule"),
                      bead.getIntProperty("replica"));
    }
    for (auto& bond : node.getChildNode("Bonds").getChildren())
        force.addBond(bond.getIntProperty("b1"), bond.getIntProperty("b2"));
}

static void readParameters(CGForce& force, const SerializationNode& node) {
    auto& defaults = node.getChildNode("GlobalParameters").getChildren();
    if (static_cast<int>(defaults.size()) != force.getNumGlobalParameters())
        throw OpenMMException("CGForce: this XML file has defaults for " + to_string(defaults.size()) +
                              " parameters, but its model declares " + to_string(force.getNumGlobalParameters()) +
                              ". Serialize the System again.");
    for (int i = 0; i < force.getNumGlobalParameters(); i++)
        force.setGlobalParameterDefaultValue(i, defaults[i].getDoubleProperty("default"));
    for (auto& derivative : node.getChildNode("EnergyParameterDerivatives").getChildren())
        force.addEnergyParameterDerivative(derivative.getStringProperty("name"));
}

void* CGForceProxy::deserialize(const SerializationNode& node) const {
    int version = node.getIntProperty("version");
    if (version < 1 || version > NEWEST_VERSION)
        throw OpenMMException("CGForce: this XML file has version " + to_string(version) +
                              "; this OpenMM-CG reads versions 1 to " + to_string(NEWEST_VERSION) +
                              ". Upgrade OpenMM-CG to read it.");
    CGForce* force = new CGForce();
    try {
        force->setForceGroup(node.getIntProperty("forceGroup", 0));
        force->setName(node.getStringProperty("name", force->getName()));
        force->setUsesPeriodicBoundaryConditions(node.getBoolProperty("usesPeriodic", false));

        // An element without children stands for a new CGForce. The Python layer creates its objects in this way.

        if (!node.getChildren().empty()) {
            readModel(*force, node.getChildNode("Model"));
            for (auto& property : node.getChildNode("Properties").getChildren()) {
                if (property.getStringProperty("name") == PACKAGE)
                    throw OpenMMException("CGForce: this XML file names the compiled code '" +
                                          property.getStringProperty("value") +
                                          "', which is only ever taken from setProperty(). Remove that entry.");
                force->setProperty(property.getStringProperty("name"), property.getStringProperty("value"));
            }
            readBeads(*force, node);
            readParameters(*force, node);
        }
        return force;
    }
    catch (...) {
        delete force;
        throw;
    }
}

/** Registers the proxy when the library is loaded. */
__attribute__((constructor)) static void registerProxy() {
    SerializationProxy::registerProxy(typeid(CGForce), new CGForceProxy());
}
