// What tests of CGForce work on: a System whose energy can be computed by brute force.

#include "openmm/OpenMMException.h"
#include "openmm/System.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/CGForce.h"
#include "sfmt/SFMT.h"
#include <cmath>
#include <string>
#include <vector>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

/** Where pairs are found, and whether CUDA graphs are used: see CGForce::setProperty(). */
string pairListProperty = "auto", cudaGraphsProperty = "auto";

const double CUTOFF = 0.6;
const string MODEL = string(TEST_DATA) + "/pairs-v1.cg.pt";

/**
 * A System of particles, some of which form overlapping beads, and what is needed to repeat the model's arithmetic.
 */
struct Setup {
    System system;
    CGForce* force = nullptr;
    vector<Vec3> positions;
    vector<vector<int>> particles;
    vector<vector<double>> weights;
    vector<int> types, molecules, replicas;
    vector<vector<int>> separation; // number of bonds between beads, up to 4
    Vec3 box[3] = {Vec3(2.0, 0, 0), Vec3(0.5, 1.9, 0), Vec3(-0.4, 0.6, 1.8)};

    /**
     * Chains of three bonded beads in two replicas. A bead is made of up to three particles, which it may share.
     */
    Setup(int numChains, bool periodic, unsigned int seed, const string& model = MODEL) {
        OpenMM_SFMT::SFMT sfmt;
        init_gen_rand(seed, sfmt);
        auto random = [&] { return genrand_real2(sfmt); };
        force = new CGForce(model);
        force->setProperty("pairList", pairListProperty);
        force->setProperty("cudaGraphs", cudaGraphsProperty);
        system.setDefaultPeriodicBoxVectors(box[0], box[1], box[2]);
        for (int chain = 0; chain < numChains; chain++) {
            Vec3 center(2 * random(), 2 * random(), 2 * random());
            int first = system.getNumParticles();
            for (int i = 0; i < 5; i++) {
                system.addParticle(10.0 + i);
                positions.push_back(center + Vec3(0.4 * random(), 0.4 * random(), 0.4 * random()));
            }
            for (int i = 0; i < 3; i++) {
                vector<int> members = {first + i, first + i + 1};
                if (i == 1)
                    members.push_back(first + 4);
                vector<double> w;
                double sum = 0;
                for (size_t k = 0; k < members.size(); k++) {
                    w.push_back(0.1 + random());
                    sum += w.back();
                }
                for (double& value : w)
                    value /= sum;
                particles.push_back(members);
                weights.push_back(w);
                types.push_back(static_cast<int>(3 * random()));
                molecules.push_back(chain / 2);
                replicas.push_back(chain % 2);
                force->addBead(members, w, types.back(), molecules.back(), replicas.back());
            }
            int bead = 3 * chain;
            force->addBond(bead, bead + 1);
            force->addBond(bead + 2, bead + 1);
        }
        force->setUsesPeriodicBoundaryConditions(periodic);
        system.addForce(force);
    }
    vector<Vec3> beadPositions(const vector<Vec3>& r) const {
        vector<Vec3> result(particles.size());
        for (size_t bead = 0; bead < particles.size(); bead++)
            for (size_t k = 0; k < particles[bead].size(); k++)
                result[bead] += r[particles[bead][k]] * weights[bead][k];
        return result;
    }
    double edgeScale(int i, int j) const {
        const double scale[] = {1, 2, 30, 10, 5};
        if (i / 3 == j / 3)
            return scale[abs(i - j) == 1 ? 2 : 3];
        return scale[molecules[i] == molecules[j] ? 1 : 0];
    }
    /** The model's energy by brute force over pairs and images. */
    double expectedEnergy(const vector<Vec3>& r, double temperature = 300) const {
        const double charge[] = {1, -0.5, 2};
        vector<Vec3> beads = beadPositions(r);
        int reach = force->usesPeriodicBoundaryConditions() ? 3 : 0;
        double energy = 0;
        for (int i = 0; i < static_cast<int>(beads.size()); i++)
            for (int j = 0; j < i; j++) {
                if (replicas[i] != replicas[j])
                    continue;
                for (int a = -reach; a <= reach; a++)
                    for (int b = -reach; b <= reach; b++)
                        for (int c = -reach; c <= reach; c++) {
                            Vec3 d = beads[j] - beads[i] + box[0] * a + box[1] * b + box[2] * c;
                            double x = 1 - d.dot(d) / (CUTOFF * CUTOFF);
                            if (x > 0)
                                energy += charge[types[i]] * charge[types[j]] * edgeScale(i, j) * x * x * x;
                        }
            }
        return energy * (1 + 0.25 * (temperature / 300 - 1));
    }
};

template <class Action>
void assertFails(Action action, const string& expected) {
    string message;
    try {
        action();
    }
    catch (const OpenMMException& error) {
        message = error.what();
    }
    if (message.empty() || message.find(expected) == string::npos)
        throwException(__FILE__, __LINE__, "Expected an error with '" + expected + "', found '" + message + "'");
}
