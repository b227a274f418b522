#include "CudaCGKernels.h"
#include "GraphLibrary.h"
#include "openmm/common/ContextSelector.h"
#include <cmath>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

CudaCalcCGForceKernel::~CudaCalcCGForceKernel() {
    if (!primary)
        return;
    ContextSelector selector(cu);
    cuStreamSynchronize(cu.getCurrentStream());
    inputsAreReady.reset();
    if (report != nullptr)
        cuMemFreeHost(report);
    CUcontext popped;
    if (cuCtxPushCurrent(primary->get()) == CUDA_SUCCESS) {
        outputsAreReady.reset();
        model.reset();
        cuCtxPopCurrent(&popped);
    }
    else
        // The process is ending, and the driver has gone before.
        static_cast<void>(model.release());
}

bool CudaCalcCGForceKernel::findsPairsOnDevice(const string& property) const {
    if (property == "host")
        throw OpenMMException(
            "CGForce: the platform CUDA finds pairs on the device, where the model needs them, but the "
            "property 'pairList' is 'host'; set it to 'auto' or 'device'.");
    return true;
}

void CudaCalcCGForceKernel::initializeModel(const CGForce& force) {
    const string& runner = force.getProperty("runner");
    if (runner != "auto" && runner != "torchscript")
        throw OpenMMException("CGForce: the runner '" + runner +
                              "' runs on CPUs, but the platform is CUDA; set the "
                              "property 'runner' to 'auto' or 'torchscript', or use the platform CPU.");
    setup.runnerName = "torchscript";
    setup.runnerReason = "PyTorch evaluates models on CUDA devices";
    string obstacle = DeviceModel::findCudaObstacle(cu.getDeviceIndex());
    if (!obstacle.empty())
        throw OpenMMException("CGForce: " + obstacle);
    primary = make_unique<PrimaryContext>(cu.getDevice());
    inputsAreReady = make_unique<CudaEvent>();
    if (getPairList() != nullptr) {
        checkCuda(cuMemHostAlloc(reinterpret_cast<void**>(&report), sizeof(*report), CU_MEMHOSTALLOC_PORTABLE),
                  "allocate page-locked memory");
        *report = CommonPairList::State{};
        getPairList()->setReportMemory(report);
    }
    ContextGuard guard(*primary);
    outputsAreReady = make_unique<CudaEvent>();
    withOpenMMErrors([&] {
        model =
            DeviceModel::create(force.getModel(), setup.options, setup.beads.types,
                                "cuda:" + to_string(cu.getDeviceIndex()), findGraphs(force.getProperty("cudaGraphs")));
        torchStream = static_cast<CUstream>(model->getStream());
    });
}

ModelBuffers CudaCalcCGForceKernel::createBuffers(int capacity) {
    // Kernels that use the old ones may still be running.
    checkCuda(cuStreamSynchronize(cu.getCurrentStream()), "finish earlier work");
    ContextGuard guard(*primary);
    DeviceAddresses memory = withOpenMMErrors([&] { return model->allocate(capacity); });
    ModelBuffers created;
    created.positions = DeviceBuffer(memory.positions);
    created.pairs = DeviceBuffer(memory.pairs);
    created.shifts = DeviceBuffer(memory.shifts);
    created.edgeTypes = DeviceBuffer(memory.edgeTypes);
    created.forces = DeviceBuffer(memory.forces);
    return created;
}

double CudaCalcCGForceKernel::computeModel(const vector<double>& parameters, bool, bool includeEnergy) {
    CUstream openmmStream = cu.getCurrentStream();
    inputsAreReady->record(openmmStream);
    double energy = 0;
    {
        ContextGuard guard(*primary);
        inputsAreReady->holdBack(torchStream);
        withOpenMMErrors([&] { model->evaluate(parameters, box); });
        outputsAreReady->record(torchStream);
        if (includeEnergy)
            energy = model->getEnergy();
    }
    outputsAreReady->holdBack(openmmStream);
    if (includeEnergy && !isfinite(energy))
        checkResult();
    return energy;
}

/** Say what is wrong with a result that is not a number. */
void CudaCalcCGForceKernel::checkResult() {
    // The reason may be the positions, which this looks at, or that the evaluation is going to be repeated.
    if (getPairList() != nullptr && !listIsComplete())
        return;
    ModelOutput output = getModelOutput();
    withOpenMMErrors([&] { checkOutput(setup.beads, setup.typeNames, output); });
}

ModelOutput CudaCalcCGForceKernel::getModelOutput() {
    ContextGuard guard(*primary);
    return withOpenMMErrors([&] { return model->getOutput(); });
}

vector<double> CudaCalcCGForceKernel::getParameterDerivatives() {
    ContextGuard guard(*primary);
    return withOpenMMErrors([&] { return model->getParameterDerivatives(); });
}

void CudaCalcCGForceKernel::updateBeads() {
    checkCuda(cuStreamSynchronize(cu.getCurrentStream()), "finish earlier work");
    ContextGuard guard(*primary);
    withOpenMMErrors([&] { model->setTypes(setup.beads.types); });
}

map<string, string> CudaCalcCGForceKernel::getInfo() const {
    map<string, string> info = CommonCalcCGForceKernel::getInfo();
    for (auto& entry : model->getInfo())
        info.insert(entry);
    return info;
}
