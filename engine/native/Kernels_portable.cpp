#define VECTOR_BYTES 16
#include "KernelsImpl.h"

namespace OpenMMCG {

extern const Kernels<float> KERNELS_FLOAT_portable = KERNELS<float>;
extern const Kernels<double> KERNELS_DOUBLE_portable = KERNELS<double>;

} // namespace OpenMMCG
