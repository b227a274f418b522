// The device's pair list against brute force: every pair within the cutoff, once in each direction, sorted, padded,
// with its edge type, however small the arrays were to begin with. The argument is the precision.

#include "openmm/Context.h"
#include "openmm/Force.h"
#include "openmm/System.h"
#include "openmm/VerletIntegrator.h"
#include "openmm/common/ContextSelector.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmm/opencl/OpenCLPlatform.h"
#include "openmmcg/common/CommonPairList.h"
#include "sfmt/SFMT.h"
#include <cmath>
#include <iostream>
#include <memory>
#include <tuple>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

const int SKIPPED = 77;
const double CUTOFF = 0.6;
static OpenMM_SFMT::SFMT sfmt;

static double uniform(double low, double high) {
    return low + (high - low) * genrand_real2(sfmt);
}

/** Gives access to a Context's device. */
class Door : public Force {
public:
    ComputeContext& open(Context& context) {
        auto* data = static_cast<OpenCLPlatform::PlatformData*>(getContextImpl(context).getPlatformData());
        return *reinterpret_cast<ComputeContext*>(data->contexts[0]);
    }

private:
    ForceImpl* createImpl() const override {
        return nullptr;
    }
};

/** Beads at random places in random molecules and replicas, and a list of their pairs on the device. */
struct Case {
    ComputeContext& cc;
    BeadTopology topology;
    vector<double> positions;
    Box box;
    double tolerance;
    ComputeArray beads, pairs, shifts, edgeTypes;
    unique_ptr<CommonPairList> list;

