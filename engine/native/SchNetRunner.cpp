#include "SchNetRunner.h"
#include "Blocks.h"
#include "Kernels.h"
#include "SchNetFilters.h"
#include "ThreadTeam.h"
#include <algorithm>

using namespace OpenMMCG;
using namespace std;

namespace {

/** A square matrix and its transpose, padded with zeros. */
template <class Real>
struct Linear {
    /** For row vectors x: x * forward is the layer's result less the bias, g * backward its gradient. */
    AlignedVector<Real> forward, backward, bias;
};

template <class Real>
struct Layer {
    Linear<Real> sender, hidden, update;
};

template <class Real>
AlignedVector<Real> paddedRows(const vector<double>& values, int rows, int columns, int width) {
    AlignedVector<Real> result(static_cast<size_t>(rows) * width, Real(0));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            result[static_cast<size_t>(r) * width + c] =
                static_cast<Real>(values[static_cast<size_t>(r) * columns + c]);
    return result;
}

template <class Real>
Linear<Real> readLinear(const Weights& weights, const string& name, int features, int width, bool hasBias) {
    auto& matrix = weights.get(name + ".weight", {features, features}).values; // (out, in)
    Linear<Real> layer;
    layer.backward.assign(static_cast<size_t>(width) * width, Real(0));
    layer.forward.assign(static_cast<size_t>(width) * width, Real(0));
    for (int out = 0; out < features; out++)
        for (int in = 0; in < features; in++) {
            Real value = static_cast<Real>(matrix[static_cast<size_t>(out) * features + in]);
            layer.backward[static_cast<size_t>(out) * width + in] = value;
            layer.forward[static_cast<size_t>(in) * width + out] = value;
        }
    if (hasBias)
        layer.bias = paddedRows<Real>(weights.get(name + ".bias", {features}).values, 1, features, width);
    return layer;
}

/**
 * The evaluation, forwards and backwards. Notation: h are the features of the beads, x = h S what they send,
 * m_i = sum_j W(d_ij) x_j what they receive, u = tanh(m A + a), and h + u B + b the features of the next layer; the
 * energy of a bead is tanh(h R + r) c + e. Gradients of the total energy carry the prefix `grad`.
 */
template <class Real>
class Evaluator : public ModelRunner {
public:
    Evaluator(const Weights& weights, double cutoff, int numInteractions, const RunnerOptions& options);
    void evaluate(const ModelInput& input, ModelOutput& output) override;
    bool allowsReordering() const override {
        return true;
    }

private:
    using Rows = AlignedVector<Real>;
    void reserve(size_t numBeads);
    void run(int thread, int numThreads);
    void start(Block<Real>& block);
    void passForward(Block<Real>& block, int layer);
    void readOut(Block<Real>& block);
    void passBackwardDense(Block<Real>& block, int layer);
    void passBackwardPairs(Block<Real>& block, int layer);
    Real* row(Rows& rows, const Block<Real>& block) const {
        return rows.data() + static_cast<size_t>(block.begin) * width;
    }
    size_t length(const Block<Real>& block) const {
        return static_cast<size_t>(block.size()) * width;
    }
    void multiply(const Real* a, const Rows& b, const Rows& bias, Real* result, int rows, bool accumulate) const {
        kernels.multiply(a, b.data(), bias.empty() ? nullptr : bias.data(), result, rows, width, accumulate);
    }

    const Kernels<Real>& kernels;
    int width;
    FilterTable<Real> table;
    Rows embedding, firstSent, readoutWeights;
    double readoutBias;
    vector<Layer<Real>> layers;
    Linear<Real> readout;
    const Rows none;

