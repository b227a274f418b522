// Large systems on the CPU: pairs and beads in another order, on any number of threads, give the same results.

#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/engine/HostEvaluator.h"
#include <algorithm>
#include <cmath>
#include <iostream>
#include <random>
#include <tuple>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static const double CUTOFF = 0.6;

/** Beads anywhere in a triclinic box and in its images, in molecules of three, in a few replicas. */
struct Liquid {
    explicit Liquid(int numBeads, int numReplicas = 1) {
        double length = cbrt(numBeads / 60.0 / numReplicas);
        box.periodic = true;
        box.a[0] = box.b[1] = box.c[2] = length;
        box.b[0] = 0.4 * length;
        box.c[0] = -0.3 * length;
        box.c[1] = 0.2 * length;
        uniform_real_distribution<double> anywhere(-length, 2 * length);
        for (int i = 0; i < numBeads; i++) {
            beads.particles.push_back({i});
            beads.weights.push_back({1.0});
            beads.types.push_back(i % 3);
            beads.topology.molecules.push_back(i / 3);
            beads.topology.replicas.push_back(i / 3 % numReplicas);
            if (i % 3)
                beads.topology.bonds.push_back({i - 1, i});
            for (int k = 0; k < 3; k++)
                positions.push_back(anywhere(random));
        }
    }
    void move(double distance) {
        uniform_real_distribution<double> shift(-distance, distance);
        for (double& x : positions)
            x += shift(random);
    }
    const ModelOutput& compute(HostEvaluator& evaluator) const {
        evaluator.computePositions(positions.data());
        return evaluator.computeBeads(box, parameters);
    }
    HostEvaluator evaluator(int threads) const {
        ModelFile model = ModelFile::fromFile(string(TEST_DATA) + "/schnet-weights-v1.cg.pt");
        RunnerOptions options;
        options.numThreads = threads;
        int numParticles = static_cast<int>(beads.types.size());
        return HostEvaluator(numParticles, beads, model, ModelRunner::create("native", model, options), 0.1, threads);
    }
    mt19937 random{1};
    Box box;
    BeadSet beads;
    vector<double> positions, parameters = {300};
};

static bool identical(const ModelOutput& a, const ModelOutput& b) {
    return a.energy == b.energy && a.forces == b.forces && a.beadEnergies == b.beadEnergies;
}

static void testOrderIsAPermutation() {
    Liquid liquid(2000, 2);
    BeadOrder order(liquid.beads.topology.replicas, CUTOFF), later(liquid.beads.topology.replicas, CUTOFF);
    ASSERT(!order.isTrivial());
    vector<double> start = liquid.positions;
    order.update(start.data(), liquid.box);
    vector<bool> seen(2000, false);
    double total = 0, random = 0;
    auto& replicas = liquid.beads.topology.replicas;
    int firstReplica = static_cast<int>(count(replicas.begin(), replicas.end(), 0));
    for (int place = 0; place < 2000; place++) {
        int bead = order.getBead(place);
        ASSERT_EQUAL(place, order.getPlace(bead));
        ASSERT_EQUAL(place < firstReplica ? 0 : 1, replicas[bead]);
        seen[bead] = true;
    }
    ASSERT(all_of(seen.begin(), seen.end(), [](bool there) { return there; }));

    // Beads that follow each other are much closer than any two.

    auto distance = [&](int first, int second) {
        double delta[3], counts[3], shift[3];
        for (int k = 0; k < 3; k++)
            delta[k] = start[3 * second + k] - start[3 * first + k];
        liquid.box.minimumImage(delta, counts);
        liquid.box.combine(counts, shift);
        return hypot(delta[0] + shift[0], delta[1] + shift[1], delta[2] + shift[2]);
    };
    for (int place = 1; place < firstReplica; place++) {
        total += distance(order.getBead(place - 1), order.getBead(place));
        random += distance(order.getBead(place - 1), order.getBead((place * 31) % firstReplica));
    }
    ASSERT(total < 0.5 * random);

    // The way to a configuration does not matter.

    liquid.move(0.5);
    later.update(liquid.positions.data(), liquid.box);
    later.update(start.data(), liquid.box);
    for (int place = 0; place < 2000; place++)
        ASSERT_EQUAL(order.getBead(place), later.getBead(place));
}

