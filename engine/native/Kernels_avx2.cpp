#define VECTOR_BYTES 32
#include "KernelsImpl.h"

namespace OpenMMCG {

extern const Kernels<float> KERNELS_FLOAT_avx2 = KERNELS<float>;
extern const Kernels<double> KERNELS_DOUBLE_avx2 = KERNELS<double>;

} // namespace OpenMMCG
