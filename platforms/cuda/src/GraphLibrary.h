#ifndef OPENMMCG_GRAPHLIBRARY_H_
#define OPENMMCG_GRAPHLIBRARY_H_

#include "DeviceModel.h"
#include <string>

namespace OpenMMCG {

/**
 * Find what records the work of CUDA devices. It needs libraries that only PyTorch with CUDA has, so it stands in a
 * library of its own, libOpenMMCGGraphs, which is opened when this is called for the first time.
 *
 * @param mode  the value of the property "cudaGraphs"
 */
GraphOptions findGraphs(const std::string& mode);

} // namespace OpenMMCG

#endif /*OPENMMCG_GRAPHLIBRARY_H_*/
