#include "SchNetRunner.h"
#include "MessagePassing.h"
#include "RadialFilters.h"
#include "TripleProducts.h"
#include <algorithm>
#include <optional>

using namespace OpenMMCG;
using namespace std;

namespace {

template <class Real>
struct Layer {
    Linear<Real> sender, hidden, update;
    // What beads send, and the derivative of tanh in the update.
    Rows<Real>&sent, &updateSlope;
};

/**
 * SchNet, forwards and backwards. Notation: x = h S is what beads send, m_i = sum_j W(d_ij) x_j what they receive,
 * u = tanh(m A + a), and h + u B + b are the features of the next layer. The chiral form has one more round, in which
 * vectors v_i = sum_j V(d_ij) h_j r_ij / d_ij are received and their triple products added to h.
 */
template <class Real>
class SchNet : public MessagePassing<Real> {
public:
    SchNet(const Weights& weights, const NetworkOptions& network, int interactions, const RunnerOptions& options);

protected:
    void begin(const Block<Real>& block) override;
    void passForward(const Block<Real>& block, int round) override;
    void passBackwardDense(const Block<Real>& block, int round) override;
    void passBackwardPairs(Block<Real>& block, int round) override;

private:
    using Base = MessagePassing<Real>;
    using Base::h, Base::gradH, Base::hidden, Base::slope;
    using Base::kernels, Base::features, Base::width, Base::table, Base::workspace;
    SentVectors<Real> sentVectors() const {
        return {table.getLayer(interactions), lastSent->all(), nullptr, nullptr, nullptr};
    }
    const int interactions;
    vector<Layer<Real>> layers;
    AlignedVector<Real> firstSent;
    // The gradient of m is read by other blocks while they are behind by one layer, so there are two of it.
    Rows<Real>&m, &gradX, *gradM[2];
    // Of the chiral form only.
    optional<TripleProducts<Real>> tripleProducts;
    Rows<Real>*lastSent = nullptr, *vectors = nullptr, *gradVectors = nullptr;
};

template <class Real>
SchNet<Real>::SchNet(const Weights& weights, const NetworkOptions& network, int interactions,
                     const RunnerOptions& options)
    : Base(weights, network,
           RadialFilters(weights, network,
                         network.chiral ? vector<string>{"filters", "vector_filters"} : vector<string>{"filters"}),
           interactions + network.chiral, interactions + network.chiral, network.chiral, getKernels<Real>().tanh,
           options),
      interactions(interactions), m(workspace.addScalars()), gradX(workspace.addScalars()),
      gradM{&workspace.addScalars(), &workspace.addScalars()} {
    for (int i = 0; i < interactions; i++) {
        string block = "blocks." + to_string(i);
        layers.push_back(
            {Linear<Real>(weights, block + ".sender", features), Linear<Real>(weights, block + ".update.0", features),
             Linear<Real>(weights, block + ".update.2", features), workspace.addScalars(), workspace.addScalars()});
    }
    firstSent.resize(Base::embedding.size());
    layers[0].sender.forward(Base::embedding.data(), firstSent.data(), Base::numTypes);
    if (network.chiral) {
        tripleProducts.emplace(weights, "triple_products", features, workspace);
        lastSent = &workspace.addScalars();
        vectors = &workspace.addVectors();
        gradVectors = &workspace.addVectors();
    }
}

template <class Real>
void SchNet<Real>::begin(const Block<Real>& block) {
    Base::copyByType(block, firstSent, layers[0].sent);
}

template <class Real>
void SchNet<Real>::passForward(const Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    if (round == interactions) {
        Base::clear(block, *vectors);
        kernels.vectorMessages(block.inner.view(), true, sentVectors(), width, vectors->all());
        kernels.vectorMessages(block.outer.view(), false, sentVectors(), width, vectors->all());
        tripleProducts->forward(vectors->from(first), h.from(first), first, size);
        return;
    }
    const Layer<Real>& layer = layers[round];
    Base::clear(block, m);
    kernels.messages(block.inner.view(), true, table.getLayer(round), width, layer.sent.all(), m.all());
    kernels.messages(block.outer.view(), false, table.getLayer(round), width, layer.sent.all(), m.all());
    layer.hidden.forward(m.from(first), hidden.from(first), size);
    kernels.tanh(hidden.from(first), layer.updateSlope.from(first), h.countNumbers(size));
    layer.update.forward(hidden.from(first), h.from(first), size, true);
    if (round + 1 < interactions)
        layers[round + 1].sender.forward(h.from(first), layers[round + 1].sent.from(first), size);
    else if (lastSent)
        Base::copy(block, h, *lastSent);
}

template <class Real>
void SchNet<Real>::passBackwardDense(const Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    if (round == interactions) {
        tripleProducts->backward(gradH.from(first), gradVectors->from(first), first, size, false);
        return;
    }
    const Layer<Real>& layer = layers[round];
    layer.update.backward(gradH.from(first), hidden.from(first), size);
    kernels.scale(layer.updateSlope.from(first), hidden.from(first), hidden.from(first), size, 1, width, false);
    layer.hidden.backward(hidden.from(first), gradM[round % 2]->from(first), size);
}

template <class Real>
void SchNet<Real>::passBackwardPairs(Block<Real>& block, int round) {
    int first = block.begin, size = block.size();
    auto forPairs = [&](auto pass) {
        pass(block.inner, true);
        pass(block.outer, false);
    };
    if (round == interactions) {
        SentVectorsGradient<Real> sentGradient = {gradH.all(), nullptr, nullptr};
        forPairs([&](BlockPairs<Real>& pairs, bool bothEnds) {
            kernels.vectorMessagesBackward(pairs.view(), bothEnds, sentVectors(), width, gradVectors->all(),
                                           sentGradient, pairs.distanceGradient.data(), pairs.directionGradient.data());
        });
        return;
    }
    Real* sentGradient = round > 0 ? gradX.all() : nullptr; // features before the first layer know no positions
    if (sentGradient)
        Base::clear(block, gradX);
    forPairs([&](BlockPairs<Real>& pairs, bool bothEnds) {
        kernels.messagesBackward(pairs.view(), bothEnds, table.getLayer(round), width, layers[round].sent.all(),
                                 gradM[round % 2]->all(), sentGradient, pairs.distanceGradient.data());
    });
    if (sentGradient)
        layers[round].sender.backward(gradX.from(first), gradH.from(first), size, true);
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createSchNetRunner(const Weights& weights, const NetworkOptions& network,
                                                     const RunnerOptions& options) {
    int interactions = countBlocks(weights, "sender.weight");
    if (options.doublePrecision)
        return make_unique<SchNet<double>>(weights, network, interactions, options);
    return make_unique<SchNet<float>>(weights, network, interactions, options);
}
