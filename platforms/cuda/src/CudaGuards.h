#ifndef OPENMMCG_CUDAGUARDS_H_
#define OPENMMCG_CUDAGUARDS_H_

#include "openmm/OpenMMException.h"
#include <cuda.h>
#include <string>

namespace OpenMMCG {

/** Throw an OpenMMException if a function of the driver failed. */
inline void checkCuda(CUresult result, const std::string& action) {
    if (result == CUDA_SUCCESS)
        return;
    const char* name = nullptr;
    cuGetErrorName(result, &name);
    throw OpenMM::OpenMMException("CGForce: the CUDA driver could not " + action + ": " +
                                  (name == nullptr ? "error " + std::to_string(result) : name) + ".");
}

/**
 * Holds a device's primary context, in which PyTorch works. OpenMM works in another one of its own.
 */
class PrimaryContext {
public:
    explicit PrimaryContext(CUdevice device) : device(device) {
        checkCuda(cuDevicePrimaryCtxRetain(&context, device), "open the primary context");
    }
    ~PrimaryContext() {
        cuDevicePrimaryCtxRelease(device);
    }
    PrimaryContext(const PrimaryContext&) = delete;
    PrimaryContext& operator=(const PrimaryContext&) = delete;
    CUcontext get() const {
        return context;
    }

private:
    CUdevice device;
    CUcontext context = nullptr;
};

/**
 * Makes a context current for a scope.
 */
class ContextGuard {
public:
    explicit ContextGuard(const PrimaryContext& context) {
        checkCuda(cuCtxPushCurrent(context.get()), "select the primary context");
    }
    ~ContextGuard() {
        CUcontext popped;
        cuCtxPopCurrent(&popped);
    }
    ContextGuard(const ContextGuard&) = delete;
    ContextGuard& operator=(const ContextGuard&) = delete;
};

/**
 * A point in a stream that other streams, also those of another context, can wait for without the host waiting. It
 * belongs to the context that is current when it is created, and can be recorded in streams of that one only.
 */
class CudaEvent {
public:
    CudaEvent() {
        checkCuda(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING), "create an event");
    }
    ~CudaEvent() {
        cuEventDestroy(event);
    }
    CudaEvent(const CudaEvent&) = delete;
    CudaEvent& operator=(const CudaEvent&) = delete;
    /** Mark what has been put into a stream so far. */
    void record(CUstream stream) {
        checkCuda(cuEventRecord(event, stream), "record an event");
    }
    /** Let what is put into a stream from now on wait for what was marked. The stream's context must be current. */
    void holdBack(CUstream stream) const {
        checkCuda(cuStreamWaitEvent(stream, event, 0), "let a stream wait for another");
    }

private:
    CUevent event = nullptr;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CUDAGUARDS_H_*/
