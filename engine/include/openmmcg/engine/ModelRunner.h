#ifndef OPENMMCG_ENGINE_MODELRUNNER_H_
#define OPENMMCG_ENGINE_MODELRUNNER_H_

#include "openmmcg/engine/Box.h"
#include "openmmcg/engine/ModelFile.h"
#include "openmmcg/engine/PairList.h"
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * One configuration of beads, as a model sees it.
 */
struct ModelInput {
    /** x, y, z of every bead in nm. */
    const std::vector<double>& positions;
    /** The type of every bead. */
    const std::vector<int64_t>& types;
    /** Pairs within the cutoff; not used by models that take positions alone. */
    const PairBatch& pairs;
    /** The model's parameters, in the order of the model file. */
    const std::vector<double>& parameters;
    const Box& box;
};

/**
 * What a model returns.
 */
struct ModelOutput {
    /** Total energy in kJ/mol. */
    double energy = 0;
    /**
     * Energy of each bead in kJ/mol. Empty if the model gives no more than the total.
     */
    std::vector<double> beadEnergies;
    /** x, y, z of the force on each bead in kJ/mol/nm. */
    std::vector<double> forces;
    /** Derivative of the total energy with respect to each parameter. */
    std::vector<double> parameterDerivatives;
};

/**
 * Options that runners understand.
 */
struct RunnerOptions {
    /** Compute in double precision rather than single. */
    bool doublePrecision = true;
    /** How many CPU threads the model may use. */
    int numThreads = 1;
    /** Whether derivatives with respect to parameters will be asked for. */
    bool parameterDerivatives = false;
    /** The file of compiled code that the runner "aoti" shall run. */
    std::string package;
};

/**
 * Evaluates a model. This is the seam between the engine and whatever does the arithmetic.
 *
 * Runners live in libraries of their own and register themselves when their library is loaded.
 * Each Context owns a runner, and each runner its own copy of the model.
 */
class ModelRunner {
public:
    using Factory = std::function<std::unique_ptr<ModelRunner>(const ModelFile&, const RunnerOptions&)>;
    virtual ~ModelRunner();
    /**
     * Evaluate the model.
     *
     * @throws ModelError if the model fails or returns something of the wrong shape
     */
    virtual void evaluate(const ModelInput& input, ModelOutput& output) = 0;
    /**
     * Whether beads may be numbered differently from one call to the next. Runners that gain from neighbours having
     * close numbers return true; for a model that may know a bead by its number this must be false.
     */
    virtual bool allowsReordering() const {
        return false;
    }
    /**
     * Whether positions are rounded to single precision before differences are taken. Those far from the origin should
     * be moved first: see NearPositions.
     */
    virtual bool roundsPositions() const {
        return false;
    }
    /** Make a runner available under a name. */
    static void registerFactory(const std::string& name, Factory factory);
    /** The names of all runners that can be created, in alphabetical order. */
    static std::vector<std::string> getAvailable();
    /**
     * Choose the fastest runner that can evaluate a model.
     *
     * @param reason  set to a sentence that says why it was chosen
     */
    static std::string choose(const ModelFile& model, std::string& reason);
    /**
     * Create a runner.
     *
     * @param name  one of getAvailable()
     */
    static std::unique_ptr<ModelRunner> create(const std::string& name, const ModelFile& model,
                                               const RunnerOptions& options);
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_MODELRUNNER_H_*/
