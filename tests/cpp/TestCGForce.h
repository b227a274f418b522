// Tests of CGForce that every platform must pass. A platform's test program includes this header and defines
// - choosePlatform(), which sets the platform, TOL, the relative tolerance that its precision allows, and where pairs
// are
//   found, from the arguments of the program, and whether OpenMM's minimiser works there;
// - runPlatformTests(), the tests that it has besides.

#include "openmm/Context.h"
#include "openmm/LocalEnergyMinimizer.h"
#include "openmm/MonteCarloBarostat.h"
#include "openmm/OpenMMException.h"
#include "openmm/System.h"
#include "openmm/VerletIntegrator.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/CGForce.h"
#include "sfmt/SFMT.h"
#include <cmath>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

Platform* platform;
double TOL;
string pairListProperty = "auto";
bool minimizerWorks = true;
void choosePlatform(const vector<string>& arguments);
void runPlatformTests();

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

void testEnergy(bool periodic) {
    for (int chains : {3, 80}) {
        Setup setup(chains, periodic, 5 + chains);
        VerletIntegrator integrator(0.001);
        Context context(setup.system, integrator, *platform);
        context.setPositions(setup.positions);
        ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(),
                         TOL);
        context.setParameter(CGForce::Temperature(), 360.0);
        ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions, 360),
                         context.getState(State::Energy).getPotentialEnergy(), TOL);
    }
}

/**
 * Compare forces with differences of the exact energy, component by component.
 */
void testForces(bool periodic) {
    Setup setup(6, periodic, 11);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    vector<Vec3> forces = context.getState(State::Forces).getForces();
    double scale = 0;
    for (Vec3& force : forces)
        scale = max(scale, sqrt(force.dot(force)));
    const double delta = 1e-4;
    for (size_t i = 0; i < setup.positions.size(); i++)
        for (int k = 0; k < 3; k++) {
            vector<Vec3> moved = setup.positions;
            moved[i][k] += delta;
            double high = setup.expectedEnergy(moved);
            moved[i][k] -= 2 * delta;
            double low = setup.expectedEnergy(moved);
            ASSERT(fabs((low - high) / (2 * delta) - forces[i][k]) < max(TOL, 1e-5) * scale);
        }
}

void testParameterDerivative() {
    Setup setup(6, false, 3);
    setup.force->addEnergyParameterDerivative(CGForce::Temperature());
    setup.force->addEnergyParameterDerivative("slope");
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    context.setParameter(CGForce::Temperature(), 330);
    auto derivatives = context.getState(State::ParameterDerivatives).getEnergyParameterDerivatives();
    double base = setup.expectedEnergy(setup.positions, 300);
    ASSERT_EQUAL_TOL(base * 0.25 / 300, derivatives.at(CGForce::Temperature()), TOL);
    ASSERT_EQUAL_TOL(base * 0.1, derivatives.at("slope"), 10 * TOL);
}

/**
 * The list must stay right while beads move within the skin, beyond it, and when the box changes.
 */
void testMovement() {
    Setup setup(40, true, 19);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    OpenMM_SFMT::SFMT sfmt;
    init_gen_rand(7, sfmt);
    for (int step = 0; step < 20; step++) {
        double size = step % 5 == 4 ? 0.5 : 0.02;
        for (Vec3& r : setup.positions)
            r += Vec3(genrand_real2(sfmt) - 0.5, genrand_real2(sfmt) - 0.5, genrand_real2(sfmt) - 0.5) * size;
        if (step == 10) {
            for (Vec3& vector : setup.box)
                vector *= 1.05;
            context.setPeriodicBoxVectors(setup.box[0], setup.box[1], setup.box[2]);
        }
        context.setPositions(setup.positions);
        ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(),
                         TOL);
    }
    auto info = setup.force->getContextInfo(context);
    ASSERT(stoi(info["list_rebuilds"]) < 20);
}

