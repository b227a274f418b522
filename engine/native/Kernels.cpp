#include "Kernels.h"

namespace OpenMMCG {

extern const Kernels<float> KERNELS_FLOAT_portable;
extern const Kernels<double> KERNELS_DOUBLE_portable;
#ifdef OPENMMCG_X86_KERNELS
extern const Kernels<float> KERNELS_FLOAT_avx2, KERNELS_FLOAT_avx512;
extern const Kernels<double> KERNELS_DOUBLE_avx2, KERNELS_DOUBLE_avx512;
#endif

namespace {

struct Choice {
    const Kernels<float>& single;
    const Kernels<double>& full;
};

Choice choose() {
#ifdef OPENMMCG_X86_KERNELS
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return {KERNELS_FLOAT_avx512, KERNELS_DOUBLE_avx512};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return {KERNELS_FLOAT_avx2, KERNELS_DOUBLE_avx2};
#endif
    return {KERNELS_FLOAT_portable, KERNELS_DOUBLE_portable};
}

const Choice& chosen() {
    static const Choice choice = choose();
    return choice;
}

} // namespace

template <>
const Kernels<float>& getKernels<float>() {
    return chosen().single;
}

template <>
const Kernels<double>& getKernels<double>() {
    return chosen().full;
}

} // namespace OpenMMCG
