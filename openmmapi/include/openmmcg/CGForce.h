#ifndef OPENMMCG_CGFORCE_H_
#define OPENMMCG_CGFORCE_H_

#include "openmm/Context.h"
#include "openmm/Force.h"
#include "openmm/Vec3.h"
#include "openmmcg/engine/ModelFile.h"
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace OpenMMCG {

class TemperatureCheck;

struct BeadState;

/**
 * This class evaluates a machine-learned coarse-grained model on beads.
 *
 * A bead is a weighted sum of the positions of one or more particles of the System, R = M r. Where every
 * bead is a single particle, the System is a coarse-grained one. Where beads are made of several particles, the
 * model acts on an atomistic System, and forces on beads are distributed to the particles by the
 * transpose of M.
 *
 * To use it, create a CGForce from a model file, call addBead() for every bead and addBond() for every bond
 * between beads, and add it to a System. Bonds do not create any energy terms: they define the topological class
 * of each pair (1-2, 1-3, 1-4, same molecule, other molecule), which the model may depend on.
 *
 * Several independent copies (replicas) of a molecule can be simulated in a single System by giving their beads
 * different replica indices. Beads of different replicas never interact, and all replicas are evaluated in a
 * single call to the model.
 *
 * Each of the model's parameters becomes a Context parameter. The first is the temperature, whose name is
 * returned by Temperature(). Its default value is the temperature that the model was trained for. Models that
 * depend on temperature need it set together with the temperature of the integrator. Energies are values of
 * the potential of mean force.
 */
class CGForce : public OpenMM::Force {
public:
    /**
     * Create a CGForce that has no model yet. Call setModel() before creating a Context.
     */
    CGForce();
    /**
     * Create a CGForce.
     *
     * @param file  the path of the model file. The Force keeps its content, and the file is not needed any more.
     */
    explicit CGForce(const std::string& file);
    /**
     * Get the model.
     */
    const ModelFile& getModel() const {
        return model;
    }
    /**
     * Set the model. It must come before the beads, whose types are checked against it.
     */
    void setModel(const ModelFile& model);
    /**
     * Get the number of beads that have been added.
     */
    int getNumBeads() const {
        return static_cast<int>(beads.size());
    }
    /**
     * Add a bead.
     *
     * @param particles  the particles that the bead is made of
     * @param weights    the weight of each particle in the bead's position. They must add up to 1 within 1e-4, and
     *                   are scaled to add up to exactly 1. If this is empty, all particles have the same weight.
     * @param type       the type of the bead: an index into the bead types of the model
     * @param molecule   the index of the molecule that the bead belongs to, within its replica
     * @param replica    the index of the independent copy that the bead belongs to
     * @return the index of the bead that was added
     */
    int addBead(const std::vector<int>& particles, const std::vector<double>& weights, int type, int molecule = 0,
                int replica = 0);
    /**
     * Get the parameters of a bead.
     *
     * @param index           the index of the bead
     * @param[out] particles  the particles that the bead is made of
     * @param[out] weights    the weight of each particle
     * @param[out] type       the type of the bead
     * @param[out] molecule   the molecule that the bead belongs to
     * @param[out] replica    the replica that the bead belongs to
     */
    void getBeadParameters(int index, std::vector<int>& particles, std::vector<double>& weights, int& type,
                           int& molecule, int& replica) const;
    /**
     * Set the parameters of a bead. See addBead() for their meaning. Existing Contexts are not affected until
     * updateParametersInContext() is called.
     */
    void setBeadParameters(int index, const std::vector<int>& particles, const std::vector<double>& weights, int type,
                           int molecule = 0, int replica = 0);
    /**
     * Get the number of bonds that have been added.
     */
    int getNumBonds() const {
        return static_cast<int>(bonds.size());
    }
    /**
     * Add a bond between two beads, which must belong to the same molecule of the same replica.
     *
     * @return the index of the bond that was added
     */
    int addBond(int bead1, int bead2);
    /**
     * Get the beads that a bond connects.
     */
    void getBondParameters(int index, int& bead1, int& bead2) const;
    /**
     * Set whether pairs are found across the boundaries of the periodic box. The default is false.
     */
    void setUsesPeriodicBoundaryConditions(bool periodic) {
        this->periodic = periodic;
    }
    bool usesPeriodicBoundaryConditions() const override {
        return periodic;
    }
    /**
     * This is the name of the Context parameter that holds the temperature in K.
     */
    static const std::string& Temperature() {
        static const std::string key = "CGTemperature";
        return key;
    }
    /**
     * Get the number of parameters of the model, each of which is a Context parameter.
     */
    int getNumGlobalParameters() const {
        return static_cast<int>(parameters.size());
    }
    const std::string& getGlobalParameterName(int index) const;
    double getGlobalParameterDefaultValue(int index) const;
    /**
     * Set the value that a parameter has in new Contexts. The model file holds the initial default.
     */
    void setGlobalParameterDefaultValue(int index, double value);
    /**
     * Request that the derivative of the energy with respect to a parameter be computed, so that it can be
     * retrieved from a State.
     *
     * @param name  the name of one of the model's parameters
     */
    void addEnergyParameterDerivative(const std::string& name);
    int getNumEnergyParameterDerivatives() const {
        return static_cast<int>(derivatives.size());
    }
    const std::string& getEnergyParameterDerivativeName(int index) const;
    /**
     * Set an option of how the model is evaluated:
     *
     * - "runner": what evaluates the model. "native" is the engine's own code, many times faster, for the
     *   architectures that it knows; "torchscript" runs any model through PyTorch; "aoti" runs machine code that
     *   PyTorch's AOTInductor compiled from the model; "auto" (default) is the first of the former two that can run the
     *   model. A Context's info tells which it is, and why.
     * - "package": the .pt2 file for the runner "aoti", which must have been compiled from this very model. As it is
     *   machine code, use it only if you trust who made it. This property is not serialized, so that no XML file can
     *   have code run: set it again for a Force that was read or copied.
     * - "precision": "auto" (default), "single" or "double". The Reference platform always uses double; elsewhere
     *   "auto" means double where that is the platform's own precision, and single otherwise.
     * - "threads": how many CPU threads the model uses, or "platform" for as many as the CPU platform uses. "auto"
     *   (default) is that for the native runner, whose results do not depend on it, and 1 for PyTorch.
     * - "pairList": where pairs are found, "device" or "host". "auto" (default) is the device where the model is
     *   evaluated on it, too, and the host elsewhere. The platforms Reference and CPU always use the host.
     * - "cudaGraphs": whether the CUDA platform records the model's work once and repeats it as a whole, which saves
     *   most of the time of small models. "on" makes it an error if the model does not allow it, "auto" (default) a
     *   warning, and "off" never does it. A Context's info tells whether it is done, and why.
     * - "skin": how far beyond the cutoff candidates of the pair list reach, in nm. It affects speed only. The
     *   default is "0.1".
     */
    void setProperty(const std::string& name, const std::string& value);
    const std::string& getProperty(const std::string& name) const;
    const std::map<std::string, std::string>& getProperties() const {
        return properties;
    }
    /**
     * Copy the parameters of the beads to a Context, and the bonds between them, which change no more than the class of
     * each pair. The number of beads and the model cannot be changed in this way. What OpenMM takes for a molecule, as
     * barostats and wrapped positions do, stays as it was when the Context was created: if particles that must stay
     * together were not in one molecule then, create a new Context.
     *
     * Bonded beads must still belong to the same molecule of the same replica.
     */
    void updateParametersInContext(OpenMM::Context& context);
    /**
     * Get the positions of the beads in a Context, in nm.
     */
    std::vector<OpenMM::Vec3> getBeadPositions(OpenMM::Context& context) const;
    /**
     * Compute the forces on the beads at the current positions of a Context, in kJ/mol/nm.
     */
    std::vector<OpenMM::Vec3> getBeadForces(OpenMM::Context& context) const;
    /**
     * Compute the energy of each bead at the current positions of a Context, in kJ/mol. How a model divides its
     * energy between beads has no meaning of its own; the sums do.
     */
    std::vector<double> getBeadEnergies(OpenMM::Context& context) const;
    /**
     * Compute the energy of each replica at the current positions of a Context, in kJ/mol, in ascending order of
     * the replica indices.
     */
    std::vector<double> getReplicaEnergies(OpenMM::Context& context) const;
    /**
     * Get facts about the evaluation in a Context: the runner, precision and threads in use, where pairs are found,
     * counts of pairs and list rebuilds, and the wall time in seconds spent on each part of the force ("time_map",
     * "time_list", "time_network", "time_scatter").
     */
    std::map<std::string, std::string> getContextInfo(OpenMM::Context& context) const;

protected:
    OpenMM::ForceImpl* createImpl() const override;

private:
    friend class CGForceImpl;
    struct Bead {
        std::vector<int> particles;
        std::vector<double> weights;
        int type, molecule, replica;
    };
    BeadState getBeadState(OpenMM::Context& context, bool evaluate) const;
    void checkBond(int bead1, int bead2) const;
    Bead checkedBead(const std::vector<int>& particles, const std::vector<double>& weights, int type, int molecule,
                     int replica) const;
    ModelFile model;
    std::vector<Bead> beads;
    std::vector<std::pair<int, int>> bonds;
    std::set<std::pair<int, int>> bondSet;
    std::vector<std::pair<std::string, double>> parameters;
    std::vector<std::string> derivatives;
    std::map<std::string, std::string> properties;
    std::shared_ptr<TemperatureCheck> temperatures;
    bool periodic;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CGFORCE_H_*/
