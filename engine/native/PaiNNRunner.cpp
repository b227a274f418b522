#include "PaiNNRunner.h"
#include "MessagePassing.h"
#include "RadialFilters.h"
#include "TripleProducts.h"
#include <algorithm>
#include <optional>

using namespace OpenMMCG;
using namespace std;

namespace {

const double BEND = 0.1; // how far norms of vectors are smoothed, see openmmcg.models.painn.network.Update

template <class Real>
struct Message {
    Linear<Real> hidden, parts[3];
    // What beads send: to scalars, along directions and, after the first round, with their vectors.
    Rows<Real>*sent[3], *slope, *vectors = nullptr;
    int table, numParts;
};

template <class Real>
struct Update {
    Linear<Real> left, right;
    // From scalars and norms to what is hidden, and from there to scalars and factors of products.
    Linear<Real> ofScalars, ofNorms, toScalars, toFactors;
    Linear<Real> gateOfScalars, gateOfNorms;
    optional<TripleProducts<Real>> tripleProducts;
    Rows<Real>*leftVectors, *rightVectors, *factors, *slope, *gates = nullptr;
};

/**
 * PaiNN, forwards and backwards; the notation is that of openmmcg.models.painn. Scalars are the features h of the
 * base class; the vectors that beads have after round k are those that they send in round k + 1.
 */
template <class Real>
class PaiNN : public MessagePassing<Real> {
public:
    PaiNN(const Weights& weights, const NetworkOptions& network, int interactions, const RunnerOptions& options);

protected:
    void begin(const Block<Real>& block) override;
    void passForward(const Block<Real>& block, int round) override;
    void passBackwardDense(const Block<Real>& block, int round) override;
    void passBackwardPairs(Block<Real>& block, int round) override;

private:
    using Base = MessagePassing<Real>;
    using Base::h, Base::gradH, Base::hidden, Base::slope;
    using Base::kernels, Base::features, Base::width, Base::table, Base::workspace;
    void addMessage(const Weights& weights, int round);
    void addUpdate(const Weights& weights, int round, bool chiral);
    bool isLast(int round) const {
        return round + 1 == static_cast<int>(updates.size());
    }
    /** The vectors after a round. */
    Rows<Real>& vectorsAfter(int round) {
        return isLast(round) ? lastVectors : *messages[round + 1].vectors;
    }
    SentVectors<Real> sentVectors(int round) const;
    void receive(const Block<Real>& block, int round);
    void mix(const Block<Real>& block, int round);
    void send(const Block<Real>& block, int round);
    vector<Message<Real>> messages;
    vector<Update<Real>> updates;
    AlignedVector<Real> firstSent[2];
    Rows<Real>&norms, &products, &lastVectors, &gradFactors, &gradProducts, &gradGates, &gradNorms;
    Rows<Real>&gradLeft, &gradRight, &gradVectors, *gradSent[3];
    // The gradients of what was received are read by other blocks while they are behind by one round, so there are two.
    Rows<Real>*gradScalarsReceived[2], *gradVectorsReceived[2];
};

template <class Real>
PaiNN<Real>::PaiNN(const Weights& weights, const NetworkOptions& network, int interactions,
                   const RunnerOptions& options)
    : Base(weights, network, RadialFilters(weights, network, {"filters"}), 3 * interactions - 1, interactions, true,
           getKernels<Real>().silu, options),
      norms(workspace.addScalars()), products(workspace.addScalars()), lastVectors(workspace.addVectors()),
      gradFactors(workspace.addScalars()), gradProducts(workspace.addScalars()), gradGates(workspace.addScalars()),
      gradNorms(workspace.addScalars()), gradLeft(workspace.addVectors()), gradRight(workspace.addVectors()),
      gradVectors(workspace.addVectors()),
      gradSent{&workspace.addScalars(), &workspace.addScalars(), &workspace.addScalars()},
      gradScalarsReceived{&workspace.addScalars(), &workspace.addScalars()},
      gradVectorsReceived{&workspace.addVectors(), &workspace.addVectors()} {
    for (int round = 0; round < interactions; round++) {
        addMessage(weights, round);
        addUpdate(weights, round, network.chiral);
    }
    // What a bead sends in the first round depends on its type only.
    AlignedVector<Real> typeHidden(Base::embedding.size()), typeSlope(Base::embedding.size());
    messages[0].hidden.forward(Base::embedding.data(), typeHidden.data(), Base::numTypes);
    kernels.silu(typeHidden.data(), typeSlope.data(), typeHidden.size());
    for (int part = 0; part < 2; part++) {
        firstSent[part].resize(typeHidden.size());
        messages[0].parts[part].forward(typeHidden.data(), firstSent[part].data(), Base::numTypes);
    }
}

template <class Real>
void PaiNN<Real>::addMessage(const Weights& weights, int round) {
    string name = "blocks." + to_string(round) + ".message.sender";
    Message<Real> message;
    message.numParts = round == 0 ? 2 : 3;
    message.table = max(0, 3 * round - 1);
    message.hidden = Linear<Real>(weights, name + ".0", features);
    for (int part = 0; part < message.numParts; part++) {
        message.parts[part] = Linear<Real>(weights, name + ".2", features, {part, message.numParts, 0, 1});
        message.sent[part] = &workspace.addScalars();
    }
    message.slope = &workspace.addScalars();
    if (round > 0)
        message.vectors = &workspace.addVectors();
    messages.push_back(std::move(message));
}

template <class Real>
void PaiNN<Real>::addUpdate(const Weights& weights, int round, bool chiral) {
    string name = "blocks." + to_string(round) + ".update";
    auto part = [&](const string& layer, int output, int outputs, int input, int inputs) {
        return Linear<Real>(weights, name + layer, features, {output, outputs, input, inputs});
    };
    Update<Real> update;
    update.left = part(".mix", 0, 2, 0, 1);
    update.right = part(".mix", 1, 2, 0, 1);
    update.ofScalars = part(".scalar_gates.0", 0, 1, 0, 2);
    update.ofNorms = part(".scalar_gates.0", 0, 1, 1, 2);
    update.toScalars = part(".scalar_gates.2", 0, 2, 0, 1);
    update.toFactors = part(".scalar_gates.2", 1, 2, 0, 1);
    if (weights.has(name + ".vector_gates.weight")) {
        update.gateOfScalars = part(".vector_gates", 0, 1, 0, 2);
        update.gateOfNorms = part(".vector_gates", 0, 1, 1, 2);
        update.gates = &workspace.addScalars();
    }
    if (chiral)
        update.tripleProducts.emplace(weights, name + ".triple_products", features, workspace);
    update.leftVectors = &workspace.addVectors();
    update.rightVectors = &workspace.addVectors();
    update.factors = &workspace.addScalars();
    update.slope = &workspace.addScalars();
    updates.push_back(std::move(update));
}

template <class Real>
SentVectors<Real> PaiNN<Real>::sentVectors(int round) const {
    const Message<Real>& message = messages[round];
    const Real* along = table.getLayer(message.table + 1);
    if (round == 0)
        return {along, message.sent[1]->all(), nullptr, nullptr, nullptr};
    return {along, message.sent[1]->all(), table.getLayer(message.table + 2), message.sent[2]->all(),
            message.vectors->all()};
}

template <class Real>
void PaiNN<Real>::begin(const Block<Real>& block) {
    for (int part = 0; part < 2; part++)
        Base::copyByType(block, firstSent[part], *messages[0].sent[part]);
}

template <class Real>
void PaiNN<Real>::passForward(const Block<Real>& block, int round) {
    receive(block, round);
    mix(block, round);
    if (!isLast(round))
        send(block, round + 1);
}

template <class Real>
void PaiNN<Real>::receive(const Block<Real>& block, int round) {
    Rows<Real>& vectors = vectorsAfter(round);
    if (round == 0)
        Base::clear(block, vectors);
    else
        Base::copy(block, *messages[round].vectors, vectors);
    const Real *filters = table.getLayer(messages[round].table), *sent = messages[round].sent[0]->all();
    auto pass = [&](const BlockPairs<Real>& pairs, bool bothEnds) {
        kernels.messages(pairs.view(), bothEnds, filters, width, sent, h.all());
        kernels.vectorMessages(pairs.view(), bothEnds, sentVectors(round), width, vectors.all());
    };
    pass(block.inner, true);
    pass(block.outer, false);
}

template <class Real>
void PaiNN<Real>::mix(const Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    Update<Real>& update = updates[round];
    Real *scalars = h.from(first), *vectors = vectorsAfter(round).from(first), *inside = hidden.from(first);
    Real *left = update.leftVectors->from(first), *right = update.rightVectors->from(first);
    update.left.forward(vectors, left, 3 * size);
    update.right.forward(vectors, right, 3 * size);
    kernels.softNorm(right, Real(BEND), norms.from(first), size, width);
    kernels.contract(left, right, products.from(first), size, width);
    if (update.tripleProducts)
        update.tripleProducts->forward(vectors, scalars, first, size);
    update.ofScalars.forward(scalars, inside, size);
    update.ofNorms.forward(norms.from(first), inside, size, true);
    kernels.silu(inside, update.slope->from(first), h.countNumbers(size));
    if (update.gates) {
        update.gateOfScalars.forward(scalars, update.gates->from(first), size);
        update.gateOfNorms.forward(norms.from(first), update.gates->from(first), size, true);
        kernels.scale(update.gates->from(first), left, vectors, size, 3, width, true);
    }
    update.toFactors.forward(inside, update.factors->from(first), size);
    update.toScalars.forward(inside, scalars, size, true);
    kernels.scale(update.factors->from(first), products.from(first), scalars, size, 1, width, true);
}

template <class Real>
void PaiNN<Real>::send(const Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    Message<Real>& message = messages[round];
    message.hidden.forward(h.from(first), hidden.from(first), size);
    kernels.silu(hidden.from(first), message.slope->from(first), h.countNumbers(size));
    for (int part = 0; part < 3; part++)
        message.parts[part].forward(hidden.from(first), message.sent[part]->from(first), size);
}

template <class Real>
void PaiNN<Real>::passBackwardDense(const Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    Update<Real>& update = updates[round];
    Real *inside = hidden.from(first), *onScalars = gradScalarsReceived[round % 2]->from(first);
    Real* onVectors = gradVectorsReceived[round % 2]->from(first);
    Real *onLeft = gradLeft.from(first), *onRight = gradRight.from(first), *onNorms = gradNorms.from(first);
    const Real *left = update.leftVectors->from(first), *right = update.rightVectors->from(first);

    kernels.contract(left, right, products.from(first), size, width);
    kernels.scale(gradH.from(first), products.from(first), gradFactors.from(first), size, 1, width, false);
    kernels.scale(gradH.from(first), update.factors->from(first), gradProducts.from(first), size, 1, width, false);
    update.toScalars.backward(gradH.from(first), inside, size);
    update.toFactors.backward(gradFactors.from(first), inside, size, true);
    kernels.scale(update.slope->from(first), inside, inside, size, 1, width, false);
    update.ofNorms.backward(inside, onNorms, size);
    Base::copy(block, gradH, *gradScalarsReceived[round % 2]);
    update.ofScalars.backward(inside, onScalars, size, true);
    if (update.gates) {
        Real *onGates = gradGates.from(first), *ahead = gradVectors.from(first);
        kernels.contract(ahead, left, onGates, size, width);
        kernels.scale(update.gates->from(first), ahead, onLeft, size, 3, width, false);
        update.gateOfScalars.backward(onGates, onScalars, size, true);
        update.gateOfNorms.backward(onGates, onNorms, size, true);
        Base::copy(block, gradVectors, *gradVectorsReceived[round % 2]);
    }
    kernels.scale(gradProducts.from(first), right, onLeft, size, 3, width, update.gates != nullptr);
    kernels.scale(gradProducts.from(first), left, onRight, size, 3, width, false);
    kernels.softNormBackward(right, Real(BEND), onNorms, onRight, size, width);
    update.left.backward(onLeft, onVectors, 3 * size, update.gates != nullptr);
    update.right.backward(onRight, onVectors, 3 * size, true);
    if (update.tripleProducts)
        update.tripleProducts->backward(onScalars, onVectors, first, size, true);
}

template <class Real>
void PaiNN<Real>::passBackwardPairs(Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    Message<Real>& message = messages[round];
    Real* onScalars = gradScalarsReceived[round % 2]->all();
    Real* onVectors = gradVectorsReceived[round % 2]->all();
    Real* onSent = nullptr; // features before the first round know no positions
    SentVectorsGradient<Real> onSentVectors = {nullptr, nullptr, nullptr};
    if (round > 0) {
        for (Rows<Real>* rows : gradSent)
            Base::clear(block, *rows);
        Base::copy(block, *gradVectorsReceived[round % 2], gradVectors);
        onSent = gradSent[0]->all();
        onSentVectors = {gradSent[1]->all(), gradSent[2]->all(), gradVectors.all()};
    }
    auto pass = [&](BlockPairs<Real>& pairs, bool bothEnds) {
        kernels.messagesBackward(pairs.view(), bothEnds, table.getLayer(message.table), width, message.sent[0]->all(),
                                 onScalars, onSent, pairs.distanceGradient.data());
        kernels.vectorMessagesBackward(pairs.view(), bothEnds, sentVectors(round), width, onVectors, onSentVectors,
                                       pairs.distanceGradient.data(), pairs.directionGradient.data());
    };
    pass(block.inner, true);
    pass(block.outer, false);
    if (round == 0)
        return;
    for (int part = 0; part < 3; part++)
        message.parts[part].backward(gradSent[part]->from(first), hidden.from(first), size, part > 0);
    kernels.scale(message.slope->from(first), hidden.from(first), hidden.from(first), size, 1, width, false);
    Base::copy(block, *gradScalarsReceived[round % 2], gradH);
    message.hidden.backward(hidden.from(first), gradH.from(first), size, true);
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createPaiNNRunner(const Weights& weights, const NetworkOptions& network,
                                                    const RunnerOptions& options) {
    int interactions = countBlocks(weights, "message.sender.0.weight");
    if (options.doublePrecision)
        return make_unique<PaiNN<double>>(weights, network, interactions, options);
    return make_unique<PaiNN<float>>(weights, network, interactions, options);
}
