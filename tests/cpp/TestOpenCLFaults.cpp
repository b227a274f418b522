// What platforms that run on devices have in common, when something fails: forces that are not numbers and are noticed
// by the device alone, evaluations that an exception cuts short, and memory that runs out. A kernel takes the place of
// the one for OpenCL, whose model is simple, waits for nothing, and fails when it is told to. The argument is the
// precision.

#include "CGForceSetup.h"
#include "openmm/Context.h"
#include "openmm/KernelFactory.h"
#include "openmm/VerletIntegrator.h"
#include "openmm/opencl/OpenCLPlatform.h"
#include "openmmcg/common/CommonCGKernels.h"
#include <iostream>
#include <memory>

const int SKIPPED = 77;

/** What shall go wrong. */
struct Faults {
    bool badForce = false, badForceIfIncomplete = false, modelFails = false, noMemory = false;
} faults;

/** A model whose energy is the number of pairs, and whose forces are all 1. */
class TestKernel : public CommonCalcCGForceKernel {
public:
    using CommonCalcCGForceKernel::CommonCalcCGForceKernel;

protected:
    bool modelIsDouble() const override {
        return true;
    }
    bool findsPairsOnDevice(const string&) const override {
        return true;
    }
    void initializeModel(const CGForce&) override {}
    ModelBuffers createBuffers(int capacity) override {
        if (capacity > 0 && faults.noMemory)
            throw OpenMMException("no memory");
        size_t numBeads = setup.beads.types.size();
        arrays.clear();
        ModelBuffers created;
        created.positions = create<double>(3 * numBeads);
        created.forces = create<double>(3 * numBeads);
        forces = arrays.back().get();
        if (capacity > 0) {
            created.pairs = create<int64_t>(2 * capacity);
            created.shifts = create<double>(3 * capacity);
            created.edgeTypes = create<int64_t>(capacity);
        }
        return created;
    }
    double computeModel(const vector<double>&, bool, bool includeEnergy) override {
        if (faults.modelFails)
            throw OpenMMException("the model fails");
        bool incomplete = includeEnergy && !listIsComplete();
        vector<double> values(forces->getSize(), 1.0);
        if (faults.badForce || (faults.badForceIfIncomplete && incomplete))
            values[3 * BAD_BEAD + 1] = NAN;
        forces->upload(values);
        return getPairList()->getState().numPairs;
    }
    ModelOutput getModelOutput() override {
        return ModelOutput();
    }
    vector<double> getParameterDerivatives() override {
        return {};
    }
    void updateBeads() override {}

private:
    template <class T>
    DeviceBuffer create(size_t size) {
        arrays.push_back(make_unique<ComputeArray>());
        arrays.back()->initialize<T>(cc, size, "array");
        return DeviceBuffer(*arrays.back());
    }
    static const int BAD_BEAD = 4;
    vector<unique_ptr<ComputeArray>> arrays;
    ComputeArray* forces = nullptr;
};

class TestKernelFactory : public KernelFactory {
public:
    KernelImpl* createKernelImpl(string name, const Platform& platform, ContextImpl& context) const override {
        auto* data = static_cast<OpenCLPlatform::PlatformData*>(context.getPlatformData());
        return new TestKernel(name, platform, *reinterpret_cast<ComputeContext*>(data->contexts[0]));
    }
};

/** A Context of a few chains, and what brings it back into order. */
struct Run {
    Setup setup;
    VerletIntegrator integrator;
    unique_ptr<Context> context;

    explicit Run(Platform& platform, int numChains = 6) : setup(numChains, true, 5), integrator(1e-6) {
        faults = Faults();
        context = make_unique<Context>(setup.system, integrator, platform);
        context->setPositions(setup.positions);
    }
    double energy() {
        return context->getState(State::Energy).getPotentialEnergy();
    }
    void evaluateForces() {
        context->getState(State::Forces);
    }
};

/** Nobody but the device looks at forces where no energy is asked for: it is said in the next evaluation, once. */
static void testBadForce(Platform& platform) {
    Run run(platform);
    double expected = run.energy();
    faults.badForce = true;
    run.evaluateForces();
    faults.badForce = false;
    assertFails([&] { run.evaluateForces(); }, "The model returned a force on bead 4");
    ASSERT_EQUAL(expected, run.energy());
    // Likewise in a simulation.
    faults.badForce = true;
    assertFails([&] { run.integrator.step(3); }, "that is not a number. The configuration may be far");
    faults.badForce = false;
    run.context->setPositions(run.setup.positions);
    ASSERT_EQUAL(expected, run.energy());
}

/** Forces of an incomplete list do not count, since the evaluation is repeated. */
static void testIncompleteList(Platform& platform) {
    Run run(platform, 40);
    double expected = run.energy();
    for (Vec3& position : run.setup.positions)
        position *= 0.4;
    run.context->setPositions(run.setup.positions);
    faults.badForceIfIncomplete = true;
    State state = run.context->getState(State::Energy | State::Forces);
    ASSERT(state.getPotentialEnergy() > expected);
    for (const Vec3& force : state.getForces())
        ASSERT(force[1] > 0 && force[1] < 4);
}

/** A report of an evaluation that was cut short belongs to no other. */
static void testCutShort(Platform& platform) {
    Run run(platform);
    double expected = run.energy();
    vector<Vec3> bad = run.setup.positions;
    bad[7][1] = NAN;
    for (bool otherGroup : {false, true}) {
        faults.modelFails = true;
        run.context->setPositions(bad);
        assertFails([&] { run.evaluateForces(); }, "the model fails");
        faults.modelFails = false;
        run.context->setPositions(run.setup.positions);
        if (otherGroup)
            run.context->getState(State::Energy, false, 1 << 5);
        ASSERT_EQUAL(expected, run.energy());
    }
    // The bead that is named is the one, not another that was moved together with it.
    run.context->setPositions(bad);
    assertFails([&] { run.evaluateForces(); }, "which is made of particle 6 and others, is not a number");
}

/** No memory for pairs: once at first, and once when there are more of them. */
static void testNoMemory(Platform& platform) {
    Run run(platform, 40);
    faults.noMemory = true;
    for (int i = 0; i < 2; i++)
        assertFails([&] { run.energy(); }, "no memory");
    faults.noMemory = false;
    double expected = run.energy();
    vector<Vec3> dense = run.setup.positions;
    for (Vec3& position : dense)
        position *= 0.4;
    faults.noMemory = true;
    run.context->setPositions(dense);
    for (int i = 0; i < 2; i++)
        assertFails([&] { run.energy(); }, "no memory");
    run.context->setPositions(run.setup.positions);
    assertFails([&] { run.evaluateForces(); }, "no memory");
    faults.noMemory = false;
    ASSERT_EQUAL(expected, run.energy());
    run.context->setPositions(dense);
    ASSERT(run.energy() > expected);
}

int main(int, char** argv) {
    try {
        Platform::loadPluginsFromDirectory(OPENMM_PLUGIN_DIR);
        if (Platform::getNumPlatforms() == 0 || !OpenCLPlatform::isPlatformSupported()) {
            cout << "Skipped: OpenMM finds no OpenCL device." << endl;
            return SKIPPED;
        }
        Platform& platform = Platform::getPlatformByName("OpenCL");
        platform.setPropertyDefaultValue("Precision", argv[1]);
        platform.registerKernelFactory(CalcCGForceKernel::Name(), new TestKernelFactory());
        testBadForce(platform);
        testIncompleteList(platform);
        testCutShort(platform);
        testNoMemory(platform);
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
