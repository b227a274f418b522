#ifndef OPENMMCG_ENGINE_NATIVE_LINEAR_H_
#define OPENMMCG_ENGINE_NATIVE_LINEAR_H_

#include "AlignedVector.h"
#include "Kernels.h"
#include "Weights.h"
#include <string>

namespace OpenMMCG {

/** The number of features that a row has room for. */
constexpr int paddedWidth(int features) {
    return (features + FEATURE_PADDING - 1) / FEATURE_PADDING * FEATURE_PADDING;
}

/** A row-major matrix with rows padded by zeros. */
template <class Real>
AlignedVector<Real> paddedRows(const std::vector<double>& values, int rows, int columns);

/**
 * A square part of a linear layer that takes and gives whole numbers of rows of features: part (o, i) leads from the
 * i-th row that it takes to the o-th that it gives. Most layers have one part.
 */
template <class Real>
class Linear {
public:
    struct Part {
        int output = 0, outputs = 1, input = 0, inputs = 1;
    };
    Linear() = default;
    /**
     * @param name  of the layer whose `weight`, and `bias` if it has one, are read; the bias belongs to the part
     *              with the first input
     */
    Linear(const Weights& weights, const std::string& name, int features, Part part);
    Linear(const Weights& weights, const std::string& name, int features) : Linear(weights, name, features, Part()) {}
    /** result = x * matrix + bias, or add it. */
    void forward(const Real* x, Real* result, int rows, bool accumulate = false) const;
    /** result = gradient * transposed matrix, or add it. */
    void backward(const Real* gradient, Real* result, int rows, bool accumulate = false) const;

private:
    const Kernels<Real>* kernels = nullptr;
    int width = 0;
    AlignedVector<Real> matrix, transposed, bias;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_LINEAR_H_*/
