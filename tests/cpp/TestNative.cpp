// The native engine: it needs no PyTorch, allocates nothing in a step, and threads do not change a bit.

#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/engine/ModelRunner.h"
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <new>
#include <random>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static const vector<string> MODELS = {"schnet-weights-v1.cg.pt", "painn-v1.cg.pt"};
static atomic<long> allocations{0};

void* operator new(size_t size) {
    allocations++;
    if (void* memory = malloc(size))
        return memory;
    throw bad_alloc();
}

void* operator new(size_t size, align_val_t alignment) {
    allocations++;
    size_t unit = static_cast<size_t>(alignment);
    if (void* memory = aligned_alloc(unit, (size + unit - 1) / unit * unit))
        return memory;
    throw bad_alloc();
}

void operator delete(void* memory) noexcept {
    free(memory);
}

void operator delete(void* memory, size_t) noexcept {
    free(memory);
}

void operator delete(void* memory, align_val_t) noexcept {
    free(memory);
}

/** Molecules of three beads in a periodic box. */
struct Liquid {
    explicit Liquid(int numBeads) : box{} {
        double length = cbrt(numBeads / 60.0);
        box.periodic = true;
        box.a[0] = box.b[1] = box.c[2] = length;
        mt19937 random(1);
        uniform_real_distribution<double> anywhere(0, length);
        for (int i = 0; i < numBeads; i++) {
            types.push_back(i % 3);
            topology.molecules.push_back(i / 3);
            topology.replicas.push_back(0);
            if (i % 3)
                topology.bonds.push_back({i - 1, i});
            for (int k = 0; k < 3; k++)
                positions.push_back(anywhere(random));
        }
        list = make_unique<PairList>(topology, 0.6, 0.1);
    }
    ModelOutput& evaluate(ModelRunner& runner) {
        runner.evaluate({positions, types, list->update(positions.data(), box), parameters, box}, output);
        return output;
    }
    Box box;
    vector<double> positions, parameters = {300};
    vector<int64_t> types;
    BeadTopology topology;
    unique_ptr<PairList> list;
    ModelOutput output;
};

static ModelFile readModel(const string& name) {
    return ModelFile::fromFile(string(TEST_DATA) + "/" + name);
}

static unique_ptr<ModelRunner> makeRunner(const string& model, bool doublePrecision, int threads) {
    RunnerOptions options;
    options.doublePrecision = doublePrecision;
    options.numThreads = threads;
    return ModelRunner::create("native", readModel(model), options);
}

static void testChoice() {
    string reason;
    for (auto& model : MODELS)
        ASSERT_EQUAL(string("native"), ModelRunner::choose(readModel(model), reason));
    ASSERT_EQUAL(string("torchscript"), ModelRunner::choose(readModel("schnet-v1.cg.pt"), reason));
    ASSERT(reason.find("export it again") != string::npos);
}

static void testForcesAreGradient(const string& model) {
    Liquid liquid(600);
    auto runner = makeRunner(model, true, 1);
    vector<double> forces = liquid.evaluate(*runner).forces;
    double step = 1e-6;
    for (int component = 0; component < 1800; component += 97) {
        double start = liquid.positions[component];
        liquid.positions[component] = start + step;
        double up = liquid.evaluate(*runner).energy;
        liquid.positions[component] = start - step;
        double down = liquid.evaluate(*runner).energy;
        liquid.positions[component] = start;
        ASSERT_EQUAL_TOL(-(up - down) / (2 * step), forces[component], 1e-5);
    }
}

/** 900 beads are several blocks that share pairs. */
template <class Check>
static void compareThreads(const string& model, bool doublePrecision, Check check) {
    Liquid one(900), more(900);
    auto single = makeRunner(model, doublePrecision, 1);
    ModelOutput expected = one.evaluate(*single);
    for (int threads : {2, 3}) {
        auto runner = makeRunner(model, doublePrecision, threads);
        check(expected, more.evaluate(*runner));
    }
}

static void testThreadsAreBitIdentical(const string& model) {
    for (bool doublePrecision : {false, true})
        compareThreads(model, doublePrecision, [](const ModelOutput& a, const ModelOutput& b) {
            ASSERT_EQUAL(a.energy, b.energy);
            ASSERT(a.forces == b.forces);
            ASSERT(a.beadEnergies == b.beadEnergies);
        });
}

static void testPrecisionsAgree(const string& model) {
    Liquid liquid(300);
    ModelOutput full = liquid.evaluate(*makeRunner(model, true, 1));
    ModelOutput single = liquid.evaluate(*makeRunner(model, false, 1));
    double largest = 0, error = 0;
    for (size_t i = 0; i < full.forces.size(); i++) {
        largest = max(largest, abs(full.forces[i]));
        error = max(error, abs(full.forces[i] - single.forces[i]));
    }
    ASSERT(error < 1e-5 * largest);
    ASSERT_EQUAL_TOL(full.energy, single.energy, 1e-5);
}

/** The same steps are gone again and again: once the arrays have their sizes nothing may allocate. */
static void testNoAllocation(const string& model, int threads) {
    const int numBeads = threads == 1 ? 60 : 300; // which are blocks for two threads
    const int numSteps = threads == 1 ? 500 : 50;
    Liquid liquid(numBeads);
    auto runner = makeRunner(model, false, threads);
    mt19937 random(2);
    uniform_real_distribution<double> shift(-0.002, 0.002);
    vector<vector<double>> path = {liquid.positions};
    for (int i = 1; i < numSteps; i++) {
        path.push_back(path.back());
        for (double& x : path.back())
            x += shift(random);
    }
    auto walk = [&] {
        for (auto& positions : path) {
            copy(positions.begin(), positions.end(), liquid.positions.begin());
            liquid.evaluate(*runner);
        }
    };
    for (int i = 0; i < 2; i++) // the list of the first steps depends on what was before
        walk();
    long before = allocations;
    const int walks = threads == 1 ? 20 : 4;
    for (int i = 0; i < walks; i++)
        walk();
    ASSERT_EQUAL(0L, allocations - before);
    cout << model << ", " << threads << " threads: no allocation in " << walks * numSteps << " steps" << endl;
}

static void testEmptyAndLonely(const string& model) {
    Liquid nothing(0), lonely(1);
    auto runner = makeRunner(model, false, 2);
    ASSERT_EQUAL(0.0, nothing.evaluate(*runner).energy);
    for (double force : lonely.evaluate(*runner).forces)
        ASSERT_EQUAL(0.0, force);
    ASSERT(isfinite(lonely.output.energy));
}

int main() {
    try {
        testChoice();
        for (auto& model : MODELS) {
            testForcesAreGradient(model);
            testThreadsAreBitIdentical(model);
            testPrecisionsAgree(model);
            testEmptyAndLonely(model);
            testNoAllocation(model, 1);
            testNoAllocation(model, 2);
        }
    }
    catch (const exception& error) {
        cout << "exception: " << error.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
