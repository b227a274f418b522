#include "TorchModel.h"
#include "PythonLock.h"
#include "TorchSupport.h"
#include <set>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

using namespace OpenMMCG;
using namespace std;

struct TorchModel::Module {
    torch::jit::Module module;
    const RunnerOptions& options;
    c10::IValue call(vector<c10::IValue> inputs);
};

/** Check something that a model returned. */
static at::Tensor expect(const c10::IValue& value, const vector<int64_t>& shape, const string& what) {
    if (!value.isTensor())
        throw ModelError("The model returned a " + value.tagKind() + " as " + what + "; expected a tensor.");
    return detachedResult(value.toTensor(), shape, what);
}

TorchModel::TorchModel(const ModelFile& file, const RunnerOptions& options, at::Device device)
    : interface(file.getInterface()), numParameters(file.getParameters().size()), options(options),
      dtype(options.doublePrecision ? at::kDouble : at::kFloat) {
    try {
        istringstream stream(file.getBytes());
        module.reset(new Module{torch::jit::load(stream, device), this->options});
    }
    catch (const c10::Error& error) {
        throw ModelError(string("PyTorch cannot load the model: ") + error.what_without_backtrace() +
                         "\nA model file must hold no operators but PyTorch's own; openmm-cg verify tells.");
    }
    module->module.eval();

    // Module::to() would convert integers as well.

    auto convert = [&](at::Tensor tensor) {
        tensor.set_requires_grad(false);
        if (tensor.is_floating_point())
            tensor.set_data(tensor.to(dtype));
    };
    for (at::Tensor parameter : module->module.parameters())
        convert(parameter);
    for (at::Tensor buffer : module->module.buffers())
        convert(buffer);
    checkSignature();
}

TorchModel::~TorchModel() = default;

size_t TorchModel::numArguments() const {
    return module->module.get_method("forward").function().getSchema().arguments().size() - 1;
}

/** How many parameters a model of positions takes: those after the temperature, which comes first in every card. */
size_t TorchModel::numScalarArguments() const {
    return numParameters == 0 ? 0 : numParameters - 1;
}

