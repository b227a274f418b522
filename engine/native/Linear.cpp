#include "Linear.h"

using namespace OpenMMCG;
using namespace std;

template <class Real>
AlignedVector<Real> OpenMMCG::paddedRows(const vector<double>& values, int rows, int columns) {
    size_t width = paddedWidth(columns);
    AlignedVector<Real> result(rows * width, Real(0));
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            result[r * width + c] = static_cast<Real>(values[static_cast<size_t>(r) * columns + c]);
    return result;
}

template <class Real>
Linear<Real>::Linear(const Weights& weights, const string& name, int features, Part part)
    : kernels(&getKernels<Real>()), width(paddedWidth(features)) {
    int columns = features * part.inputs;
    auto& values = weights.get(name + ".weight", {features * part.outputs, columns}).values; // (out, in)
    matrix.assign(static_cast<size_t>(width) * width, Real(0));
    transposed.assign(matrix.size(), Real(0));
    for (int out = 0; out < features; out++)
        for (int in = 0; in < features; in++) {
            size_t row = static_cast<size_t>(part.output) * features + out;
            Real value = static_cast<Real>(values[row * columns + part.input * features + in]);
            transposed[static_cast<size_t>(out) * width + in] = value;
            matrix[static_cast<size_t>(in) * width + out] = value;
        }
    if (part.input == 0 && weights.has(name + ".bias")) {
        auto& biases = weights.get(name + ".bias", {features * part.outputs}).values;
        auto start = biases.begin() + part.output * features;
        bias = paddedRows<Real>(vector<double>(start, start + features), 1, features);
    }
}

template <class Real>
void Linear<Real>::forward(const Real* x, Real* result, int rows, bool accumulate) const {
    kernels->multiply(x, matrix.data(), bias.empty() ? nullptr : bias.data(), result, rows, width, accumulate);
}

template <class Real>
void Linear<Real>::backward(const Real* gradient, Real* result, int rows, bool accumulate) const {
    kernels->multiply(gradient, transposed.data(), nullptr, result, rows, width, accumulate);
}

template AlignedVector<float> OpenMMCG::paddedRows(const vector<double>&, int, int);
template AlignedVector<double> OpenMMCG::paddedRows(const vector<double>&, int, int);
template class OpenMMCG::Linear<float>;
template class OpenMMCG::Linear<double>;
