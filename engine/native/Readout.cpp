#include "Readout.h"
#include <algorithm>

using namespace OpenMMCG;
using namespace std;

template <class Real>
Readout<Real>::Readout(const Weights& weights, const NetworkOptions& network, int features, Activation<Real> activation)
    : kernels(getKernels<Real>()), width(paddedWidth(features)), activation(activation),
      factors(ThermalFactors::create(weights, network)), layer(weights, "readout.0", features),
      channels(weights.get("readout.2.weight", {factors->getNumChannels(), features}).values),
      biases(weights.get("readout.2.bias", {factors->getNumChannels()}).values), energy(width), thermalSlope(width) {}

template <class Real>
void Readout<Real>::Combined::set(const vector<double>& factors, const Readout& readout) {
    combineChannels(factors, readout.channels, weights);
    combineChannels(factors, readout.biases, bias);
    copy(weights.begin(), weights.end(), row.begin());
}

template <class Real>
double Readout<Real>::Combined::apply(const Kernels<Real>& kernels, const Real* hidden) const {
    return bias[0] + static_cast<double>(kernels.dot(hidden, row.data(), static_cast<int>(row.size())));
}

template <class Real>
void Readout<Real>::prepare(const ModelInput& input) {
    if (!factors->update(input))
        return;
    energy.set(factors->getValues(), *this);
    thermalSlope.set(factors->getSlopes(), *this);
}

template <class Real>
void Readout<Real>::evaluate(const Real* features, int beads, double* energies, double* thermalSlopes, Real* gradient,
                             Real* hidden, Real* slope) const {
    layer.forward(features, hidden, beads);
    activation(hidden, slope, static_cast<size_t>(beads) * width);
    for (int i = 0; i < beads; i++) {
        Real *row = hidden + static_cast<size_t>(i) * width, *rowSlope = slope + static_cast<size_t>(i) * width;
        energies[i] = energy.apply(kernels, row);
        if (isThermal())
            thermalSlopes[i] = thermalSlope.apply(kernels, row);
        kernels.scale(energy.row.data(), rowSlope, row, 1, 1, width, false);
    }
    layer.backward(hidden, gradient, beads);
}

template class OpenMMCG::Readout<float>;
template class OpenMMCG::Readout<double>;
