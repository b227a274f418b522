// Models that stay on a device of PyTorch: everything but the device itself, which is the CPU here.

#include "DeviceModel.h"
#include "openmm/OpenMMException.h"
#include "openmm/internal/AssertionUtilities.h"
#include <cmath>
#include <cstring>
#include <iostream>
#include <sstream>
#include <torch/script.h>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static const double CUTOFF = 0.6;
static const vector<int64_t> TYPES = {0, 1, 2};

static ModelFile pairModel() {
    return ModelFile::fromFile(string(TEST_DATA) + "/pairs-v1.cg.pt");
}

static ModelFile saved(const torch::jit::Module& module) {
    ostringstream stream;
    module.save(stream);
    return ModelFile(stream.str(), "The model");
}

/** A model in the style of openmm-torch, from the body of its forward. */
static ModelFile scriptedModel(const string& body) {
    torch::jit::Module module("model");
    module.define("def forward(self, positions):\n" + body);
    return saved(module);
}

/** The model's energy of three beads of different molecules. */
static double expectedEnergy(const vector<double>& r, double temperature) {
    const double charge[] = {1, -0.5, 2};
    double energy = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++)
                square += (r[3 * i + k] - r[3 * j + k]) * (r[3 * i + k] - r[3 * j + k]);
            double x = 1 - square / (CUTOFF * CUTOFF);
            if (x > 0)
                energy += charge[i] * charge[j] * x * x * x;
        }
    return energy * (1 + 0.25 * (temperature / 300 - 1));
}

/** Writes what OpenMM-CG's kernels would, and reads what they would. */
template <class Real>
struct Writer {
    unique_ptr<DeviceModel> model;
    DeviceAddresses memory;
    int capacity;

    Writer(const ModelFile& file, const GraphOptions& graphs, int capacity) {
        RunnerOptions options;
        options.doublePrecision = is_same<Real, double>::value;
        options.parameterDerivatives = true;
        model = DeviceModel::create(file, options, TYPES, "cpu", graphs);
        allocate(capacity);
    }
    void allocate(int newCapacity) {
        capacity = newCapacity;
        memory = model->allocate(capacity);
    }
    /** Write positions and all pairs, and evaluate. */
    void evaluate(const vector<double>& positions, double temperature) {
        copy(positions.begin(), positions.end(), static_cast<Real*>(memory.positions));
        auto* pairs = static_cast<int64_t*>(memory.pairs);
        auto* shifts = static_cast<Real*>(memory.shifts);
        auto* edges = static_cast<int64_t*>(memory.edgeTypes);
        int pair = 0;
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                if (i != j) {
                    pairs[pair] = i;
                    pairs[capacity + pair] = j;
                    fill(shifts + 3 * pair, shifts + 3 * pair + 3, Real(0));
                    edges[pair++] = 0;
                }
        for (; pair < capacity; pair++) {
            pairs[pair] = pairs[capacity + pair] = edges[pair] = 0;
            shifts[3 * pair] = static_cast<Real>(2 * CUTOFF);
            shifts[3 * pair + 1] = shifts[3 * pair + 2] = 0;
        }
        model->evaluate({temperature, 0.25}, Box());
    }
    double force(int index) const {
        return static_cast<Real*>(memory.forces)[index];
    }
};

static const vector<double> POSITIONS = {0.0, 0.1, 0.0, 0.3, 0.0, 0.1, 0.1, -0.2, 0.2};

