// The pair list against brute force: every pair within the cutoff, once in each direction, sorted, padded.

#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/engine/PairList.h"
#include "sfmt/SFMT.h"
#include <iostream>
#include <tuple>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static OpenMM_SFMT::SFMT sfmt;

static double uniform(double low, double high) {
    return low + (high - low) * genrand_real2(sfmt);
}

/** Directed pairs with their squared distances, over enough images. */
static vector<tuple<int, int, double>> bruteForce(const vector<double>& r, const vector<int>& replicas, const Box& box,
                                                  double cutoff) {
    vector<tuple<int, int, double>> pairs;
    int n = static_cast<int>(replicas.size()), reach = box.periodic ? 4 : 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            if (i == j || replicas[i] != replicas[j])
                continue;
            double delta[3];
            for (int a = -reach; a <= reach; a++)
                for (int b = -reach; b <= reach; b++)
                    for (int c = -reach; c <= reach; c++) {
                        double d2 = 0;
                        for (int k = 0; k < 3; k++) {
                            delta[k] = r[3 * j + k] - r[3 * i + k] + a * box.a[k] + b * box.b[k] + c * box.c[k];
                            d2 += delta[k] * delta[k];
                        }
                        if (d2 < cutoff * cutoff)
                            pairs.push_back({i, j, d2});
                    }
        }
    return pairs;
}

static void check(const PairBatch& batch, const vector<double>& r, const vector<int>& replicas, const Box& box,
                  double cutoff, int padding) {
    auto expected = bruteForce(r, replicas, box, cutoff);
    ASSERT_EQUAL(static_cast<int64_t>(expected.size()), batch.numPairs);
    ASSERT_EQUAL(0, batch.size % padding);
    ASSERT(batch.size >= batch.numPairs && batch.size > 0);
    for (int64_t k = 0; k < batch.size; k++) {
        int64_t i = batch.indices[k], j = batch.indices[batch.size + k];
        double d2 = 0;
        for (int axis = 0; axis < 3; axis++) {
            double d = r[3 * j + axis] - r[3 * i + axis] + batch.shifts[3 * k + axis];
            d2 += d * d;
        }
        if (k < batch.numPairs) {
            ASSERT_EQUAL(get<0>(expected[k]), i);
            ASSERT_EQUAL(get<1>(expected[k]), j);
            ASSERT_EQUAL_TOL(get<2>(expected[k]), d2, 1e-9);
        }
        else {
            ASSERT(i == 0 && j == 0);
            ASSERT_EQUAL_TOL(4 * cutoff * cutoff, d2, 1e-12);
        }
    }
}

static void testRandom(int numBeads, int numReplicas, bool periodic, double size) {
    Box box;
    box.periodic = periodic;
    box.a[0] = size * uniform(0.9, 1.2);
    box.b[1] = size * uniform(0.9, 1.2);
    box.c[2] = size * uniform(0.9, 1.2);
    box.b[0] = uniform(-0.5, 0.5) * box.a[0];
    box.c[0] = uniform(-0.5, 0.5) * box.a[0];
    box.c[1] = uniform(-0.5, 0.5) * box.b[1];
    double cutoff = periodic ? min(0.8, box.maxCutoff()) : 0.8;
    BeadTopology topology;
    vector<double> r;
    for (int i = 0; i < numBeads; i++) {
        topology.molecules.push_back(0);
        topology.replicas.push_back(static_cast<int>(uniform(0, numReplicas)));
        for (int k = 0; k < 3; k++)
            r.push_back(uniform(-1, 2) * size);
    }
    PairList list(topology, cutoff, 0.15, 8);
    for (int step = 0; step < 12; step++) {
        check(list.update(r.data(), box), r, topology.replicas, box, cutoff, 8);
        for (double& x : r)
            x += uniform(-0.03, 0.03);
        if (step == 8)
            box.a[0] *= 1.02;
    }
    ASSERT(list.getNumRebuilds() > 1);
}

/** Beads a rounding error before a border of the box, where they are neither quite inside nor outside. */
static void testBorders() {
    Box box;
    box.periodic = true;
    box.a[0] = box.b[1] = box.c[2] = 5.0;
    BeadTopology topology;
    vector<double> r;
    for (int axis = 0; axis < 3; axis++)
        for (double x : {-1.2246e-16, 0.0, 5.0, 5.0 - 1e-15, 5.0 + 1e-15, 15.0, 15.0 - 2e-15, -5.0 - 1e-15})
            for (int k = 0; k < 3; k++)
                r.push_back(k == axis ? x : 2.5);
    for (int i = 0; i < 80; i++)
        for (int k = 0; k < 3; k++)
            r.push_back(uniform(0, 5));
    topology.molecules.assign(r.size() / 3, 0);
    topology.replicas.assign(r.size() / 3, 0);
    PairList list(topology, 0.8, 0.15, 8);
    check(list.update(r.data(), box), r, topology.replicas, box, 0.8, 8);
}

/** Edge types of a branched molecule with a ring, a second molecule, and a far bead. */
static void testEdgeTypes() {
    // 0-1-2-3-4-5 with a ring 1-2-3-6, and 7 in another molecule.
    BeadTopology topology;
    topology.molecules = {0, 0, 0, 0, 0, 0, 0, 1};
    topology.replicas.assign(8, 0);
    topology.bonds = {{0, 1}, {2, 1}, {2, 3}, {3, 4}, {4, 5}, {3, 6}, {6, 1}};
    vector<double> r(24, 0.0);
    for (int i = 0; i < 8; i++)
        r[3 * i] = 0.05 * i;
    PairList list(topology, 1.0, 0.1, 1);
    const PairBatch& batch = list.update(r.data(), Box());
    ASSERT_EQUAL(56, batch.numPairs);
    const int bonds[7][7] = {{0, 1, 2, 3, 4, 5, 2}, {1, 0, 1, 2, 3, 4, 1}, {2, 1, 0, 1, 2, 3, 2}, {3, 2, 1, 0, 1, 2, 1},
                             {4, 3, 2, 1, 0, 1, 2}, {5, 4, 3, 2, 1, 0, 3}, {2, 1, 2, 1, 2, 3, 0}};
    for (int64_t k = 0; k < 56; k++) {
        int64_t i = batch.indices[k], j = batch.indices[batch.size + k], expected = OtherMolecule;
        if (i < 7 && j < 7)
            expected = bonds[i][j] > 3 ? SameMolecule : Bonded12 + bonds[i][j] - 1;
        ASSERT_EQUAL(expected, batch.edgeTypes[k]);
    }
}

static void testEmptyList() {
    BeadTopology topology;
    topology.molecules = {0, 0};
    topology.replicas = {0, 1};
    vector<double> r(6, 0.0);
    PairList list(topology, 0.5, 0.1, 8);
    check(list.update(r.data(), Box()), r, topology.replicas, Box(), 0.5, 8);
}

int main() {
    try {
        init_gen_rand(1, sfmt);
        for (bool periodic : {false, true}) {
            testRandom(20, 1, periodic, 2.0);
            testRandom(150, 1, periodic, 2.0);
            testRandom(150, 2, periodic, 3.5);
            testRandom(120, 1, periodic, 1.7);
        }
        testBorders();
        testEdgeTypes();
        testEmptyList();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
