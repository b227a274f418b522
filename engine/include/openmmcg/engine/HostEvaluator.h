#ifndef OPENMMCG_ENGINE_HOSTEVALUATOR_H_
#define OPENMMCG_ENGINE_HOSTEVALUATOR_H_

#include "openmmcg/engine/BeadMap.h"
#include "openmmcg/engine/BeadOrder.h"
#include "openmmcg/engine/ModelRunner.h"
#include "openmmcg/engine/NearPositions.h"
#include "openmmcg/engine/PairList.h"
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * The beads of a System, as the engine needs them.
 */
struct BeadSet {
    /** For each bead, the particles it is made of and their weights. */
    std::vector<std::vector<int>> particles;
    std::vector<std::vector<double>> weights;
    std::vector<int64_t> types;
    BeadTopology topology;
};

/**
 * What to say of a bead whose position is not a number.
 *
 * @param typeNames  the names of the bead types, or none
 */
std::string describeBadPosition(const BeadSet& beads, const std::vector<std::string>& typeNames, size_t bead);

/**
 * What to say of a bead with a force that is not a number; see describeBadPosition().
 */
std::string describeBadForce(const BeadSet& beads, const std::vector<std::string>& typeNames, size_t bead);

/**
 * Throw a ModelError if a force on a bead or the energy is not a number.
 */
void checkOutput(const BeadSet& beads, const std::vector<std::string>& typeNames, const ModelOutput& output);

/**
 * Throw a ModelError if pairs within a cutoff may have several images in a box.
 *
 * @param boxName  what to call the box
 */
void checkCutoff(double cutoff, const Box& box, const std::string& boxName = "periodic box");

/**
 * Adds the time until the end of its scope to a counter in seconds.
 */
class StageTimer {
public:
    explicit StageTimer(double& total) : total(total), start(std::chrono::steady_clock::now()) {}
    ~StageTimer() {
        total += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }

private:
    double& total;
    std::chrono::steady_clock::time_point start;
};

/**
 * Evaluates a model on the CPU from particle positions to particle forces: beads, pairs, model, forces.
 */
class HostEvaluator {
public:
    /** The parts of an evaluation whose wall time is recorded. */
    enum Stage { Map, List, Network, Scatter, NumStages };
    /**
     * @param numParticles  the number of particles in the System
     * @param beads         the beads
     * @param model         the model file
     * @param runner        evaluates the model
     * @param skin          how far beyond the cutoff candidates of the pair list reach, in nm
     * @param numThreads    how many threads search pairs
     */
    HostEvaluator(int numParticles, const BeadSet& beads, const ModelFile& model, std::unique_ptr<ModelRunner> runner,
                  double skin, int numThreads = 1);
    /** Take over other beads. */
    void setBeads(const BeadSet& beads);
    /**
     * Compute bead positions.
     *
     * @param particlePositions  x, y, z of every particle in nm, unwrapped within each bead
     * @throws ModelError if a position is not a number
     */
    const std::vector<double>& computePositions(const double* particlePositions);
    /**
     * Take over bead positions that were computed elsewhere.
     *
     * @param beadPositions  x, y, z of every bead in nm
     * @throws ModelError if a position is not a number
     */
    void setPositions(const std::vector<double>& beadPositions);
    /**
     * Compute energies and forces of the beads at their positions.
     *
     * @param given  the pairs of these positions, or null to find them
     * @throws ModelError if the box is too small, the model fails, or returns what is not a number
     */
    const ModelOutput& computeBeads(const Box& box, const std::vector<double>& parameters,
                                    const PairBatch* given = nullptr);
    /**
     * Add the forces of the last evaluation to the particles.
     */
    void addForces(double* particleForces);
    /** Wall time spent in each stage so far, in seconds. */
    const std::array<double, NumStages>& getTimes() const {
        return times;
    }
    /** The time of a stage, for parts of it that are done elsewhere. */
    double& getTime(Stage stage) {
        return times[stage];
    }
    /** The list of pairs, or null if there was no need for one so far. */
    const PairList* getPairList() const {
        return pairList.get();
    }
    /** The number of evaluations so far. */
    int64_t getNumEvaluations() const {
        return numEvaluations;
    }
    /** The number of directed pairs in the last evaluation. */
    int64_t getNumPairs() const {
        return numPairs;
    }

private:
    void checkPositions() const;
    const PairBatch& findPairs(const Box& box);
    void createPairList();
    void evaluateReordered(const PairBatch& pairs, const std::vector<double>& parameters, const Box& box);
    int numParticles, numThreads;
    ModelFile::Interface interface;
    double cutoff, skin;
    std::vector<std::string> typeNames;
    BeadSet beads;
    BeadMap map;
    std::unique_ptr<PairList> pairList;
    std::unique_ptr<ModelRunner> runner;
    std::vector<double> positions;
    ModelOutput output;
    // Set where beads are given to the runner in another order, with what it is given and returns.
    std::unique_ptr<BeadOrder> order;
    std::vector<double> orderedPositions;
    std::vector<int64_t> orderedTypes;
    ModelOutput orderedOutput;
    // Set where the runner gets beads close to the origin.
    std::unique_ptr<NearPositions> near;
    PairBatch noPairs;
    std::array<double, NumStages> times{};
    int64_t numEvaluations = 0, numPairs = 0;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_HOSTEVALUATOR_H_*/
