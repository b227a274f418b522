#include "Readout.h"
#include <algorithm>

using namespace OpenMMCG;
using namespace std;

template <class Real>
Readout<Real>::Readout(const Weights& weights, int features, Activation<Real> activation)
    : kernels(getKernels<Real>()), width(paddedWidth(features)), activation(activation),
      layer(weights, "readout.0", features),
      last(paddedRows<Real>(weights.get("readout.2.weight", {1, features}).values, 1, features)),
      bias(weights.get("readout.2.bias", {1}).values[0]) {}

template <class Real>
void Readout<Real>::evaluate(const Real* features, int beads, double* energies, Real* gradient, Real* hidden,
                             Real* slope) const {
    layer.forward(features, hidden, beads);
    activation(hidden, slope, static_cast<size_t>(beads) * width);
    for (int i = 0; i < beads; i++)
        energies[i] =
            bias + static_cast<double>(kernels.dot(hidden + static_cast<size_t>(i) * width, last.data(), width));
    for (int i = 0; i < beads; i++)
        kernels.scale(last.data(), slope + static_cast<size_t>(i) * width, hidden + static_cast<size_t>(i) * width, 1,
                      1, width, false);
    layer.backward(hidden, gradient, beads);
}

template class OpenMMCG::Readout<float>;
template class OpenMMCG::Readout<double>;
