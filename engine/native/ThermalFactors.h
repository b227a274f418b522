#ifndef OPENMMCG_ENGINE_NATIVE_THERMALFACTORS_H_
#define OPENMMCG_ENGINE_NATIVE_THERMALFACTORS_H_

#include "NetworkOptions.h"
#include "Weights.h"
#include "openmmcg/engine/ModelRunner.h"
#include <memory>
#include <vector>

namespace OpenMMCG {

/**
 * How energies depend on the temperature (openmmcg.models.thermal): a network reads several channels out of a bead, and
 * the energy is their sum with factors that are functions of the temperature. A network whose energy does not depend on
 * it has one channel with the factor 1.
 */
class ThermalFactors {
public:
    virtual ~ThermalFactors() = default;
    static std::unique_ptr<ThermalFactors> create(const Weights& weights, const NetworkOptions& network);
    int getNumChannels() const {
        return static_cast<int>(values.size());
    }
    /** Whether the energy depends on the temperature. */
    bool areThermal() const {
        return values.size() > 1;
    }
    /**
     * Find the factors at the temperature of an evaluation, which is its first parameter.
     *
     * @return whether they have changed since the last call
     */
    bool update(const ModelInput& input);
    const std::vector<double>& getValues() const {
        return values;
    }
    /** The derivatives of the factors by the temperature, in 1/K. */
    const std::vector<double>& getSlopes() const {
        return slopes;
    }

protected:
    explicit ThermalFactors(int channels) : values(channels), slopes(channels) {}
    /** Set values and slopes at a temperature in K. */
    virtual void compute(double temperature) = 0;
    std::vector<double> values, slopes;

private:
    double last = -1; // K, which no temperature is
};

/** Rows of numbers, one for each channel, added up with factors. */
void combineChannels(const std::vector<double>& factors, const std::vector<double>& rows, std::vector<double>& result);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_THERMALFACTORS_H_*/
