#ifndef OPENMMCG_COMMON_DEVICEBUFFER_H_
#define OPENMMCG_COMMON_DEVICEBUFFER_H_

#include "openmm/common/ArrayInterface.h"
#include "openmm/common/ComputeKernel.h"
#include <cstdint>

namespace OpenMMCG {

/**
 * A piece of device memory that kernels read or write: either one of OpenMM's arrays, or memory that somebody else,
 * such as PyTorch, owns on the same device.
 */
class DeviceBuffer {
public:
    DeviceBuffer() = default;
    /** Use an array, which must live as long as this object. */
    explicit DeviceBuffer(OpenMM::ArrayInterface& array) : array(&array) {}
    /** Use memory at an address of the device. */
    explicit DeviceBuffer(void* address) : address(reinterpret_cast<uintptr_t>(address)) {}
    /** The array, or null if this is foreign memory. */
    OpenMM::ArrayInterface* getArray() const {
        return array;
    }
    /** Make this the argument of a kernel. The kernel must have an argument of that index already. */
    void setArg(const OpenMM::ComputeKernel& kernel, int index) const {
        if (array != nullptr)
            kernel->setArg(index, *array);
        else
            kernel->setArg(index, address);
    }

private:
    OpenMM::ArrayInterface* array = nullptr;
    uintptr_t address = 0;
};

/**
 * What a model reads and returns, on the device. Real numbers have the type of the model (see
 * CommonCalcCGForceKernel::modelIsDouble()), integers 64 bits; arrays are contiguous, with the shapes of the contract
 * of `forward`.
 */
struct ModelBuffers {
    /** [N, 3] bead positions in nm; written by OpenMM-CG's kernels. */
    DeviceBuffer positions;
    /** [2, P], [P, 3] and [P]; written by OpenMM-CG's kernels. Unused by models that take positions alone. */
    DeviceBuffer pairs, shifts, edgeTypes;
    /** [N, 3] forces on the beads in kJ/mol/nm; written by the model. */
    DeviceBuffer forces;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_DEVICEBUFFER_H_*/
