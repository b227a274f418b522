#ifndef OPENMMCG_ENGINE_NATIVE_READOUT_H_
#define OPENMMCG_ENGINE_NATIVE_READOUT_H_

#include "Linear.h"

namespace OpenMMCG {

/** A function of each feature that gives its derivative too; one of the kernels. */
template <class Real>
using Activation = void (*)(Real* x, Real* slope, std::size_t count);

/**
 * The energy of a bead from its features h: activation(h R + r) c + e.
 */
template <class Real>
class Readout {
public:
    Readout(const Weights& weights, int features, Activation<Real> activation);
    /**
     * Compute energies of beads and their derivatives by the features.
     *
     * @param hidden, slope  room for as many rows as there are beads
     */
    void evaluate(const Real* features, int beads, double* energies, Real* gradient, Real* hidden, Real* slope) const;

private:
    const Kernels<Real>& kernels;
    int width;
    Activation<Real> activation;
    Linear<Real> layer;
    AlignedVector<Real> last;
    double bias;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_READOUT_H_*/