void testQueries() {
    Setup setup(4, false, 23);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    State state = context.getState(State::Energy | State::Forces);
    vector<Vec3> beads = setup.force->getBeadPositions(context), expected = setup.beadPositions(setup.positions);
    vector<Vec3> beadForces = setup.force->getBeadForces(context), spread(setup.positions.size());
    for (size_t bead = 0; bead < beads.size(); bead++) {
        ASSERT_EQUAL_VEC(expected[bead], beads[bead], 1e-6);
        for (size_t k = 0; k < setup.particles[bead].size(); k++)
            spread[setup.particles[bead][k]] += beadForces[bead] * setup.weights[bead][k];
    }
    for (size_t i = 0; i < spread.size(); i++)
        ASSERT_EQUAL_VEC(spread[i], state.getForces()[i], 10 * TOL);
    double sum = 0;
    for (double energy : setup.force->getBeadEnergies(context))
        sum += energy;
    ASSERT_EQUAL_TOL(state.getPotentialEnergy(), sum, TOL);
    vector<double> replicas = setup.force->getReplicaEnergies(context);
    ASSERT_EQUAL(2, replicas.size());
    ASSERT_EQUAL_TOL(sum, replicas[0] + replicas[1], TOL);
}

void testUpdateParameters() {
    Setup setup(4, false, 29);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    setup.types[1] = (setup.types[1] + 1) % 3;
    setup.weights[1] = {0.2, 0.3, 0.5};
    setup.force->setBeadParameters(1, setup.particles[1], setup.weights[1], setup.types[1], setup.molecules[1],
                                   setup.replicas[1]);
    setup.force->updateParametersInContext(context);
    ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(), TOL);
}

void testForceGroups() {
    Setup setup(4, false, 31);
    setup.force->setForceGroup(3);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    ASSERT_EQUAL(0.0, context.getState(State::Energy, false, 1 << 2).getPotentialEnergy());
    ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions),
                     context.getState(State::Energy, false, 1 << 3).getPotentialEnergy(), TOL);
}

/**
 * The barostat must move molecules as wholes: chains whose beads share no particle with others.
 */
void testBarostat() {
    Setup setup(10, true, 37);
    setup.system.addForce(new MonteCarloBarostat(1.0, 300, 2));
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    auto molecules = context.getMolecules();
    ASSERT_EQUAL(10, molecules.size());
    integrator.step(40);
    State state = context.getState(State::Energy | State::Positions);
    state.getPeriodicBoxVectors(setup.box[0], setup.box[1], setup.box[2]);
    ASSERT_EQUAL_TOL(setup.expectedEnergy(state.getPositions()), state.getPotentialEnergy(), 10 * TOL);
}

void testTwoContexts() {
    Setup first(4, false, 41), second(5, false, 43);
    VerletIntegrator integrator1(0.001), integrator2(0.001);
    Context context1(first.system, integrator1, *platform), context2(second.system, integrator2, *platform);
    context1.setPositions(first.positions);
    context2.setPositions(second.positions);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQUAL_TOL(first.expectedEnergy(first.positions), context1.getState(State::Energy).getPotentialEnergy(),
                         TOL);
        ASSERT_EQUAL_TOL(second.expectedEnergy(second.positions), context2.getState(State::Energy).getPotentialEnergy(),
                         TOL);
    }
}

void testMinimize() {
    Setup setup(4, false, 47);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    double before = context.getState(State::Energy).getPotentialEnergy();
    LocalEnergyMinimizer::minimize(context, 1.0, 50);
    ASSERT(context.getState(State::Energy).getPotentialEnergy() < before);
}

void testNVE() {
    Setup setup(12, false, 53);
    VerletIntegrator integrator(0.0005);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    context.setVelocitiesToTemperature(100, 1);
    integrator.step(10);
    State state = context.getState(State::Energy);
    double initial = state.getPotentialEnergy() + state.getKineticEnergy(), kinetic = state.getKineticEnergy();
    for (int i = 0; i < 20; i++) {
        integrator.step(50);
        state = context.getState(State::Energy);
        ASSERT(fabs(state.getPotentialEnergy() + state.getKineticEnergy() - initial) < 2e-3 * kinetic);
    }
}