    Case(ComputeContext& cc, int numBeads, int numReplicas, bool periodic, double size, int allPairsLimit)
        : cc(cc), tolerance(cc.getUseDoublePrecision() || cc.getUseMixedPrecision() ? 1e-9 : 1e-5) {
        box.periodic = periodic;
        box.a[0] = size * uniform(0.95, 1.2);
        box.b[1] = size * uniform(0.95, 1.2);
        box.c[2] = size * uniform(0.95, 1.2);
        box.b[0] = uniform(-0.5, 0.5) * box.a[0];
        box.c[0] = uniform(-0.5, 0.5) * box.a[0];
        box.c[1] = uniform(-0.5, 0.5) * box.b[1];
        for (int i = 0; i < numBeads; i++) {
            topology.replicas.push_back(7 * static_cast<int>(uniform(0, numReplicas)));
            topology.molecules.push_back(topology.replicas.back() + i / 10);
            for (int k = 0; k < 3; k++)
                positions.push_back(uniform(-0.5, 1.5) * size);
            for (int back : {1, 2})
                if (i % 10 >= back && topology.replicas[i - back] == topology.replicas[i] && uniform(0, 1) < 0.5)
                    topology.bonds.push_back({i - back, i});
        }
        beads.initialize(cc, numBeads, 4 * width(), "beads");
        list = make_unique<CommonPairList>(cc, topology, CUTOFF, 0.15, periodic, width() == 8, allPairsLimit);
    }
    int width() const {
        return cc.getUseDoublePrecision() || cc.getUseMixedPrecision() ? 8 : 4;
    }
    void move(double distance) {
        for (double& x : positions)
            x += uniform(-distance, distance);
    }
    void upload() {
        vector<mm_double4> values;
        for (size_t i = 0; i < positions.size(); i += 3)
            values.push_back(mm_double4(positions[i], positions[i + 1], positions[i + 2], 0));
        beads.upload(values, true);
    }
    /** Update the list until there is room for everything, and return how often it took. */
    int update() {
        upload();
        int updates = 1;
        for (list->update(beads, box); !list->check(); list->update(beads, box)) {
            updates++;
            if (!list->hasRoom())
                setCapacity(list->getRecommendedCapacity());
        }
        return updates;
    }
    void setCapacity(int capacity) {
        if (!pairs.isInitialized()) {
            pairs.initialize<int64_t>(cc, 1, "pairs");
            shifts.initialize(cc, 1, width(), "shifts");
            edgeTypes.initialize<int64_t>(cc, 1, "edgeTypes");
        }
        pairs.resize(2 * static_cast<size_t>(capacity));
        shifts.resize(3 * static_cast<size_t>(capacity));
        edgeTypes.resize(capacity);
        ModelBuffers buffers;
        buffers.pairs = DeviceBuffer(pairs);
        buffers.shifts = DeviceBuffer(shifts);
        buffers.edgeTypes = DeviceBuffer(edgeTypes);
        list->setBuffers(buffers, capacity);
    }
    /** The squared distance of a pair with a combination of box vectors. */
    double squaredDistance(int i, int j, int a, int b, int c) const {
        double sum = 0;
        for (int k = 0; k < 3; k++) {
            double d = positions[3 * j + k] - positions[3 * i + k] + a * box.a[k] + b * box.b[k] + c * box.c[k];
            sum += d * d;
        }
        return sum;
    }
    /** Compare the list with brute force. Pairs that rounding may move over the cutoff may be there or not. */
    void check() {
        vector<int64_t> indices, types;
        vector<double> moves;
        pairs.download(indices);
        shifts.download(moves, true);
        edgeTypes.download(types);
        // Where the device computes in single precision, so do the shifts that it is compared with.
        PairList host(topology, CUTOFF + 2 * tolerance, 0.1);
        const PairBatch& expected = host.update(positions.data(), box);
        int64_t capacity = list->getCapacity(), numPairs = list->getState().numPairs, found = 0;
        for (int64_t k = 0; k < expected.numPairs; k++) {
            int64_t i = expected.indices[k], j = expected.indices[expected.size + k];
            double exact = 0, real = 0;
            for (int axis = 0; axis < 3; axis++) {
                double d = positions[3 * j + axis] - positions[3 * i + axis];
                exact += pow(d + expected.shifts[3 * k + axis], 2);
                if (found < numPairs)
                    real += pow(d + moves[3 * found + axis], 2);
            }
            bool listed = found < numPairs && indices[found] == i && indices[capacity + found] == j;
            if (!listed) {
                ASSERT(sqrt(exact) > CUTOFF - tolerance);
                continue;
            }
            ASSERT(sqrt(exact) < CUTOFF + tolerance);
            ASSERT(fabs(sqrt(exact) - sqrt(real)) < tolerance);
            ASSERT_EQUAL(expected.edgeTypes[k], types[found]);
            found++;
        }
        ASSERT_EQUAL(numPairs, found);
        for (int64_t k = numPairs; k < capacity; k++) {
            ASSERT(indices[k] == 0 && indices[capacity + k] == 0 && types[k] == 0);
            ASSERT_EQUAL_TOL(2 * CUTOFF, moves[3 * k], 1e-6);
            ASSERT(moves[3 * k + 1] == 0 && moves[3 * k + 2] == 0);
        }
    }
    /** The number of directed pairs within the cutoff, over so many images that none can be missing. */
    int64_t countByBruteForce() const {
        int n = static_cast<int>(topology.replicas.size()), reach = box.periodic ? 5 : 0;
        int64_t count = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++)
                for (int a = -reach; a <= reach && topology.replicas[i] == topology.replicas[j]; a++)
                    for (int b = -reach; b <= reach; b++)
                        for (int c = -reach; c <= reach; c++)
                            count += squaredDistance(i, j, a, b, c) < CUTOFF * CUTOFF ? 2 : 0;
        return count;
    }
};

static void testRandom(ComputeContext& cc, int numBeads, int numReplicas, bool periodic, double size,
                       int allPairsLimit) {
    Case test(cc, numBeads, numReplicas, periodic, size, allPairsLimit);
    for (int step = 0; step < 8; step++) {
        test.update();
        test.check();
        if (step % 7 == 0)
            ASSERT(abs(test.countByBruteForce() - test.list->getState().numPairs) <=
                   (cc.getUseDoublePrecision() ? 0 : 2));
        test.move(0.02);
        if (step == 5)
            test.box.a[0] *= 1.02;
    }
    int searches = test.list->getState().numSearches;
    ASSERT(searches > 1 && searches < 8);
}

/** The list is too small for its candidates, its pairs, and, when the beads contract, for both again. */
static void testOverflow(ComputeContext& cc, int allPairsLimit) {
    Case test(cc, 120, 2, false, 2.0, allPairsLimit);
    test.list->setRowLength(2);
    test.setCapacity(3);
    ASSERT(test.update() > 1);
    test.check();
    ASSERT_EQUAL(1, test.update());
    for (double& x : test.positions)
        x *= 0.3;
    ASSERT(test.update() > 1);
    test.check();
    ASSERT_EQUAL(test.countByBruteForce(), test.list->getState().numPairs);
}

