#include "AotiRunner.h"
#include "PythonLock.h"
#include "TorchSupport.h"
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

using namespace OpenMMCG;
using namespace std;

namespace {

/**
 * Runs a model through the TorchScript interpreter on the CPU.
 */
class TorchScriptRunner : public ModelRunner {
public:
    TorchScriptRunner(const ModelFile& file, const RunnerOptions& options);
    void evaluate(const ModelInput& input, ModelOutput& output) override;

private:
    void checkSignature() const;
    /**
     * How many parameters a model of positions takes: those after the temperature, which comes first in every card.
     */
    size_t numScalarArguments() const {
        return parameters.empty() ? 0 : parameters.size() - 1;
    }
    c10::IValue call(vector<c10::IValue> inputs);
    void evaluatePairs(const ModelInput& input, ModelOutput& output);
    void evaluatePositions(const ModelInput& input, ModelOutput& output);
    at::Tensor expect(const c10::IValue& value, vector<int64_t> shape, const string& what) const;

    ModelFile::Interface interface;
    vector<pair<string, double>> parameters;
    RunnerOptions options;
    at::ScalarType dtype;
    torch::jit::Module module;
};

TorchScriptRunner::TorchScriptRunner(const ModelFile& file, const RunnerOptions& options)
    : interface(file.getInterface()), parameters(file.getParameters()), options(options),
      dtype(options.doublePrecision ? at::kDouble : at::kFloat) {
    try {
        istringstream stream(file.getBytes());
        module = torch::jit::load(stream, at::kCPU);
    }
    catch (const c10::Error& error) {
        throw ModelError(string("PyTorch cannot load the model: ") + error.what_without_backtrace() +
                         "\nA model file must hold no operators but PyTorch's own; openmm-cg verify tells.");
    }
    module.eval();

    // Module::to() would convert integers as well.

    auto convert = [&](at::Tensor tensor) {
        tensor.set_requires_grad(false);
        if (tensor.is_floating_point())
            tensor.set_data(tensor.to(dtype));
    };
    for (at::Tensor parameter : module.parameters())
        convert(parameter);
    for (at::Tensor buffer : module.buffers())
        convert(buffer);
    checkSignature();
}

void TorchScriptRunner::checkSignature() const {
    auto method = module.find_method("forward");
    if (!method)
        throw ModelError("The model has no method 'forward'. Script a module that defines it.");
    size_t found = method->function().getSchema().arguments().size() - 1;
    if (interface == ModelFile::Pairs && found != 6)
        throw ModelError("The model's forward takes " + to_string(found) +
                         " arguments; expected 6: positions, types, " + "pairs, shifts, edge_types, parameters.");
    size_t expected = 1 + numScalarArguments();
    if (interface == ModelFile::Positions && found != expected && found != expected + 1)
        throw ModelError("The model's forward takes " + to_string(found) + " arguments; expected positions, " +
                         "optionally the box vectors, and " + to_string(numScalarArguments()) +
                         " parameters. Models that take " +
                         "pairs, and parameters, must be saved with openmmcg.export.save().");
}

at::Tensor TorchScriptRunner::expect(const c10::IValue& value, vector<int64_t> shape, const string& what) const {
    if (!value.isTensor())
        throw ModelError("The model returned a " + value.tagKind() + " as " + what + "; expected a tensor.");
    return checkedResult(value.toTensor(), shape, what);
}

c10::IValue TorchScriptRunner::call(vector<c10::IValue> inputs) {
    try {
        return module.forward(std::move(inputs));
    }
    catch (const c10::Error& error) {
        throw ModelError(string("The model failed: ") + error.what_without_backtrace());
    }
    catch (const ModelError&) {
        throw;
    }
    catch (const exception& error) {
        throw ModelError(string("The model failed: ") + error.what());
    }
}

void TorchScriptRunner::evaluate(const ModelInput& input, ModelOutput& output) {
    // Autograd refuses to run in a thread that holds Python's lock, as when a Context is queried from a reporter.
    PythonLockRelease lock;
    ThreadCountGuard threads(options.numThreads);
    // The profiling executor would specialise, and stall, for every new number of pairs.
    torch::jit::GraphOptimizerEnabledGuard optimizer(false);
    at::AutoGradMode grad(true);
    if (interface == ModelFile::Pairs)
        evaluatePairs(input, output);
    else
        evaluatePositions(input, output);
}

void TorchScriptRunner::evaluatePairs(const ModelInput& input, ModelOutput& output) {
    vector<at::Tensor> arguments = pairArguments(input, dtype);
    c10::IValue result = call({arguments.begin(), arguments.end()});
    if (!result.isTuple() || result.toTupleRef().elements().size() != 3)
        throw ModelError("The model returned a " + result.tagKind() + "; expected the tuple (bead_energy [N], forces " +
                         "[N,3], bead_parameter_derivatives [K,N]).");
    vector<at::Tensor> results;
    for (auto& element : result.toTupleRef().elements()) {
        if (!element.isTensor())
            throw ModelError("The model returned a tuple with a " + element.tagKind() + "; expected three tensors.");
        results.push_back(element.toTensor());
    }
    takePairResults(results, input, output);
}

void TorchScriptRunner::evaluatePositions(const ModelInput& input, ModelOutput& output) {
    int64_t numBeads = static_cast<int64_t>(input.types.size());
    at::Tensor positions = toTensor(input.positions, {numBeads, 3}, dtype).clone().requires_grad_(true);
    vector<c10::IValue> inputs = {positions};
    size_t numArguments = module.get_method("forward").function().getSchema().arguments().size() - 1;
    if (numArguments == numScalarArguments() + 2) {
        if (!input.box.periodic)
            throw ModelError("The model's forward takes box vectors, but the CGForce is not periodic. Call " +
                             string("setUsesPeriodicBoundaryConditions(true)."));
        vector<double> vectors(input.box.a, input.box.a + 3);
        vectors.insert(vectors.end(), input.box.b, input.box.b + 3);
        vectors.insert(vectors.end(), input.box.c, input.box.c + 3);
        inputs.push_back(toTensor(vectors, {3, 3}, dtype).clone());
    }
    vector<at::Tensor> variables = {positions};
    for (size_t i = 1; i < parameters.size(); i++) {
        at::Tensor scalar = at::full({}, input.parameters[i], at::TensorOptions(dtype));
        scalar.requires_grad_(options.parameterDerivatives);
        inputs.push_back(scalar);
        if (options.parameterDerivatives)
            variables.push_back(scalar);
    }
    c10::IValue result = call(inputs);
    bool hasForces = result.isTuple();
    if (hasForces && result.toTupleRef().elements().size() != 2)
        throw ModelError("The model returned a tuple of " + to_string(result.toTupleRef().elements().size()) +
                         " values; expected the energy, or the energy and the forces.");
    c10::IValue energyValue = hasForces ? result.toTupleRef().elements()[0] : result;
    if (!energyValue.isTensor() || energyValue.toTensor().numel() != 1)
        throw ModelError(
            "The model returned an energy that is not a single number; expected a tensor with one element.");
    at::Tensor energy = energyValue.toTensor();
    output.energy = energy.item<double>();
    output.beadEnergies.clear();
    output.parameterDerivatives.assign(parameters.size(), 0.0);

    vector<at::Tensor> gradients(variables.size());
    if (!hasForces || options.parameterDerivatives) {
        if (!energy.requires_grad())
            throw ModelError(
                "The model's energy cannot be differentiated. Do not detach positions inside forward, or " +
                string("return the forces too."));
        gradients = torch::autograd::grad({energy.sum()}, variables, {}, false, false, true);
    }
    at::Tensor forces;
    if (hasForces)
        forces = expect(result.toTupleRef().elements()[1], {numBeads, 3}, "forces");
    else
        forces = gradients[0].defined() ? expect(-gradients[0], {numBeads, 3}, "forces")
                                        : at::zeros({numBeads, 3}, at::kDouble);
    output.forces.assign(forces.data_ptr<double>(), forces.data_ptr<double>() + 3 * numBeads);
    for (size_t i = 1; i < gradients.size(); i++)
        if (gradients[i].defined())
            output.parameterDerivatives[i] = gradients[i].item<double>();
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
