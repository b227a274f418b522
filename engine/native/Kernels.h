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
    /** For each pair, the unit vector from the first to the second bead. */
    const double* direction;
};

/**
 * What beads send as vectors: factors of the direction to them, and vectors of their own times factors.
 */
template <class Real>
struct SentVectors {
    /** Filters and factors (one row a bead) of directions. */
    const Real* alongTable;
    const Real* along;
    /** Filters and factors of the vectors (three rows a bead); all null if they are zero. */
    const Real* carriedTable;
    const Real* carried;
    const Real* vectors;
};

/**
 * Where gradients of what is sent are added; all null if they are not needed.
 */
template <class Real>
struct SentVectorsGradient {
    Real* along;
    Real* carried;
    Real* vectors;
};

/**
 * The inner loops of the native engine, compiled once for each instruction set. All matrices are
 * row-major with rows of `width` features, a multiple of FEATURE_PADDING, and aligned to 64 bytes.
 * Vectors are three rows, for x, y and z.
 */
template <class Real>
struct Kernels {
    /**
     * result = a * b, with a of rows x width and b of width x width; a bias is added to each row
     * unless it is null, and the old content of result where `accumulate` is set.
     */
    void (*multiply)(const Real* a, const Real* b, const Real* bias, Real* result, int rows, int width,
                     bool accumulate);
    /** x = tanh(x), and the derivative of it. */
    void (*tanh)(Real* x, Real* slope, std::size_t count);
    /** x = x / (1 + exp(-x)), and the derivative of it. */
    void (*silu)(Real* x, Real* slope, std::size_t count);
    /** The scalar product of two rows. */
    Real (*dot)(const Real* a, const Real* b, int width);
    /** Multiply each of a bead's `parts` rows by its row of factors; result may be `rows`. */
    void (*scale)(const Real* factors, const Real* rows, Real* result, int beads, int parts, int width,
                  bool accumulate);
    /** result = a . b for the vectors of each bead. */
    void (*contract)(const Real* a, const Real* b, Real* result, int beads, int width);
    /** result = sqrt(|v|^2 + bend^2) - bend, which is smooth where the vector vanishes. */
    void (*softNorm)(const Real* vectors, Real bend, Real* result, int beads, int width);
    /** Add to the vectors' gradient what comes from that of their softNorm. */
    void (*softNormBackward)(const Real* vectors, Real bend, const Real* gradient, Real* vectorsGradient, int beads,
                             int width);
    /** result = a . (b x c) with vectors damped to v / sqrt(1 + |v|^2). */
    void (*tripleProducts)(const Real* a, const Real* b, const Real* c, Real* result, int beads, int width);
    /** Replace the vectors by the gradients that come from that of their triple products. */
    void (*tripleProductsBackward)(Real* a, Real* b, Real* c, const Real* gradient, int beads, int width);
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
    /**
     * Pass vectors along pairs: received[first] += W * along[second] * direction + V * carried[second] *
     * vectors[second], and the other way round, where the direction is the opposite, as in `messages`.
     */
    void (*vectorMessages)(const FilterPairs<Real>& pairs, bool bothEnds, const SentVectors<Real>& sent, int width,
                           Real* received);
    /** The derivatives of what `vectorMessages` did, also by the three components of each pair's direction. */
    void (*vectorMessagesBackward)(const FilterPairs<Real>& pairs, bool bothEnds, const SentVectors<Real>& sent,
                                   int width, const Real* gradient, const SentVectorsGradient<Real>& sentGradient,
                                   Real* distanceGradient, Real* directionGradient);
};

/** The kernels for this machine's processor. */
template <class Real>
const Kernels<Real>& getKernels();

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_KERNELS_H_*/
