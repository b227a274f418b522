#define VECTOR_BYTES 64
#include "KernelsImpl.h"

namespace OpenMMCG {

extern const Kernels<float> KERNELS_FLOAT_avx512 = KERNELS<float>;
extern const Kernels<double> KERNELS_DOUBLE_avx512 = KERNELS<double>;

} // namespace OpenMMCG