void TorchModel::checkSignature() const {
    if (!module->module.find_method("forward"))
        throw ModelError("The model has no method 'forward'. Script a module that defines it.");
    size_t found = numArguments();
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

/** What to say of an error besides its own text. */
static string findRemedy(const string& error, const RunnerOptions& options) {
    bool isAboutTypes = error.find("dtype") != string::npos || error.find("scalar type") != string::npos;
    return options.doublePrecision && isAboutTypes
               ? "\nThe model was evaluated in double precision. If it is made for single precision only, set the " +
                     string("property 'precision' to 'single', on another platform than Reference.")
               : "";
}

c10::IValue TorchModel::Module::call(vector<c10::IValue> inputs) {
    auto fail = [&](const string& text) { throw ModelError("The model failed: " + text + findRemedy(text, options)); };
    try {
        return module.forward(std::move(inputs));
    }
    catch (const c10::Error& error) {
        fail(error.what_without_backtrace());
    }
    catch (const exception& error) {
        fail(error.what());
    }
    return {};
}

TorchOutputs TorchModel::evaluate(const TorchInputs& inputs) {
    // Autograd refuses to run in a thread that holds Python's lock, as when a Context is queried from a reporter.
    PythonLockRelease lock;
    // The profiling executor would specialise, and stall, for every new number of pairs.
    torch::jit::GraphOptimizerEnabledGuard optimizer(false);
    at::AutoGradMode grad(true);
    return interface == ModelFile::Pairs ? evaluatePairs(inputs) : evaluatePositions(inputs);
}

TorchOutputs TorchModel::evaluatePairs(const TorchInputs& inputs) {
    int64_t numBeads = inputs.positions.size(0), K = static_cast<int64_t>(numParameters);
    c10::IValue result = module->call({inputs.positions.detach(), inputs.types, inputs.pairs, inputs.shifts,
                                       inputs.edgeTypes, inputs.parameters.detach()});
    if (!result.isTuple() || result.toTupleRef().elements().size() != 3)
        throw ModelError("The model returned a " + result.tagKind() + "; expected the tuple (bead_energy [N], forces " +
                         "[N,3], bead_parameter_derivatives [K,N]).");
    auto& elements = result.toTupleRef().elements();
    TorchOutputs outputs;
    outputs.beadEnergies = expect(elements[0], {numBeads}, "bead energies");
    outputs.energy = outputs.beadEnergies.sum(at::kDouble);
    outputs.forces = expect(elements[1], {numBeads, 3}, "forces");
    outputs.parameterDerivatives =
        expect(elements[2], {K, numBeads}, "parameter derivatives").sum({1}, false, at::kDouble);
    return outputs;
}

TorchOutputs TorchModel::evaluatePositions(const TorchInputs& inputs) {
    int64_t numBeads = inputs.positions.size(0);
    at::Tensor positions = inputs.positions.detach().requires_grad_(true);
    vector<c10::IValue> arguments = {positions};
    if (numArguments() == numScalarArguments() + 2) {
        if (!inputs.box.defined())
            throw ModelError("The model's forward takes box vectors, but the CGForce is not periodic. Call " +
                             string("setUsesPeriodicBoundaryConditions(true)."));
        arguments.push_back(inputs.box);
    }
    vector<at::Tensor> variables = {positions};
    for (size_t i = 1; i < numParameters; i++) {
        at::Tensor scalar = inputs.parameters.detach().select(0, static_cast<int64_t>(i));
        scalar.requires_grad_(options.parameterDerivatives);
        arguments.push_back(scalar);
        if (options.parameterDerivatives)
            variables.push_back(scalar);
    }
    c10::IValue result = module->call(arguments);
    bool hasForces = result.isTuple();
    if (hasForces && result.toTupleRef().elements().size() != 2)
        throw ModelError("The model returned a tuple of " + to_string(result.toTupleRef().elements().size()) +
                         " values; expected the energy, or the energy and the forces.");
    c10::IValue energyValue = hasForces ? result.toTupleRef().elements()[0] : result;
    if (!energyValue.isTensor() || energyValue.toTensor().numel() != 1)
        throw ModelError(
            "The model returned an energy that is not a single number; expected a tensor with one element.");
    at::Tensor energy = energyValue.toTensor();

    vector<at::Tensor> gradients(variables.size());
    if (!hasForces || options.parameterDerivatives) {
        if (!energy.requires_grad())
            throw ModelError(
                string("The model's energy cannot be differentiated") +
                (options.parameterDerivatives
                     ? ", but the Force asks for its derivatives with respect to parameters. Do not detach "
                       "the energy inside forward, or do not ask for derivatives."
                     : ". Do not detach positions inside forward, or return the forces too."));
        gradients = torch::autograd::grad({energy.sum()}, variables, {}, false, false, true);
    }
    TorchOutputs outputs;
    outputs.energy = energy.detach().sum(at::kDouble);
    if (hasForces)
        outputs.forces = expect(result.toTupleRef().elements()[1], {numBeads, 3}, "forces");
    else
        outputs.forces = gradients[0].defined() ? expect(-gradients[0], {numBeads, 3}, "forces")
                                                : at::zeros({numBeads, 3}, positions.options());
    outputs.parameterDerivatives =
        at::zeros({static_cast<int64_t>(numParameters)}, energy.options().dtype(at::kDouble).requires_grad(false));
    for (size_t i = 1; i < gradients.size(); i++)
        if (gradients[i].defined())
            outputs.parameterDerivatives.select(0, static_cast<int64_t>(i)).copy_(gradients[i].detach());
    return outputs;
}

/** Why the first operator of its kind in a block, or in those inside of it, keeps work from being recorded. */
static string findRecordingObstacleIn(const torch::jit::Block* block) {
    static const set<string> alwaysRead = {"aten::item",
                                           "aten::_local_scalar_dense",
                                           "aten::is_nonzero",
                                           "aten::nonzero",
                                           "aten::nonzero_numpy",
                                           "aten::argwhere",
                                           "aten::masked_select",
                                           "aten::unique_dim",
                                           "aten::_unique2",
                                           "aten::_unique",
                                           "aten::unique_consecutive",
                                           "aten::equal",
                                           "aten::allclose",
                                           "aten::bincount",
                                           "aten::cpu",
                                           "prim::tolist"};
    // These also convert plain numbers, which is no trouble.
    static const set<string> readTensors = {"aten::Bool",           "aten::Int",         "aten::Float",
                                            "aten::ScalarImplicit", "aten::IntImplicit", "aten::FloatImplicit"};
    for (const torch::jit::Node* node : block->nodes()) {
        string name = node->kind().toQualString();
        bool takesTensor = !node->inputs().empty() && node->input(0)->type()->isSubtypeOf(*c10::TensorType::get());
        if (alwaysRead.count(name) > 0 || (readTensors.count(name) > 0 && takesTensor))
            return "the model reads values back while it is evaluated ('" + name +
                   "'), so that its work may differ from step to step";
        if (name == "prim::SetAttr")
            return "the model sets its attribute '" + node->s(c10::attr::name) +
                   "' while it is evaluated, which a recording does not repeat";
        for (const torch::jit::Block* inner : node->blocks()) {
            string found = findRecordingObstacleIn(inner);
            if (!found.empty())
                return found;
        }
    }
    return "";
}

string TorchModel::findRecordingObstacle() const {
    auto graph = module->module.get_method("forward").graph()->copy();
    torch::jit::Inline(*graph);
    return findRecordingObstacleIn(graph->block());
}
