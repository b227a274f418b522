// Tests of CGForce that every platform must pass. A platform's test program includes this header and defines
// - choosePlatform(), which sets the platform from the arguments of the program, TOL, the relative tolerance that its
//   precision allows, where pairs are found, and whether OpenMM's minimiser works there;
// - runPlatformTests(), the tests that it has besides.

#include "CGForceSetup.h"
#include "openmm/Context.h"
#include "openmm/HarmonicBondForce.h"
#include "openmm/LocalEnergyMinimizer.h"
#include "openmm/MonteCarloBarostat.h"
#include "openmm/NonbondedForce.h"
#include "openmm/VerletIntegrator.h"
#include <iostream>
#include <memory>
#include <sstream>

Platform* platform;
double TOL;
/** How many box vectors away single precision is coarse; fewer where a platform keeps particles themselves in it. */
double farAway = 500;
bool minimizerWorks = true;
void choosePlatform(const vector<string>& arguments);
void runPlatformTests();

#include "TestCGForceContexts.h"

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
    auto info = setup.force->getContextInfo(context);
    ASSERT(info["pairs"] == "0" && info["candidates"] == "0" && info["list_rebuilds"] == "0");
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

    // A chain joins the molecule of another, which takes effect when all of its bonded beads have.
    for (int bead = 6; bead < 9; bead++) {
        if (bead > 6)
            assertFails([&] { setup.force->updateParametersInContext(context); }, "connects molecules");
        setup.molecules[bead] = 0;
        setup.force->setBeadParameters(bead, setup.particles[bead], setup.weights[bead], setup.types[bead], 0,
                                       setup.replicas[bead]);
    }
    setup.force->updateParametersInContext(context);
    ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(), TOL);
}

/**
 * What diffusion does to coordinates must not cost any accuracy: molecules far away by box vectors, or replicas where
 * there is no box.
 */
void testFarFromOrigin(bool periodic) {
    Setup setup(12, periodic, 89);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    vector<Vec3> positions = setup.positions;
    for (size_t i = 0; i < positions.size(); i++) {
        int chain = static_cast<int>(i / 5), which = periodic ? chain : chain % 2;
        positions[i] += setup.box[0] * (farAway * which) - setup.box[1] * farAway + setup.box[2] * (farAway + which);
    }
    context.setPositions(positions);
    ASSERT_EQUAL_TOL(setup.expectedEnergy(setup.positions), context.getState(State::Energy).getPotentialEnergy(), TOL);
    vector<Vec3> expected = setup.beadPositions(positions), found = setup.force->getBeadPositions(context);
    for (size_t bead = 0; bead < found.size(); bead++)
        ASSERT_EQUAL_VEC(expected[bead], found[bead], 1e-6);
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

/**
 * Platforms may reorder particles and move molecules into the periodic box. For the user, and for beads, particles stay
 * where they are.
 */
void testWrappedMolecules(bool periodic) {
    Setup setup(30, periodic, 71);
    NonbondedForce* nonbonded = new NonbondedForce();
    nonbonded->setNonbondedMethod(NonbondedForce::CutoffPeriodic);
    nonbonded->setCutoffDistance(0.5);
    for (size_t i = 0; i < setup.positions.size(); i++) {
        nonbonded->addParticle(0, 1, 0);
        // Chains are whole, and lie in different boxes.
        setup.positions[i] +=
            setup.box[0] * static_cast<double>(i / 5 % 3) - setup.box[2] * static_cast<double>(i / 5 % 2);
    }
    setup.system.addForce(nonbonded);
    VerletIntegrator integrator(1e-5);
    Context context(setup.system, integrator, *platform);
    for (int round = 0; round < 2; round++) {
        context.setPositions(setup.positions);
        integrator.step(2);
        State state = context.getState(State::Positions | State::Energy | State::Forces);
        for (size_t i = 0; i < setup.positions.size(); i++)
            ASSERT_EQUAL_VEC(setup.positions[i], state.getPositions()[i], 1e-4);
        ASSERT_EQUAL_TOL(setup.expectedEnergy(state.getPositions()), state.getPotentialEnergy(), 10 * TOL);
        vector<Vec3> expected = setup.beadPositions(state.getPositions());
        vector<Vec3> found = setup.force->getBeadPositions(context);
        for (size_t bead = 0; bead < found.size(); bead++)
            ASSERT_EQUAL_VEC(expected[bead], found[bead], 1e-5);
        for (Vec3& r : setup.positions)
            r += setup.box[1];
    }
}

/** Many more pairs than there were at first: none may be lost, and the forces of others must not count twice. */
void testContraction() {
    Setup setup(40, false, 73);
    setup.force->addEnergyParameterDerivative(CGForce::Temperature());
    HarmonicBondForce* bonds = new HarmonicBondForce();
    bonds->addBond(0, 8, 0.25, 100); // devices keep parameters in single precision
    setup.system.addForce(bonds);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    for (double scale : {20.0, 1.0, 0.4}) {
        vector<Vec3> positions = setup.positions;
        for (Vec3& r : positions)
            r *= scale;
        context.setPositions(positions);
        State state = context.getState(State::Energy | State::Forces | State::ParameterDerivatives);
        Vec3 d = positions[8] - positions[0];
        double length = sqrt(d.dot(d)), energy = setup.expectedEnergy(positions);
        ASSERT_EQUAL_TOL(energy + 50 * (length - 0.25) * (length - 0.25), state.getPotentialEnergy(), TOL);
        ASSERT_EQUAL_TOL(energy * 0.25 / 300, state.getEnergyParameterDerivatives().at(CGForce::Temperature()), TOL);
        Vec3 sum;
        for (size_t i = 0; i < positions.size(); i++)
            sum += state.getForces()[i];
        ASSERT_EQUAL_VEC(Vec3(), sum, 1e-2);
        // The bond is the only force between its particles and the beads' own forces.
        vector<Vec3> beadForces = setup.force->getBeadForces(context);
        Vec3 expected = d * (100 * (length - 0.25) / length);
        for (size_t bead = 0; bead < beadForces.size(); bead++)
            for (size_t k = 0; k < setup.particles[bead].size(); k++)
                if (setup.particles[bead][k] == 0)
                    expected += beadForces[bead] * setup.weights[bead][k];
        ASSERT_EQUAL_VEC(expected, state.getForces()[0], 1e-3);
    }
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
        for (bool periodic : {false, true})
            testFarFromOrigin(periodic);
        testForceGroups();
        testBarostat();
        for (bool periodic : {false, true})
            testWrappedMolecules(periodic);
        testContraction();
        testSeveralForces();
        testCheckpoint();
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
