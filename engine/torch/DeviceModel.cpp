#include "DeviceModel.h"
#include "TorchModel.h"
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cstdio>
#include <iostream>
#include <torch/version.h>

using namespace OpenMMCG;
using namespace std;

namespace {

/** How often work is done as usual before it is recorded: at first, and after memory has moved. */
const int FIRST_WARM_UP = 3, LATER_WARM_UP = 1;

string firstLine(const string& text) {
    return text.substr(0, text.find('\n'));
}

string inMebibytes(double bytes) {
    char text[32];
    snprintf(text, sizeof(text), "%.1f MiB", bytes / (1 << 20));
    return text;
}

c10::Stream chooseStream(c10::Device device) {
    c10::impl::VirtualGuardImpl guard(device.type());
    return device.is_cpu() ? guard.getStream(device) : guard.getStreamFromGlobalPool(device);
}

class TorchDeviceModel : public DeviceModel {
public:
    TorchDeviceModel(const ModelFile& file, const RunnerOptions& options, const vector<int64_t>& types,
                     c10::Device device, const GraphOptions& graphs);
    void* getStream() const override;
    DeviceAddresses allocate(int capacity) override;
    void setTypes(const vector<int64_t>& types) override;
    void evaluate(const vector<double>& parameters, const Box& box) override;
    double getEnergy() override;
    ModelOutput getOutput() override;
    vector<double> getParameterDerivatives() override;
    map<string, string> getInfo() const override;

private:
    void checkGraphs();
    /** Call a function that may run out of memory. */
    template <class Function>
    void withMemoryErrors(Function function) const;
    string describeMemory(const string& error) const;
    void synchronize() const;
    at::Tensor zeros(vector<int64_t> shape, at::ScalarType type) const;
    vector<double> download(const at::Tensor& tensor) const;
    void update(const at::Tensor& tensor, const vector<double>& values, vector<double>& known);
    void run();
    void capture();