    ThreadTeam team;
    Blocks<Real> blocks;
    const ModelInput* input = nullptr;
    ModelOutput* output = nullptr;
    size_t capacity = 0;
    // For all beads; x and u of every layer are kept for the way back. The gradient of m is read by other blocks
    // while they are behind by one layer, so there are two of it.
    Rows h, m, gradH, gradX, gradM[2];
    vector<Rows> x, u;
};

template <class Real>
Evaluator<Real>::Evaluator(const Weights& weights, double cutoff, int numInteractions, const RunnerOptions& options)
    : kernels(getKernels<Real>()), team(options.numThreads) {
    auto& types = weights.get("embedding.weight", {-1, -1});
    int numTypes = static_cast<int>(types.shape[0]), features = static_cast<int>(types.shape[1]);
    width = (features + FEATURE_PADDING - 1) / FEATURE_PADDING * FEATURE_PADDING;
    weights.get("filters.coefficients", {-1, -1, static_cast<int64_t>(features) * numInteractions});
    table = FilterTable<Real>(SchNetFilters(weights, cutoff), numInteractions);
    embedding = paddedRows<Real>(types.values, numTypes, features, width);
    for (int layer = 0; layer < numInteractions; layer++) {
        string block = "blocks." + to_string(layer);
        layers.push_back({readLinear<Real>(weights, block + ".sender", features, width, false),
                          readLinear<Real>(weights, block + ".update.0", features, width, true),
                          readLinear<Real>(weights, block + ".update.2", features, width, true)});
    }
    readout = readLinear<Real>(weights, "readout.0", features, width, true);
    readoutWeights = paddedRows<Real>(weights.get("readout.2.weight", {1, features}).values, 1, features, width);
    readoutBias = weights.get("readout.2.bias", {1}).values[0];
    // What a bead sends in the first layer depends on its type only.
    firstSent.resize(embedding.size());
    multiply(embedding.data(), layers[0].sender.forward, none, firstSent.data(), numTypes, false);
    x.resize(layers.size());
    u.resize(layers.size());
}

template <class Real>
void Evaluator<Real>::reserve(size_t numBeads) {
    if (numBeads <= capacity)
        return;
    capacity = numBeads;
    size_t size = capacity * width;
    for (Rows* rows : {&h, &m, &gradH, &gradX, &gradM[0], &gradM[1]})
        rows->resize(size);
    for (size_t layer = 0; layer < layers.size(); layer++) {
        x[layer].resize(size);
        u[layer].resize(size);
    }
}

template <class Real>
void Evaluator<Real>::evaluate(const ModelInput& newInput, ModelOutput& newOutput) {
    input = &newInput;
    output = &newOutput;
    size_t numBeads = input->types.size();
    reserve(numBeads);
    output->beadEnergies.resize(numBeads);
    output->forces.assign(3 * numBeads, 0.0);
    output->parameterDerivatives.assign(input->parameters.size(), 0.0);
    blocks.update(*input);
    if (blocks.size() > 1)
        team.run([this](int thread, int numThreads) { run(thread, numThreads); });
    else
        run(0, 1);
    output->energy = 0;
    for (double energy : output->beadEnergies)
        output->energy += energy;
}

template <class Real>
void Evaluator<Real>::run(int thread, int numThreads) {
    auto forMyBlocks = [&](auto stage) {
        for (int i = thread; i < blocks.size(); i += numThreads)
            stage(blocks[i]);
    };
    int numLayers = static_cast<int>(layers.size());
    if (!blocks.areConnected()) { // all stages of a block in turn, while its data are in the cache
        forMyBlocks([&](Block<Real>& block) {
            start(block);
            for (int layer = 0; layer < numLayers; layer++)
                passForward(block, layer);
            readOut(block);
            for (int layer = numLayers - 1; layer >= 0; layer--) {
                passBackwardDense(block, layer);
                passBackwardPairs(block, layer);
            }
            block.addForces(output->forces.data());
        });
        return;
    }
    forMyBlocks([&](Block<Real>& block) { start(block); });
    for (int layer = 0; layer < numLayers; layer++) {
        team.meet();
        forMyBlocks([&](Block<Real>& block) { passForward(block, layer); });
    }
    forMyBlocks([&](Block<Real>& block) { readOut(block); });
    for (int layer = numLayers - 1; layer >= 0; layer--) {
        forMyBlocks([&](Block<Real>& block) { passBackwardDense(block, layer); });
        team.meet();
        forMyBlocks([&](Block<Real>& block) { passBackwardPairs(block, layer); });
    }
    forMyBlocks([&](Block<Real>& block) { block.addForces(output->forces.data()); });
}

template <class Real>
void Evaluator<Real>::start(Block<Real>& block) {
    block.gather(*input, blocks.getRowStarts(), table);
    for (int i = block.begin; i < block.end; i++) {
        size_t type = static_cast<size_t>(input->types[i]) * width, bead = static_cast<size_t>(i) * width;
        copy_n(embedding.data() + type, width, h.data() + bead);
        copy_n(firstSent.data() + type, width, x[0].data() + bead);
    }
}

template <class Real>
void Evaluator<Real>::passForward(Block<Real>& block, int layer) {
    const Layer<Real>& weights = layers[layer];
    fill_n(row(m, block), length(block), Real(0));
    kernels.messages(block.inner.view(), true, table.getLayer(layer), width, x[layer].data(), m.data());
    kernels.messages(block.outer.view(), false, table.getLayer(layer), width, x[layer].data(), m.data());
    multiply(row(m, block), weights.hidden.forward, weights.hidden.bias, row(u[layer], block), block.size(), false);
    kernels.tanh(row(u[layer], block), length(block));
    multiply(row(u[layer], block), weights.update.forward, weights.update.bias, row(h, block), block.size(), true);
    if (layer + 1 < static_cast<int>(layers.size()))
        multiply(row(h, block), layers[layer + 1].sender.forward, none, row(x[layer + 1], block), block.size(), false);
}

template <class Real>
void Evaluator<Real>::readOut(Block<Real>& block) {
    Real *hidden = row(m, block), *gradient = row(gradX, block);
    multiply(row(h, block), readout.forward, readout.bias, hidden, block.size(), false);
    kernels.tanh(hidden, length(block));
    for (int i = 0; i < block.size(); i++) {
        size_t bead = static_cast<size_t>(i) * width;
        output->beadEnergies[block.begin + i] =
            readoutBias + static_cast<double>(kernels.dot(hidden + bead, readoutWeights.data(), width));
        copy_n(readoutWeights.data(), width, gradient + bead);
    }
    kernels.tanhBackward(gradient, hidden, length(block));
    multiply(gradient, readout.backward, none, row(gradH, block), block.size(), false);
}

template <class Real>
void Evaluator<Real>::passBackwardDense(Block<Real>& block, int layer) {
    Real* gradient = row(m, block);
    multiply(row(gradH, block), layers[layer].update.backward, none, gradient, block.size(), false);
    kernels.tanhBackward(gradient, row(u[layer], block), length(block));
    multiply(gradient, layers[layer].hidden.backward, none, row(gradM[layer % 2], block), block.size(), false);
}

template <class Real>
void Evaluator<Real>::passBackwardPairs(Block<Real>& block, int layer) {
    // The features before the first layer do not depend on positions.
    Real* sentGradient = layer > 0 ? gradX.data() : nullptr;
    if (layer > 0)
        fill_n(row(gradX, block), length(block), Real(0));
    const Real *sent = x[layer].data(), *received = gradM[layer % 2].data(), *filters = table.getLayer(layer);
    kernels.messagesBackward(block.inner.view(), true, filters, width, sent, received, sentGradient,
                             block.inner.distanceGradient.data());
    kernels.messagesBackward(block.outer.view(), false, filters, width, sent, received, sentGradient,
                             block.outer.distanceGradient.data());
    if (layer > 0)
        multiply(row(gradX, block), layers[layer].sender.backward, none, row(gradH, block), block.size(), true);
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createSchNetRunner(const Weights& weights, const ModelFile& model,
                                                     const RunnerOptions& options) {
    int interactions = 0;
    while (weights.has("blocks." + to_string(interactions) + ".sender.weight"))
        interactions++;
    if (interactions == 0)
        throw ModelError("The model file holds a SchNet without interactions; export it again.");
    if (options.doublePrecision)
        return make_unique<Evaluator<double>>(weights, model.getCutoff(), interactions, options);
    return make_unique<Evaluator<float>>(weights, model.getCutoff(), interactions, options);
}
