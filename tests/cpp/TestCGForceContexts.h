// Tests of several Forces and Contexts at once; part of TestCGForce.h.

void testSeveralForces() {
    Setup setup(6, true, 79);
    CGForce* second = new CGForce(MODEL);
    second->setProperty("pairList", pairListProperty);
    second->setForceGroup(1);
    second->setUsesPeriodicBoundaryConditions(true);
    second->addBead({0}, {}, 0, 0, 5);
    second->addBead({7}, {}, 2, 1, 5);
    setup.system.addForce(second);
    VerletIntegrator integrator(0.001);
    Context context(setup.system, integrator, *platform);
    context.setPositions(setup.positions);
    double first = setup.expectedEnergy(setup.positions);
    double other = context.getState(State::Energy, false, 2).getPotentialEnergy();
    ASSERT_EQUAL_TOL(first, context.getState(State::Energy, false, 1).getPotentialEnergy(), TOL);
    State both = context.getState(State::Energy | State::Forces);
    ASSERT_EQUAL_TOL(first + other, both.getPotentialEnergy(), TOL);
    vector<Vec3> one = context.getState(State::Forces, false, 1).getForces();
    vector<Vec3> two = context.getState(State::Forces, false, 2).getForces();
    for (size_t i = 0; i < one.size(); i++)
        ASSERT_EQUAL_VEC(one[i] + two[i], both.getForces()[i], 10 * TOL);
}

/** A run continued from a checkpoint, or repeated in another Context, is the same to the last bit. */
void testCheckpoint() {
    Setup setup(8, true, 83);
    VerletIntegrator integrator(0.0005), again(0.0005);
    Context context(setup.system, integrator, *platform), other(setup.system, again, *platform);
    context.setPositions(setup.positions);
    integrator.step(30);
    stringstream checkpoint;
    context.createCheckpoint(checkpoint);
    integrator.step(30);
    vector<Vec3> expected = context.getState(State::Positions).getPositions();
    context.loadCheckpoint(checkpoint);
    integrator.step(30);
    other.setPositions(setup.positions);
    again.step(60);
    vector<Vec3> continued = context.getState(State::Positions).getPositions();
    vector<Vec3> repeated = other.getState(State::Positions).getPositions();
    for (size_t i = 0; i < expected.size(); i++) {
        ASSERT(expected[i] == continued[i]);
        ASSERT(expected[i] == repeated[i]);
    }
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
