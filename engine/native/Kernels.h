#ifndef OPENMMCG_ENGINE_NATIVE_KERNELS_H_
#define OPENMMCG_ENGINE_NATIVE_KERNELS_H_

#include <cstddef>

namespace OpenMMCG {

/** Rows of features are padded with zeros to a multiple of this number. */
constexpr int FEATURE_PADDING = 16;

/** How many rows of a filter table a filter is made of: value and derivatives at two neighbouring nodes. */
template <class Real>
constexpr int TABLE_ROWS = sizeof(Real) == 4 ? 4 : 6;

/**
 * Pairs of beads, and where in a filter table each pair's filter lies.
 */
template <class Real>
struct FilterPairs {
    int count;
    const int* first;
    const int* second;
    /** For each pair, the offset in the table of the first of TABLE_ROWS rows of features. */
    const std::size_t* offset;
    /** For each pair, TABLE_ROWS factors that make the filter from these rows. */
    const Real* value;
    /** For each pair, TABLE_ROWS factors that make the filter's derivative by the distance. */
    const Real* slope;
};

/**
 * The inner loops of the native engine, compiled once for each instruction set. All matrices are
 * row-major with rows of `width` features, a multiple of FEATURE_PADDING, and aligned to 64 bytes.
 */
template <class Real>
struct Kernels {
    /**
     * result = a * b, with a of rows x width and b of width x width; a bias is added to each row
     * unless it is null, and the old content of result where `accumulate` is set.
     */
    void (*multiply)(const Real* a, const Real* b, const Real* bias, Real* result, int rows, int width,
                     bool accumulate);
    /** x = tanh(x). */
    void (*tanh)(Real* x, std::size_t count);
    /** gradient *= 1 - y*y, where y is what tanh gave. */
    void (*tanhBackward)(Real* gradient, const Real* y, std::size_t count);
    /** The scalar product of two rows. */
    Real (*dot)(const Real* a, const Real* b, int width);
    /**
     * Pass messages along pairs: received[first] += W * sent[second], and for pairs with both ends
     * in the same block also received[second] += W * sent[first].
     */
    void (*messages)(const FilterPairs<Real>& pairs, bool bothEnds, const Real* table, int width, const Real* sent,
                     Real* received);
    /**
     * The derivatives of what `messages` did. `gradient` is that of `received`. Adds to each pair's entry
     * of `distanceGradient`, and, unless it is null, to `sentGradient`.
     */
    void (*messagesBackward)(const FilterPairs<Real>& pairs, bool bothEnds, const Real* table, int width,
                             const Real* sent, const Real* gradient, Real* sentGradient, Real* distanceGradient);
};

/** The kernels for this machine's processor. */
template <class Real>
const Kernels<Real>& getKernels();

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_KERNELS_H_*/
