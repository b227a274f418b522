// Vectors of numbers that fill a register, of VECTOR_BYTES. Everything here lies in an unnamed namespace and uses no
// inline function of the standard library: the linker may keep one copy only of such a function, for a processor that
// may not be ours.

#include "Kernels.h"
#include <cstdint>

namespace {

using OpenMMCG::TABLE_ROWS;

template <class Real>
struct VectorOf;
template <>
struct VectorOf<float> {
    typedef float type __attribute__((vector_size(VECTOR_BYTES)));
    typedef float unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
};
template <>
struct VectorOf<double> {
    typedef double type __attribute__((vector_size(VECTOR_BYTES)));
    typedef double unaligned __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
};

template <class Real>
using Vector = typename VectorOf<Real>::type;

template <class Real>
constexpr int LANES = VECTOR_BYTES / sizeof(Real);

template <class Real>
inline Vector<Real> load(const Real* address) {
    return *reinterpret_cast<const typename VectorOf<Real>::unaligned*>(address);
}

template <class Real>
inline void store(Real* address, Vector<Real> value) {
    *reinterpret_cast<typename VectorOf<Real>::unaligned*>(address) = value;
}

template <class Real>
inline Real sum(Vector<Real> value) {
    Real total = value[0];
    for (int lane = 1; lane < LANES<Real>; lane++)
        total += value[lane];
    return total;
}

template <class Real>
inline Vector<Real> interpolate(const Real* rows, int width, const Real* factors) {
    Vector<Real> total = factors[0] * load(rows);
    for (int r = 1; r < TABLE_ROWS<Real>; r++)
        total += factors[r] * load(rows + r * width);
    return total;
}

} // namespace
