#include "AotiRunner.h"
#include "TorchModel.h"
#include "TorchSupport.h"

using namespace OpenMMCG;
using namespace std;

namespace {

/**
 * Runs a model through the TorchScript interpreter on the CPU.
 */
class TorchScriptRunner : public ModelRunner {
public:
    TorchScriptRunner(const ModelFile& file, const RunnerOptions& options)
        : model(file, options, at::kCPU), numThreads(options.numThreads) {}
    void evaluate(const ModelInput& input, ModelOutput& output) override;
    bool roundsPositions() const override {
        return model.getType() == at::kFloat;
    }

private:
    TorchModel model;
    int numThreads;
};

vector<double> toVector(const at::Tensor& tensor) {
    at::Tensor values = tensor.to(at::kDouble).contiguous();
    return vector<double>(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
}

void TorchScriptRunner::evaluate(const ModelInput& input, ModelOutput& output) {
    ThreadCountGuard threads(numThreads);
    vector<at::Tensor> arguments = pairArguments(input, model.getType());
    TorchInputs tensors{arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], {}};
    if (input.box.periodic)
        tensors.box = toTensor(input.box.getVectors(), {3, 3}, model.getType()).clone();
    TorchOutputs result = model.evaluate(tensors);
    output.energy = result.energy.item<double>();
    output.beadEnergies = result.beadEnergies.defined() ? toVector(result.beadEnergies) : vector<double>();
    output.forces = toVector(result.forces);
    output.parameterDerivatives = toVector(result.parameterDerivatives);
}

} // namespace

// OpenMM calls these when it loads the library as a plugin.

extern "C" void registerPlatforms() {}

extern "C" void registerKernelFactories() {
    ModelRunner::registerFactory("torchscript", [](const ModelFile& model, const RunnerOptions& options) {
        return make_unique<TorchScriptRunner>(model, options);
    });
    ModelRunner::registerFactory("aoti", createAotiRunner);
}
