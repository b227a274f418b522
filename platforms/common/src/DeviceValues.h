#ifndef OPENMMCG_COMMON_DEVICEVALUES_H_
#define OPENMMCG_COMMON_DEVICEVALUES_H_

#include "openmm/common/ComputeArray.h"
#include "openmm/common/ComputeContext.h"
#include "openmmcg/internal/CGKernelSetup.h"
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace OpenMMCG {

/** Whether the kernels' type `mixed` is double. */
inline bool mixedIsDouble(const OpenMM::ComputeContext& cc) {
    return cc.getUseDoublePrecision() || cc.getUseMixedPrecision();
}

/** Create an array of a kernel's type `mixed`, or of vectors of it. */
inline void initializeMixed(OpenMM::ComputeArray& array, OpenMM::ComputeContext& cc, size_t size, int width,
                            const std::string& name) {
    array.initialize(cc, size, width * static_cast<int>(mixedIsDouble(cc) ? sizeof(double) : sizeof(float)), name);
}

/**
 * Create an array, or one of another size in place of it, whose values are lost. If there is not enough memory there is
 * none afterwards, and this can be called again. Kernels that have the array as an argument need it set again.
 */
inline void recreate(std::unique_ptr<OpenMM::ComputeArray>& array, OpenMM::ComputeContext& cc, size_t size,
                     int elementSize, const std::string& name) {
    array.reset(); // There may not be room for both.
    auto created = std::make_unique<OpenMM::ComputeArray>();
    created->initialize(cc, size, elementSize, name);
    array = std::move(created);
}

/** Set an argument of a kernel's type `mixed`. */
inline void setMixedArg(const OpenMM::ComputeContext& cc, const OpenMM::ComputeKernel& kernel, int index,
                        double value) {
    if (mixedIsDouble(cc))
        kernel->setArg(index, value);
    else
        kernel->setArg(index, static_cast<float>(value));
}

/** Set an argument of a kernel's type `mixed4`. */
inline void setMixed4Arg(const OpenMM::ComputeContext& cc, const OpenMM::ComputeKernel& kernel, int index, double x,
                         double y, double z, double w = 0) {
    if (mixedIsDouble(cc))
        kernel->setArg(index, OpenMM::mm_double4(x, y, z, w));
    else
        kernel->setArg(index, OpenMM::mm_float4(static_cast<float>(x), static_cast<float>(y), static_cast<float>(z),
                                                static_cast<float>(w)));
}

/**
 * Set the arguments of three box vectors, and of one over their diagonal elements; the last of the latter is free.
 */
inline void setBoxArgs(const OpenMM::ComputeContext& cc, const OpenMM::ComputeKernel& kernel, int index, const Box& box,
                       double last = 0) {
    setMixed4Arg(cc, kernel, index, box.a[0], box.a[1], box.a[2]);
    setMixed4Arg(cc, kernel, index + 1, box.b[0], box.b[1], box.b[2]);
    setMixed4Arg(cc, kernel, index + 2, box.c[0], box.c[1], box.c[2]);
    setMixed4Arg(cc, kernel, index + 3, 1 / box.a[0], 1 / box.b[1], 1 / box.c[2], last);
}

/** The box that a Context has now. */
inline Box currentBox(const OpenMM::ComputeContext& cc, bool periodic) {
    OpenMM::Vec3 vectors[3];
    cc.getPeriodicBoxVectors(vectors[0], vectors[1], vectors[2]);
    return toBox(vectors, periodic);
}

/** Copy values to an array, which is created or given their number. Devices have no arrays without elements. */
template <class T>
void uploadTo(OpenMM::ComputeArray& array, OpenMM::ComputeContext& cc, std::vector<T> values, const std::string& name) {
    if (values.empty())
        values.resize(1);
    if (!array.isInitialized())
        array.initialize<T>(cc, values.size(), name);
    else if (array.getSize() != values.size())
        array.resize(values.size());
    array.upload(values);
}

/** Copy numbers to an array of the kernels' type `mixed`. */
inline void uploadMixed(OpenMM::ComputeArray& array, OpenMM::ComputeContext& cc, const std::vector<double>& values,
                        const std::string& name) {
    if (mixedIsDouble(cc))
        uploadTo(array, cc, values, name);
    else
        uploadTo(array, cc, std::vector<float>(values.begin(), values.end()), name);
}

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_DEVICEVALUES_H_*/
