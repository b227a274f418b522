#ifndef OPENMMCG_ENGINE_NATIVE_MESSAGEPASSING_H_
#define OPENMMCG_ENGINE_NATIVE_MESSAGEPASSING_H_

#include "Blocks.h"
#include "FilterTable.h"
#include "Linear.h"
#include "Readout.h"
#include "ThreadTeam.h"
#include "Workspace.h"
#include "openmmcg/engine/ModelRunner.h"
#include <string>

namespace OpenMMCG {

/** The number of blocks of a network, of which each has a weight `blocks.N.SUFFIX`. */
int countBlocks(const Weights& weights, const std::string& suffix);

/**
 * A network of beads that pass messages in rounds: what such networks share. The features h of a bead start from its
 * type, are changed in each round by messages and by layers of the bead alone, and are read out to its energy at the
 * end. Subclasses do the rounds, forwards and backwards. Gradients of the total energy carry the prefix `grad`.
 *
 * Stages work on a block of beads and write to these only. Messages read what other blocks sent, so all blocks meet
 * before them.
 */
template <class Real>
class MessagePassing : public ModelRunner {
public:
    void evaluate(const ModelInput& input, ModelOutput& output) override;
    bool allowsReordering() const override {
        return true;
    }

protected:
    /**
     * @param tables       how many filters there are for each pair
     * @param rounds       how many rounds of messages
     * @param directional  whether messages depend on the directions of pairs
     * @param activation   of the read-out
     */
    MessagePassing(const Weights& weights, const NetworkOptions& network, const FilterFunctions& filters, int tables,
                   int rounds, bool directional, Activation<Real> activation, const RunnerOptions& options);
    /** Set what beads send in the first round, which depends on their types only. */
    virtual void begin(const Block<Real>& block) = 0;
    /** Receive the messages of a round, change h and set what is sent in the next round. */
    virtual void passForward(const Block<Real>& block, int round) = 0;
    /** From gradH after a round, find the gradient of what was received. */
    virtual void passBackwardDense(const Block<Real>& block, int round) = 0;
    /** From that find the pairs' derivatives and, after the first round, gradH before the round. */
    virtual void passBackwardPairs(Block<Real>& block, int round) = 0;
    /** Copy each bead's row out of a table with a row for every type. */
    void copyByType(const Block<Real>& block, const AlignedVector<Real>& table, Rows<Real>& rows) const;
    void copy(const Block<Real>& block, Rows<Real>& from, Rows<Real>& to) const;
    void clear(const Block<Real>& block, Rows<Real>& rows) const;
    const Kernels<Real>& kernels;
    const int features, width, numTypes;
    const FilterTable<Real> table;
    const AlignedVector<Real> embedding;
    Workspace<Real> workspace;
    Rows<Real>&h, &gradH, &hidden, &slope;

private:
    void run(int thread, int numThreads);
    void start(Block<Real>& block);
    void readOut(const Block<Real>& block);
    const int rounds;
    const bool directional;
    Readout<Real> readout;
    ThreadTeam team;
    Blocks<Real> blocks;
    const ModelInput* input = nullptr;
    ModelOutput* output = nullptr;
    std::vector<double> thermalSlopes;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_MESSAGEPASSING_H_*/