/** Models in the style of openmm-torch, which take positions and parameters. */
void testPositionsInterface() {
    System system;
    CGForce* force = new CGForce(string(TEST_DATA) + "/positions-v1.cg.pt");
    vector<Vec3> positions;
    double sum = 0;
    for (int i = 0; i < 5; i++) {
        system.addParticle(1.0);
        force->addBead({i}, {}, 0);
        positions.push_back(Vec3(0.1 * i, 1, -0.2 * i));
        sum += positions[i].dot(positions[i]);
    }
    force->addEnergyParameterDerivative("k");
    system.addForce(force);
    VerletIntegrator integrator(0.001);
    Context context(system, integrator, *platform);
    context.setPositions(positions);
    context.setParameter("k", 50.0);
    State state = context.getState(State::Energy | State::Forces | State::ParameterDerivatives);
    ASSERT_EQUAL_TOL(25 * sum, state.getPotentialEnergy(), TOL);
    ASSERT_EQUAL_TOL(0.5 * sum, state.getEnergyParameterDerivatives().at("k"), TOL);
    for (int i = 0; i < 5; i++)
        ASSERT_EQUAL_VEC(positions[i] * -50, state.getForces()[i], TOL);
}

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

void testErrors() {
    assertFails([] { CGForce force("missing.cg.pt"); }, "Cannot open the model file 'missing.cg.pt'");
    CGForce force(MODEL);
    assertFails([&] { force.addBead({0}, {}, 3); }, "unknown bead type 3");
    assertFails([&] { force.addBead({0, 1}, {0.5, 0.6}, 0); }, "add up to 1.1");
    assertFails([&] { force.addBead({0, 1}, {1.0}, 0); }, "2 particles but 1 weights");
    assertFails([&] { force.addBead({0, 0}, {}, 0); }, "names a particle twice");
    force.addBead({0}, {}, 0, 0, 0);
    force.addBead({1}, {}, 0, 0, 1);
    assertFails([&] { force.addBond(0, 1); }, "connects replicas 0 and 1");
    assertFails([&] { force.addBond(0, 2); }, "names bead 2");
    assertFails([&] { force.setProperty("precision", "half"); }, "expected auto, single or double");
    assertFails([&] { force.setProperty("cutoff", "1"); }, "unknown property 'cutoff'");

    Setup setup(3, true, 59);
    VerletIntegrator integrator(0.001), integrator2(0.001), integrator3(0.001);
    Context context(setup.system, integrator, *platform);
    setup.positions[7][1] = NAN;
    context.setPositions(setup.positions);
    // Some platforms look at the particles themselves before any force does.
    assertFails([&] { setup.force->getBeadPositions(context); }, "position of bead");
    assertFails([&] { context.getState(State::Energy); }, "");
    setup.positions[7][1] = 0;
    context.setPositions(setup.positions);
    context.setPeriodicBoxVectors(Vec3(1.1, 0, 0), Vec3(0, 1.3, 0), Vec3(0, 0, 1.3));
    assertFails([&] { context.getState(State::Energy); }, "more than half of the periodic box");
    setup.system.setDefaultPeriodicBoxVectors(Vec3(1.1, 0, 0), Vec3(0, 1.3, 0), Vec3(0, 0, 1.3));
    assertFails([&] { Context small(setup.system, integrator2, *platform); },
                "more than half of the default periodic box");
    Setup outside(3, false, 61);
    outside.force->addBead({1000}, {}, 0);
    assertFails([&] { Context missing(outside.system, integrator3, *platform); }, "names particle 1000");
}

int main(int argc, char** argv) {
    try {
        Platform::loadPluginsFromDirectory(OPENMM_PLUGIN_DIR);
        Platform::loadPluginsFromDirectory(PLUGIN_DIR);
        choosePlatform(vector<string>(argv + 1, argv + argc));
        runPlatformTests();
        for (bool periodic : {false, true}) {
            testEnergy(periodic);
            testForces(periodic);
        }
        testParameterDerivative();
        testMovement();
        testQueries();
        testUpdateParameters();
        testForceGroups();
        testBarostat();
        testTwoContexts();
        if (minimizerWorks)
            testMinimize();
        testNVE();
        testPositionsInterface();
        testErrors();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