template <class Real>
static void testEvaluation(double tolerance) {
    GraphOptions off;
    off.mode = "off";
    Writer<Real> writer(pairModel(), off, 8);
    writer.evaluate(POSITIONS, 330);
    ASSERT_EQUAL_TOL(expectedEnergy(POSITIONS, 330), writer.model->getEnergy(), tolerance);
    for (int i = 0; i < 9; i++) {
        vector<double> high = POSITIONS, low = POSITIONS;
        high[i] += 1e-5;
        low[i] -= 1e-5;
        double expected = (expectedEnergy(low, 330) - expectedEnergy(high, 330)) / 2e-5;
        ASSERT_EQUAL_TOL(expected, writer.force(i), max(tolerance, 1e-6) * 10);
    }
    ModelOutput output = writer.model->getOutput();
    double sum = 0;
    for (double energy : output.beadEnergies)
        sum += energy;
    ASSERT_EQUAL_TOL(output.energy, sum, tolerance);
    ASSERT_EQUAL_TOL(writer.force(4), output.forces[4], tolerance);
    ASSERT_EQUAL_TOL(expectedEnergy(POSITIONS, 300) * 0.25 / 300, writer.model->getParameterDerivatives()[0],
                     tolerance);

    // More room changes nothing; other types and temperatures do.
    writer.allocate(64);
    writer.evaluate(POSITIONS, 300);
    ASSERT_EQUAL_TOL(expectedEnergy(POSITIONS, 300), writer.model->getEnergy(), tolerance);
    writer.model->setTypes({0, 0, 0});
    writer.evaluate(POSITIONS, 300);
    ASSERT(fabs(expectedEnergy(POSITIONS, 300) - writer.model->getEnergy()) > 0.1);
    ASSERT_EQUAL(string("3"), writer.model->getInfo()["evaluations"]);
    ASSERT_EQUAL(string("off"), writer.model->getInfo()["cuda_graphs"]);
}

/** Keeps work to repeat it, as a recording does. */
struct FakeRecorder {
    int captures = 0, replays = 0;
    string failure;
    class Graph : public CapturedGraph {
    public:
        Graph(FakeRecorder& owner, const function<void()>& work) : owner(owner), work(work) {}
        void replay() override {
            owner.replays++;
            work();
        }

    private:
        FakeRecorder& owner;
        function<void()> work;
    };
    GraphOptions options(const string& mode) {
        GraphOptions options;
        options.mode = mode;
        options.capture = [this](const function<void()>& work) -> unique_ptr<CapturedGraph> {
            captures++;
            if (!failure.empty())
                throw runtime_error(failure);
            return make_unique<Graph>(*this, work);
        };
        return options;
    }
};

/** The first evaluations are done as usual, the next is recorded, and later ones repeat it with what is in memory. */
static void testRecording() {
    FakeRecorder recorder;
    Writer<double> writer(pairModel(), recorder.options("on"), 8);
    auto step = [&](double shift, double temperature) {
        vector<double> positions = POSITIONS;
        positions[0] += shift;
        writer.evaluate(positions, temperature);
        ASSERT_EQUAL_TOL(expectedEnergy(positions, temperature), writer.model->getEnergy(), 1e-9);
    };
    for (int i = 0; i < 3; i++)
        step(0.01 * i, 300);
    ASSERT_EQUAL(0, recorder.captures);
    for (int i = 0; i < 4; i++)
        step(0.02 * i, 300 + i);
    ASSERT_EQUAL(1, recorder.captures);
    ASSERT_EQUAL(4, recorder.replays);
    ASSERT_EQUAL(string("on"), writer.model->getInfo()["cuda_graphs"]);

    // Memory of another size needs another recording.
    writer.allocate(16);
    ASSERT_EQUAL(string("off"), writer.model->getInfo()["cuda_graphs"]);
    step(0.05, 310);
    ASSERT_EQUAL(4, recorder.replays);
    step(0.06, 310);
    ASSERT_EQUAL(2, recorder.captures);
    ASSERT_EQUAL(5, recorder.replays);
}

template <class Action>
static void assertFails(Action action, const string& expected) {
    string message;
    try {
        action();
    }
    catch (const ModelError& error) {
        message = error.what();
    }
    if (message.find(expected) == string::npos)
        throwException(__FILE__, __LINE__, "Expected an error with '" + expected + "', found '" + message + "'");
}