static void testSmallSystemsKeepTheirOrder() {
    ASSERT(BeadOrder(vector<int>(50, 0), CUTOFF).isTrivial());
    ASSERT(!BeadOrder({0, 1, 0, 1}, CUTOFF).isTrivial()); // replicas are taken apart
}

static void testPairsOfRenumberedBeads() {
    Liquid liquid(2500);
    PairList plain(liquid.beads.topology, CUTOFF, 0.1), renumbered(liquid.beads.topology, CUTOFF, 0.1, 8, 3);
    BeadOrder order(liquid.beads.topology.replicas, CUTOFF);
    for (int step = 0; step < 3; step++) {
        order.update(liquid.positions.data(), liquid.box);
        const PairBatch& a = plain.update(liquid.positions.data(), liquid.box);
        const PairBatch& b = renumbered.update(liquid.positions.data(), liquid.box, &order);
        ASSERT_EQUAL(a.numPairs, b.numPairs);
        ASSERT_EQUAL(a.size, b.size);
        ASSERT(is_sorted(b.indices.begin(), b.indices.begin() + b.numPairs));
        using Pair = tuple<int64_t, int64_t, int64_t, double, double, double>;
        vector<Pair> expected, found;
        auto bead = [&](int64_t place) { return order.getBead(static_cast<int>(place)); };
        for (int64_t k = 0; k < a.numPairs; k++) {
            expected.push_back({a.indices[k], a.indices[a.size + k], a.edgeTypes[k], a.shifts[3 * k],
                                a.shifts[3 * k + 1], a.shifts[3 * k + 2]});
            found.push_back({bead(b.indices[k]), bead(b.indices[b.size + k]), b.edgeTypes[k], b.shifts[3 * k],
                             b.shifts[3 * k + 1], b.shifts[3 * k + 2]});
        }
        sort(found.begin(), found.end());
        ASSERT(expected == found);
        liquid.move(0.04);
    }
    ASSERT(plain.getNumRebuilds() > 1);
}

/** Results are those of the runner that is given the beads as they are numbered. */
static void testAgainstRunner() {
    for (int replicas : {1, 3}) {
        Liquid liquid(2000, replicas);
        HostEvaluator evaluator = liquid.evaluator(1);
        const ModelOutput& found = liquid.compute(evaluator);
        PairList list(liquid.beads.topology, CUTOFF, 0.1);
        auto runner = ModelRunner::create("native", ModelFile::fromFile(string(TEST_DATA) + "/schnet-weights-v1.cg.pt"),
                                          RunnerOptions());
        ModelOutput expected;
        runner->evaluate({liquid.positions, liquid.beads.types, list.update(liquid.positions.data(), liquid.box),
                          liquid.parameters, liquid.box},
                         expected);
        ASSERT_EQUAL_TOL(expected.energy, found.energy, 1e-12);
        for (size_t i = 0; i < expected.forces.size(); i++)
            ASSERT_EQUAL_TOL(expected.forces[i], found.forces[i], 1e-9);
        for (size_t i = 0; i < expected.beadEnergies.size(); i++)
            ASSERT_EQUAL_TOL(expected.beadEnergies[i], found.beadEnergies[i], 1e-9);
    }
}

/** Neither threads nor earlier configurations, with the lists that are left from them, change a bit. */
static void testBitIdentical() {
    Liquid liquid(3000);
    HostEvaluator one = liquid.evaluator(1), more = liquid.evaluator(3), travelled = liquid.evaluator(2);
    for (int step = 0; step < 3; step++) {
        liquid.compute(travelled);
        liquid.move(0.02);
    }
    const ModelOutput& expected = liquid.compute(one);
    ASSERT(identical(expected, liquid.compute(more)));
    ASSERT(identical(expected, liquid.compute(travelled)));
}

