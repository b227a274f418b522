#ifndef OPENMMCG_ENGINE_TORCHSUPPORT_H_
#define OPENMMCG_ENGINE_TORCHSUPPORT_H_

#include "openmmcg/engine/ModelRunner.h"
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <sstream>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * Sets the number of threads of torch's CPU kernels for a scope. The setting is global to the process,
 * which may be running a user's own torch code besides.
 */
class ThreadCountGuard {
public:
    explicit ThreadCountGuard(int numThreads) : previous(at::get_num_threads()) {
        if (numThreads != previous)
            at::set_num_threads(numThreads);
    }
    ~ThreadCountGuard() {
        if (at::get_num_threads() != previous)
            at::set_num_threads(previous);
    }

private:
    int previous;
};

/**
 * Present numbers as a tensor. Where the type differs it is a copy; otherwise it shares the numbers, which no model
 * may change.
 */
inline at::Tensor toTensor(const std::vector<double>& values, std::vector<int64_t> shape, at::ScalarType dtype) {
    auto blob = at::from_blob(const_cast<double*>(values.data()), shape, at::kDouble);
    return dtype == at::kDouble ? blob : blob.to(dtype);
}

/**
 * The six arguments of a model that takes pairs.
 */
inline std::vector<at::Tensor> pairArguments(const ModelInput& input, at::ScalarType dtype) {
    int64_t numBeads = static_cast<int64_t>(input.types.size());
    auto integers = [](const std::vector<int64_t>& values, std::vector<int64_t> shape) {
        return at::from_blob(const_cast<int64_t*>(values.data()), shape, at::kLong);
    };
    const PairBatch& pairs = input.pairs;
    return {toTensor(input.positions, {numBeads, 3}, dtype),
            integers(input.types, {numBeads}),
            integers(pairs.indices, {2, pairs.size}),
            toTensor(pairs.shifts, {pairs.size, 3}, dtype),
            integers(pairs.edgeTypes, {pairs.size}),
            toTensor(input.parameters, {static_cast<int64_t>(input.parameters.size())}, dtype)};
}

/**
 * Take a result of a model, without gradients.
 *
 * @throws ModelError if it has another shape than expected
 */
inline at::Tensor detachedResult(const at::Tensor& value, const std::vector<int64_t>& shape, const std::string& what) {
    at::Tensor tensor = value.detach();
    if (tensor.sizes() != c10::IntArrayRef(shape)) {
        std::ostringstream text;
        text << "The model returned " << what << " as " << tensor.scalar_type() << " " << tensor.sizes()
             << "; expected the shape " << c10::IntArrayRef(shape)
             << ". See the contract of forward in the documentation of openmmcg.export.save().";
        throw ModelError(text.str());
    }
    return tensor;
}

/** Take a result of a model as doubles. */
inline at::Tensor checkedResult(const at::Tensor& value, const std::vector<int64_t>& shape, const std::string& what) {
    return detachedResult(value, shape, what).to(at::kDouble).contiguous();
}

/**
 * Take over what a model that takes pairs returned: bead energies [N], forces [N,3] and parameter derivatives [K,N].
 */
inline void takePairResults(const std::vector<at::Tensor>& results, const ModelInput& input, ModelOutput& output) {
    int64_t numBeads = static_cast<int64_t>(input.types.size()),
            numParameters = static_cast<int64_t>(input.parameters.size());
    at::Tensor energies = checkedResult(results[0], {numBeads}, "bead energies");
    at::Tensor forces = checkedResult(results[1], {numBeads, 3}, "forces");
    at::Tensor derivatives = checkedResult(results[2], {numParameters, numBeads}, "parameter derivatives");
    output.beadEnergies.assign(energies.data_ptr<double>(), energies.data_ptr<double>() + numBeads);
    output.forces.assign(forces.data_ptr<double>(), forces.data_ptr<double>() + 3 * numBeads);
    output.energy = 0;
    for (double energy : output.beadEnergies)
        output.energy += energy;
    output.parameterDerivatives.assign(input.parameters.size(), 0.0);
    const double* derivative = derivatives.data_ptr<double>();
    for (double& sum : output.parameterDerivatives)
        for (int64_t bead = 0; bead < numBeads; bead++)
            sum += *derivative++;
}

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_TORCHSUPPORT_H_*/