/** Memory that runs out leaves a list that can be used again. */
static void testMemory(ComputeContext& cc, int allPairsLimit) {
    Case test(cc, 120, 2, false, 2.0, allPairsLimit);
    ASSERT_EQUAL(0, test.list->countCandidates()); // there has been no search
    test.update();
    test.check();
    bool thrown = false;
    try {
        test.list->setRowLength(INT32_MAX / 4); // 240 GiB
    }
    catch (const OpenMMException&) {
        thrown = true;
    }
    ASSERT(thrown);
    test.move(0.01);
    test.update();
    test.check();
}

/** Beads may move by box vectors without a search, since devices keep them close to the origin. */
static void testImages(ComputeContext& cc, int allPairsLimit) {
    Case test(cc, 120, 2, true, 2.0, allPairsLimit);
    test.update();
    int searches = test.list->getState().numSearches;
    for (size_t i = 0; i < test.positions.size(); i += 6)
        for (int k = 0; k < 3; k++)
            test.positions[i + k] += 2 * test.box.a[k] - test.box.c[k];
    ASSERT_EQUAL(1, test.update());
    test.check();
    ASSERT_EQUAL(searches, test.list->getState().numSearches);
}

/** A report is not asked for where an evaluation was cut short. */
static void testForgetting(ComputeContext& cc) {
    Case test(cc, 30, 1, true, 1.6, 16);
    test.update();
    double x = test.positions[4];
    test.positions[4] = NAN;
    test.upload();
    test.list->update(test.beads, test.box);
    test.positions[4] = x;
    test.list->forget();
    ASSERT_EQUAL(1, test.update());
    ASSERT_EQUAL(0, test.list->getState().badBead);
    test.check();
}

/** A topology that changes takes effect without any bead moving. */
static void testTopology(ComputeContext& cc) {
    Case test(cc, 60, 2, true, 1.6, 512);
    test.update();
    test.check();
    for (int i = 0; i < 60; i++)
        test.topology.replicas[i] = i % 3;
    test.topology.bonds.clear();
    test.topology.bonds.push_back({0, 3});
    test.topology.molecules.assign(60, 1);
    test.list->setTopology(test.topology);
    test.update();
    test.check();
}

static void testBadPosition(ComputeContext& cc) {
    Case test(cc, 30, 1, true, 1.6, 16);
    test.update();
    test.positions[3 * 17 + 1] = NAN;
    test.update();
    ASSERT_EQUAL(18, test.list->getState().badBead);
    test.positions[3 * 17 + 1] = 0.1;
    test.update();
    ASSERT_EQUAL(0, test.list->getState().badBead);
    test.check();
}

int main(int, char** argv) {
    try {
        Platform::loadPluginsFromDirectory(OPENMM_PLUGIN_DIR);
        if (Platform::getNumPlatforms() == 0 || !OpenCLPlatform::isPlatformSupported()) {
            cout << "Skipped: OpenMM finds no OpenCL device." << endl;
            return SKIPPED;
        }
        init_gen_rand(3, sfmt);
        System system;
        system.addParticle(1.0);
        VerletIntegrator integrator(0.001);
        Platform& platform = Platform::getPlatformByName("OpenCL");
        Context context(system, integrator, platform, {{"Precision", argv[1]}});
        ComputeContext& cc = Door().open(context);
        ContextSelector selector(cc);
        for (bool periodic : {false, true}) {
            testRandom(cc, 40, 1, periodic, 1.6, 512);
            testRandom(cc, 150, 3, periodic, 2.0, 512);
            testRandom(cc, 200, 1, periodic, 2.9, 48);
            testRandom(cc, 200, 2, periodic, 1.5, 48);
        }
        for (int allPairsLimit : {16, 512}) {
            testOverflow(cc, allPairsLimit);
            testMemory(cc, allPairsLimit);
            testImages(cc, allPairsLimit);
        }
        testForgetting(cc);
        testTopology(cc);
        testBadPosition(cc);
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