/** Takes vectors between beads as a model in single precision does; the energy is given. */
class SinglePrecisionRunner : public ModelRunner {
public:
    explicit SinglePrecisionRunner(vector<float>& vectors, double energy = 0) : vectors(vectors), energy(energy) {}
    bool roundsPositions() const override {
        return true;
    }
    void evaluate(const ModelInput& input, ModelOutput& output) override {
        vectors.clear();
        auto position = [&](int64_t bead, int k) { return static_cast<float>(input.positions[3 * bead + k]); };
        const PairBatch& pairs = input.pairs;
        for (int64_t pair = 0; pair < pairs.numPairs; pair++)
            for (int k = 0; k < 3; k++)
                vectors.push_back(position(pairs.indices[pairs.size + pair], k) +
                                  static_cast<float>(pairs.shifts[3 * pair + k]) - position(pairs.indices[pair], k));
        output.energy = energy;
        output.forces.assign(input.positions.size(), 0.0);
    }

private:
    vector<float>& vectors;
    double energy;
};

static HostEvaluator singlePrecisionEvaluator(const Liquid& liquid, vector<float>& vectors, double energy = 0) {
    ModelFile model = ModelFile::fromFile(string(TEST_DATA) + "/schnet-weights-v1.cg.pt");
    return HostEvaluator(static_cast<int>(liquid.beads.types.size()), liquid.beads, model,
                         make_unique<SinglePrecisionRunner>(vectors, energy), 0.1);
}

/** Beads that are far from the origin, where single precision is coarse, have the vectors that they have near it. */
static void testFarFromOrigin(bool periodic) {
    Liquid liquid(900, 3);
    liquid.box.periodic = periodic;
    vector<float> vectors, expected;
    HostEvaluator evaluator = singlePrecisionEvaluator(liquid, vectors);
    liquid.compute(evaluator);
    expected = vectors;
    ASSERT(!expected.empty());
    for (size_t bead = 0; bead < liquid.beads.types.size(); bead++) {
        // Molecules by box vectors, or replicas by anything.
        double molecule = liquid.beads.topology.molecules[bead] % 7, replica = liquid.beads.topology.replicas[bead];
        double counts[3] = {1000 + molecule, -2000 - 3 * molecule, 500 * molecule},
               move[3] = {1e4 * replica, -9e4, 3e4};
        if (periodic)
            liquid.box.combine(counts, move);
        for (int k = 0; k < 3; k++)
            liquid.positions[3 * bead + k] += move[k];
    }
    liquid.compute(evaluator);
    ASSERT_EQUAL(expected.size(), vectors.size());
    for (size_t i = 0; i < vectors.size(); i++)
        ASSERT(abs(vectors[i] - expected[i]) < 1e-5);
}

static void testBadEnergy() {
    Liquid liquid(300);
    vector<float> vectors;
    HostEvaluator evaluator = singlePrecisionEvaluator(liquid, vectors, NAN);
    string message;
    try {
        liquid.compute(evaluator);
    }
    catch (const ModelError& error) {
        message = error.what();
    }
    ASSERT(message.find("returned the energy nan, though all forces are numbers") != string::npos);
}

static void testBoxNotReduced() {
    Liquid liquid(100);
    liquid.box.c[1] = 0.7 * liquid.box.b[1];
    PairList list(liquid.beads.topology, 0.3, 0.1);
    bool thrown = false;
    try {
        list.update(liquid.positions.data(), liquid.box);
    }
    catch (const ModelError& error) {
        thrown = string(error.what()).find("reduced form") != string::npos;
    }
    ASSERT(thrown);
}

int main() {
    try {
        testOrderIsAPermutation();
        testSmallSystemsKeepTheirOrder();
        testPairsOfRenumberedBeads();
        testAgainstRunner();
        testBitIdentical();
        for (bool periodic : {false, true})
            testFarFromOrigin(periodic);
        testBadEnergy();
        testBoxNotReduced();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