static void testRecordingFails() {
    FakeRecorder recorder;
    recorder.failure = "operation not permitted when stream is capturing\nmore";
    Writer<double> writer(pairModel(), recorder.options("auto"), 8);
    for (int i = 0; i < 6; i++)
        writer.evaluate(POSITIONS, 300);
    ASSERT_EQUAL(1, recorder.captures);
    ASSERT_EQUAL_TOL(expectedEnergy(POSITIONS, 300), writer.model->getEnergy(), 1e-9);
    ASSERT_EQUAL(string("this model cannot be recorded (operation not permitted when stream is capturing)"),
                 writer.model->getInfo()["cuda_graphs_reason"]);

    Writer<double> strict(pairModel(), recorder.options("on"), 8);
    for (int i = 0; i < 3; i++)
        strict.evaluate(POSITIONS, 300);
    assertFails([&] { strict.evaluate(POSITIONS, 300); }, "CUDA graphs are asked for, but this model cannot");

    GraphOptions missing;
    missing.mode = "on";
    missing.obstacle = "the library for them cannot be opened";
    assertFails([&] { Writer<double> refused(pairModel(), missing, 8); }, "but the library for them cannot be opened");
}

/** A recording repeats no change of a model's own state. */
static void testAttributes() {
    FakeRecorder recorder;
    torch::jit::Module module("model");
    module.register_attribute("calls", c10::IntType::get(), 0);
    module.define("def forward(self, positions):\n  self.calls = self.calls + 1\n"
                  "  return positions.sum() * self.calls\n");
    ModelFile file = saved(module);
    Writer<double> writer(file, recorder.options("auto"), 0);
    for (int i = 0; i < 6; i++)
        writer.model->evaluate({}, Box());
    ASSERT_EQUAL(0, recorder.captures);
    ASSERT(writer.model->getInfo()["cuda_graphs_reason"].find("sets its attribute 'calls'") != string::npos);
    assertFails([&] { Writer<double> refused(file, recorder.options("on"), 0); }, "sets its attribute 'calls' while");
}

/** Models whose work depends on values, in any of the ways that TorchScript has, are known before anything is recorded.
 */
static void testHostReads() {
    FakeRecorder recorder;
    const pair<string, string> bodies[] = {
        {"  if bool(positions.sum() > 0):\n    return positions.sum()\n  return -positions.sum()\n", "aten::Bool"},
        {"  return positions.sum() * float(positions[0, 0])\n", "aten::Float"},
        {"  n = int(positions[0, 0])\n  return positions[n:].sum()\n", "aten::Int"},
        {"  return positions[torch.nonzero(positions[:, 0])].sum()\n", "aten::nonzero"},
        {"  total = positions.sum()\n  for i in range(3):\n    if positions[i, 0].item() > 0:\n      total = total * "
         "2\n"
         "  return total\n",
         "aten::item"}};
    for (auto& [body, name] : bodies) {
        ModelFile file = scriptedModel(body);
        Writer<double> writer(file, recorder.options("auto"), 0);
        ASSERT(writer.model->getInfo()["cuda_graphs_reason"].find("'" + name + "'") != string::npos);
        assertFails([&] { Writer<double> refused(file, recorder.options("on"), 0); },
                    "reads values back while it is evaluated ('" + name + "')");
    }
    ASSERT_EQUAL(0, recorder.captures);
    // Branches on shapes and plain numbers are no trouble.
    ModelFile plain = scriptedModel("  n = positions.shape[0]\n  if n > 2:\n    return positions.sum() * float(n)\n"
                                    "  return positions.sum()\n");
    Writer<double> writer(plain, recorder.options("on"), 0);
    ModelFile network = ModelFile::fromFile(string(TEST_DATA) + "/schnet-v1.cg.pt");
    Writer<double> trained(network, recorder.options("on"), 0);
}

