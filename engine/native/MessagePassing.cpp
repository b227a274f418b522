#include "MessagePassing.h"
#include <algorithm>
#include <numeric>

using namespace OpenMMCG;
using namespace std;

int OpenMMCG::countBlocks(const Weights& weights, const string& suffix) {
    int count = 0;
    while (weights.has("blocks." + to_string(count) + "." + suffix))
        count++;
    if (count == 0)
        throw ModelError("The model file's weights have no 'blocks.0." + suffix + "'; export the model again.");
    return count;
}

template <class Real>
MessagePassing<Real>::MessagePassing(const Weights& weights, const NetworkOptions& network,
                                     const FilterFunctions& filters, int tables, int rounds, bool directional,
                                     Activation<Real> activation, const RunnerOptions& options)
    : kernels(getKernels<Real>()), features(filters.getNumFeatures() / tables), width(paddedWidth(features)),
      numTypes(static_cast<int>(weights.get("embedding.weight", {-1, features}).shape[0])), table(filters, tables),
      embedding(paddedRows<Real>(weights.get("embedding.weight", {numTypes, features}).values, numTypes, features)),
      workspace(width), h(workspace.addScalars()), gradH(workspace.addScalars()), hidden(workspace.addScalars()),
      slope(workspace.addScalars()), rounds(rounds), directional(directional),
      readout(weights, network, features, activation), team(options.numThreads) {}

template <class Real>
void MessagePassing<Real>::evaluate(const ModelInput& newInput, ModelOutput& newOutput) {
    input = &newInput;
    output = &newOutput;
    size_t numBeads = input->types.size();
    workspace.reserve(numBeads);
    output->beadEnergies.resize(numBeads);
    output->forces.assign(3 * numBeads, 0.0);
    output->parameterDerivatives.assign(input->parameters.size(), 0.0);
    thermalSlopes.resize(numBeads);
    readout.prepare(*input);
    blocks.update(*input);
    if (blocks.size() > 1)
        team.run([this](int thread, int numThreads) { run(thread, numThreads); });
    else
        run(0, 1);
    output->energy = 0;
    for (double energy : output->beadEnergies)
        output->energy += energy;
    if (readout.isThermal())
        output->parameterDerivatives[0] = accumulate(thermalSlopes.begin(), thermalSlopes.end(), 0.0);
}

template <class Real>
void MessagePassing<Real>::run(int thread, int numThreads) {
    auto forMyBlocks = [&](auto stage) {
        for (int i = thread; i < blocks.size(); i += numThreads)
            stage(blocks[i]);
    };
    if (!blocks.areConnected()) { // all stages of a block in turn, while its data are in the cache
        forMyBlocks([&](Block<Real>& block) {
            start(block);
            for (int round = 0; round < rounds; round++)
                passForward(block, round);
            readOut(block);
            for (int round = rounds - 1; round >= 0; round--) {
                passBackwardDense(block, round);
                passBackwardPairs(block, round);
            }
            block.addForces(output->forces.data());
        });
        return;
    }
    forMyBlocks([&](Block<Real>& block) { start(block); });
    for (int round = 0; round < rounds; round++) {
        team.meet();
        forMyBlocks([&](Block<Real>& block) { passForward(block, round); });
    }
    forMyBlocks([&](Block<Real>& block) { readOut(block); });
    for (int round = rounds - 1; round >= 0; round--) {
        forMyBlocks([&](Block<Real>& block) { passBackwardDense(block, round); });
        team.meet();
        forMyBlocks([&](Block<Real>& block) { passBackwardPairs(block, round); });
    }
    forMyBlocks([&](Block<Real>& block) { block.addForces(output->forces.data()); });
}

template <class Real>
void MessagePassing<Real>::start(Block<Real>& block) {
    block.gather(*input, blocks.getRowStarts(), table, directional);
    copyByType(block, embedding, h);
    begin(block);
}

template <class Real>
void MessagePassing<Real>::readOut(const Block<Real>& block) {
    int first = block.begin;
    readout.evaluate(h.from(first), block.size(), output->beadEnergies.data() + first, thermalSlopes.data() + first,
                     gradH.from(first), hidden.from(first), slope.from(first));
}

template <class Real>
void MessagePassing<Real>::copyByType(const Block<Real>& block, const AlignedVector<Real>& table,
                                      Rows<Real>& rows) const {
    for (int i = block.begin; i < block.end; i++)
        copy_n(table.data() + input->types[i] * width, width, rows.from(i));
}

template <class Real>
void MessagePassing<Real>::copy(const Block<Real>& block, Rows<Real>& from, Rows<Real>& to) const {
    copy_n(from.from(block.begin), from.countNumbers(block.size()), to.from(block.begin));
}

template <class Real>
void MessagePassing<Real>::clear(const Block<Real>& block, Rows<Real>& rows) const {
    fill_n(rows.from(block.begin), rows.countNumbers(block.size()), Real(0));
}

template class OpenMMCG::MessagePassing<float>;
template class OpenMMCG::MessagePassing<double>;
