#ifndef OPENMMCG_ENGINE_TORCHMODEL_H_
#define OPENMMCG_ENGINE_TORCHMODEL_H_

#include "openmmcg/engine/ModelRunner.h"
#include <ATen/core/Tensor.h>
#include <memory>
#include <string>

namespace OpenMMCG {

/**
 * One configuration of N beads as tensors on one device. Numbers have the type of the model, integers 64 bits.
 */
struct TorchInputs {
    /** [N, 3] in nm and [N]. */
    at::Tensor positions, types;
    /** [2, P], [P, 3] in nm and [P]; not used by models that take positions alone. */
    at::Tensor pairs, shifts, edgeTypes;
    /** [K], in the order of the model file. */
    at::Tensor parameters;
    /** [3, 3], a vector in each row; undefined where there is no periodic box. */
    at::Tensor box;
};

/**
 * What a model returned, without any gradients attached.
 */
struct TorchOutputs {
    /** [N] in kJ/mol; undefined if the model gives no more than the total. */
    at::Tensor beadEnergies;
    /** The total in kJ/mol: a single number in double precision. */
    at::Tensor energy;
    /** [N, 3] in kJ/mol/nm. */
    at::Tensor forces;
    /** [K], in double precision. */
    at::Tensor parameterDerivatives;
};

/**
 * A TorchScript model on a device of PyTorch, with its own copy of the weights.
 */
class TorchModel {
public:
    /**
     * @throws ModelError if PyTorch cannot load the model, or its forward takes other arguments than expected
     */
    TorchModel(const ModelFile& file, const RunnerOptions& options, at::Device device);
    ~TorchModel();
    /**
     * Evaluate the model, on the current stream of its device.
     *
     * @throws ModelError if the model fails, or returns something else than expected
     */
    TorchOutputs evaluate(const TorchInputs& inputs);
    /** The type of the model's numbers. */
    at::ScalarType getType() const {
        return dtype;
    }
    /**
     * Find out why the model's work cannot be recorded once and repeated. What it does may differ from step to step,
     * where it reads values of tensors back to the host or makes tensors of a size that depends on them, and what it
     * leaves behind in attributes would not be repeated.
     *
     * @return what the model does, or nothing if there is no obstacle
     */
    std::string findRecordingObstacle() const;

private:
    struct Module;
    void checkSignature() const;
    size_t numArguments() const;
    size_t numScalarArguments() const;
    TorchOutputs evaluatePairs(const TorchInputs& inputs);
    TorchOutputs evaluatePositions(const TorchInputs& inputs);
    ModelFile::Interface interface;
    size_t numParameters;
    RunnerOptions options;
    at::ScalarType dtype;
    std::unique_ptr<Module> module;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_TORCHMODEL_H_*/