/** Counts the operators that PyTorch runs for as long as it lives. */
class WorkCounter {
public:
    WorkCounter() {
        count = 0;
        handle = at::addThreadLocalCallback(
            at::RecordFunctionCallback([](const at::RecordFunction&) -> unique_ptr<at::ObserverContext> {
                count++;
                return nullptr;
            }).scopes({at::RecordScope::FUNCTION}));
    }
    ~WorkCounter() {
        at::removeCallback(handle);
    }
    static inline int count = 0;

private:
    at::CallbackHandle handle;
};

/** What PyTorch is asked for when the box has changed, as a barostat changes it, beyond what it is asked for anyway. */
static int workForNewBox(Writer<double>& writer, const vector<double>& parameters) {
    Box box;
    box.periodic = true;
    box.a[0] = box.b[1] = box.c[2] = 3;
    auto countWork = [&] {
        WorkCounter counter;
        writer.model->evaluate(parameters, box);
        return counter.count;
    };
    writer.model->evaluate(parameters, box);
    int usual = countWork();
    box.a[0] = 3.1;
    return countWork() - usual;
}

/** The box is copied, for which the host waits, where the model reads it. */
static void testBoxCopies() {
    GraphOptions off;
    off.mode = "off";
    Writer<double> pairs(pairModel(), off, 8);
    pairs.evaluate(POSITIONS, 300);
    ASSERT_EQUAL(0, workForNewBox(pairs, {300, 0.25}));
    torch::jit::Module module("model");
    module.define("def forward(self, positions, box):\n  return positions.sum() * box[0, 0]\n");
    Writer<double> boxed(saved(module), off, 0);
    ASSERT(workForNewBox(boxed, {}) > 0);
}

/** Forces that are not numbers show in the energy, which the host waits for in any case. */
static void testForcesThatAreNotNumbers() {
    GraphOptions off;
    off.mode = "off";
    ModelFile file = scriptedModel("  return positions.sum(), positions / positions\n");
    Writer<double> writer(file, off, 0);
    auto energy = [&](double x) {
        fill_n(static_cast<double*>(writer.memory.positions), 9, 1.0);
        static_cast<double*>(writer.memory.positions)[4] = x;
        writer.model->evaluate({}, Box());
        return writer.model->getEnergy();
    };
    ASSERT_EQUAL(10.0, energy(2));
    ASSERT(std::isnan(energy(0)));
    ASSERT_EQUAL(8.0, writer.model->getOutput().energy);
}

static void testErrors() {
    GraphOptions off;
    off.mode = "off";
    ModelFile single =
        scriptedModel("  return torch.matmul(positions, torch.ones([3, 3], dtype=6)).sum()\n"); // float32
    Writer<double> writer(single, off, 0);
    assertFails([&] { writer.model->evaluate({}, Box()); }, "set the property 'precision' to 'single'");
    Writer<float>(single, off, 0).model->evaluate({}, Box());
    ModelFile large = scriptedModel(
        "  assert positions.shape[0] == 0, 'CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a capacity'\n"
        "  return positions.sum()\n");
    Writer<double> full(large, off, 1000);
    assertFails([&] { full.model->evaluate({}, Box()); },
                "the pair list has room for 1000 pairs and takes 0.0 MiB when PyTorch tried to allocate 20.00 GiB.");
    ASSERT(!DeviceModel::findCudaObstacle(127).empty());
    ModelFile detached = scriptedModel("  return positions.detach().sum(), positions\n");
    assertFails([&] { Writer<double>(detached, off, 0).model->evaluate({}, Box()); }, "do not ask for derivatives");
}

int main() {
    try {
        testEvaluation<double>(1e-9);
        testEvaluation<float>(1e-5);
        testRecording();
        testRecordingFails();
        testHostReads();
        testAttributes();
        testBoxCopies();
        testForcesThatAreNotNumbers();
        testErrors();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
