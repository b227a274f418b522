#ifndef OPENMMCG_ENGINE_NATIVE_READOUT_H_
#define OPENMMCG_ENGINE_NATIVE_READOUT_H_

#include "Linear.h"
#include "ThermalFactors.h"

namespace OpenMMCG {

/** A function of each feature that gives its derivative too; one of the kernels. */
template <class Real>
using Activation = void (*)(Real* x, Real* slope, std::size_t count);

/**
 * The energy of a bead from its features h: the channels activation(h R + r) c_k + e_k, added up with factors that
 * depend on the temperature. As these are the same for all beads they are put into one row c and one e beforehand.
 */
template <class Real>
class Readout {
public:
    Readout(const Weights& weights, const NetworkOptions& network, int features, Activation<Real> activation);
    /** Take over the temperature of an evaluation. */
    void prepare(const ModelInput& input);
    bool isThermal() const {
        return factors->areThermal();
    }
    /**
     * Compute energies of beads and their derivatives by the features.
     *
     * @param thermalSlopes  set to the energies' derivatives by the temperature, if isThermal()
     * @param hidden, slope  room for as many rows as there are beads
     */
    void evaluate(const Real* features, int beads, double* energies, double* thermalSlopes, Real* gradient,
                  Real* hidden, Real* slope) const;

private:
    /** What is left of the channels at a temperature. */
    struct Combined {
        AlignedVector<Real> row;
        std::vector<double> weights, bias;
        Combined() = default;
        explicit Combined(int width) : row(width, Real(0)) {}
        void set(const std::vector<double>& factors, const Readout& readout);
        double apply(const Kernels<Real>& kernels, const Real* hidden) const;
    };
    const Kernels<Real>& kernels;
    int width;
    Activation<Real> activation;
    std::unique_ptr<ThermalFactors> factors;
    Linear<Real> layer;
    std::vector<double> channels, biases;
    Combined energy, thermalSlope;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_READOUT_H_*/