    c10::Device device;
    c10::Stream stream;
    TorchModel model;
    bool takesPairs;
    TorchInputs inputs;
    TorchOutputs outputs;
    at::Tensor box;
    vector<double> knownParameters, knownBox;
    GraphOptions graphs;
    unique_ptr<CapturedGraph> graph;
    int capacity = 0, warmUp = FIRST_WARM_UP;
    int64_t numEvaluations = 0;
};

TorchDeviceModel::TorchDeviceModel(const ModelFile& file, const RunnerOptions& options, const vector<int64_t>& types,
                                   c10::Device device, const GraphOptions& graphs)
    : device(device), stream(chooseStream(device)), model(file, options, device),
      takesPairs(file.getInterface() == ModelFile::Pairs), graphs(graphs) {
    checkGraphs();
    c10::StreamGuard guard(stream);
    int64_t N = static_cast<int64_t>(types.size()), K = static_cast<int64_t>(file.getParameters().size());
    withMemoryErrors([&] {
        inputs.positions = zeros({N, 3}, model.getType());
        inputs.types = zeros({N}, at::kLong);
        inputs.parameters = zeros({K}, model.getType());
        box = zeros({3, 3}, model.getType());
        outputs.forces = zeros({N, 3}, model.getType());
        outputs.energy = zeros({}, at::kDouble);
        outputs.beadEnergies = zeros({N}, at::kDouble);
        outputs.parameterDerivatives = zeros({K}, at::kDouble);
    });
    setTypes(types);
    // The weights were copied in another stream.
    synchronize();
    if (!device.is_cpu())
        c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

/** Decide whether the model's work may be recorded. */
void TorchDeviceModel::checkGraphs() {
    if (graphs.mode == "off")
        graphs.obstacle = "the property 'cudaGraphs' is off";
    else if (graphs.capture)
        graphs.obstacle = model.findRecordingObstacle();
    if (graphs.mode == "on" && !graphs.obstacle.empty())
        throw ModelError("CUDA graphs are asked for, but " + graphs.obstacle +
                         "; set the property 'cudaGraphs' to 'auto' or 'off'.");
}

void* TorchDeviceModel::getStream() const {
    return device.is_cpu() ? nullptr : c10::impl::VirtualGuardImpl(device.type()).getStreamNativeHandle(stream);
}

void TorchDeviceModel::synchronize() const {
    c10::impl::VirtualGuardImpl(device.type()).synchronizeStream(stream);
}

at::Tensor TorchDeviceModel::zeros(vector<int64_t> shape, at::ScalarType type) const {
    return at::zeros(shape, at::TensorOptions(type).device(device));
}

template <class Function>
void TorchDeviceModel::withMemoryErrors(Function function) const {
    string text;
    try {
        function();
        return;
    }
    catch (const c10::Error& error) {
        text = error.what_without_backtrace();
    }
    catch (const exception& error) {
        text = error.what();
    }
    // TorchScript keeps nothing of an error in a model but its text.
    if (text.find("out of memory") != string::npos)
        throw ModelError(describeMemory(text));
    throw ModelError(text);
}

string TorchDeviceModel::describeMemory(const string& error) const {
    double pairBytes = 3 * sizeof(int64_t) + 3.0 * at::elementSize(model.getType());
    string text = "The memory of the device " + device.str() + " is too small: the pair list has room for " +
                  to_string(capacity) + " pairs and takes " + inMebibytes(pairBytes * capacity);
    if (!device.is_cpu()) {
        auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
        text += ", and the model took up to " + inMebibytes(static_cast<double>(stats.allocated_bytes[0].peak)) +
                " with it";
    }
    size_t start = error.find("Tried to allocate");
    if (start != string::npos) {
        size_t end = error.find(". ", start);
        text += " when PyTorch t" + error.substr(start + 1, end == string::npos ? end : end - start - 1);
    }
    return text + ". Simulate fewer replicas or beads at once, or use single precision.";
}

DeviceAddresses TorchDeviceModel::allocate(int newCapacity) {
    c10::StreamGuard guard(stream);
    synchronize();
    warmUp = max(warmUp, LATER_WARM_UP);
    graph.reset();
    inputs.pairs = inputs.shifts = inputs.edgeTypes = at::Tensor();
    capacity = newCapacity;
    withMemoryErrors([&] {
        inputs.pairs = zeros({2, capacity}, at::kLong);
        inputs.shifts = zeros({capacity, 3}, model.getType());
        inputs.edgeTypes = zeros({capacity}, at::kLong);
    });
    synchronize();
    return {inputs.positions.data_ptr(), inputs.pairs.data_ptr(), inputs.shifts.data_ptr(), inputs.edgeTypes.data_ptr(),
            outputs.forces.data_ptr()};
}

void TorchDeviceModel::setTypes(const vector<int64_t>& types) {
    c10::StreamGuard guard(stream);
    inputs.types.copy_(at::tensor(types, at::kLong));
}

/** Copy numbers to the device if they have changed. */
void TorchDeviceModel::update(const at::Tensor& tensor, const vector<double>& values, vector<double>& known) {
    if (values == known)
        return;
    tensor.copy_(at::tensor(values, at::kDouble).reshape(tensor.sizes()));
    known = values;
}

void TorchDeviceModel::evaluate(const vector<double>& parameters, const Box& periodicBox) {
    c10::StreamGuard guard(stream);
    if (!parameters.empty())
        update(inputs.parameters, parameters, knownParameters);
    // Models that take pairs never see the box, whose copy would wait for the device.
    if (periodicBox.periodic && !takesPairs) {
        update(box, periodicBox.getVectors(), knownBox);
        inputs.box = box;
    }
    else
        inputs.box = at::Tensor();
    withMemoryErrors([&] {
        if (graph)
            graph->replay();
        else if (graphs.capture && graphs.obstacle.empty() && warmUp == 0)
            capture();
        else {
            run();
            if (warmUp > 0)
                warmUp--;
        }
    });
    numEvaluations++;
}

/** Everything that a recording holds. */
void TorchDeviceModel::run() {
    TorchOutputs result = model.evaluate(inputs);
    outputs.forces.copy_(result.forces);
    outputs.energy.copy_(result.energy);
    outputs.parameterDerivatives.copy_(result.parameterDerivatives);
    if (takesPairs)
        outputs.beadEnergies.copy_(result.beadEnergies);
}

void TorchDeviceModel::capture() {
    string error;
    try {
        graph = graphs.capture([this] { run(); });
    }
    catch (const c10::Error& failure) {
        error = failure.what_without_backtrace();
    }
    catch (const exception& failure) {
        error = failure.what();
    }
    if (graph) {
        graph->replay();
        return;
    }
    graphs.obstacle = "this model cannot be recorded (" + firstLine(error) + ")";
    if (graphs.mode == "on")
        throw ModelError("CUDA graphs are asked for, but " + graphs.obstacle +
                         "; set the property 'cudaGraphs' to 'auto' or 'off'.");
    cerr << "Warning: CGForce runs without CUDA graphs, since " << graphs.obstacle << "." << endl;
    run();
}

vector<double> TorchDeviceModel::download(const at::Tensor& tensor) const {
    c10::StreamGuard guard(stream);
    at::Tensor values = tensor.to(at::kCPU, at::kDouble).contiguous();
    return vector<double>(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
}

double TorchDeviceModel::getEnergy() {
    // A sum that is not a number if any term is not, so that there is no more to wait for.
    c10::StreamGuard guard(stream);
    return download(outputs.energy + outputs.forces.mul(0).sum(at::kDouble))[0];
}

ModelOutput TorchDeviceModel::getOutput() {
    ModelOutput output;
    output.energy = download(outputs.energy)[0];
    if (takesPairs)
        output.beadEnergies = download(outputs.beadEnergies);
    output.forces = download(outputs.forces);
    output.parameterDerivatives = getParameterDerivatives();
    return output;
}

vector<double> TorchDeviceModel::getParameterDerivatives() {
    return download(outputs.parameterDerivatives);
}

map<string, string> TorchDeviceModel::getInfo() const {
    string reason = graphs.obstacle;
    if (graph)
        reason = "the work of an evaluation has been recorded";
    else if (reason.empty())
        reason = "the first evaluations are done without";
    return {{"evaluations", to_string(numEvaluations)},
            {"cuda_graphs", graph ? "on" : "off"},
            {"cuda_graphs_reason", reason}};
}

} // namespace

unique_ptr<DeviceModel> DeviceModel::create(const ModelFile& file, const RunnerOptions& options,
                                            const vector<int64_t>& types, const string& device,
                                            const GraphOptions& graphs) {
    return make_unique<TorchDeviceModel>(file, options, types, c10::Device(device), graphs);
}

string DeviceModel::findCudaObstacle(int deviceIndex) {
    if (!c10::impl::hasDeviceGuardImpl(c10::kCUDA))
        return "The platform CUDA needs a PyTorch that has CUDA, but PyTorch " TORCH_VERSION
               " is here without; install one from PyTorch's index for your CUDA and build OpenMM-CG again, or use "
               "another platform.";
    int count = c10::impl::VirtualGuardImpl(c10::kCUDA).deviceCount();
    if (deviceIndex < count)
        return "";
    return "OpenMM uses the CUDA device " + to_string(deviceIndex) + ", but PyTorch finds " + to_string(count) +
           " devices; see whether torch.cuda.is_available() tells why, such as a driver that is too old for it.";
}
