#ifndef OPENMMCG_TEMPERATURECHECK_H_
#define OPENMMCG_TEMPERATURECHECK_H_

#include "openmm/internal/ContextImpl.h"
#include "openmmcg/CGForce.h"
#include <atomic>

namespace OpenMMCG {

/**
 * Warns on the standard error, once each, if the thermostat of a simulation and the force have different temperatures,
 * or the force's is outside of those that the model was trained for.
 *
 * A potential of mean force belongs to one temperature, so both are mistakes more often than not, but neither is an
 * error: energies at other temperatures are what replica exchange needs. Hence only time steps are looked at. A force
 * has one such object for all its Contexts, as a simulation may make or reinitialise many of them.
 */
class TemperatureCheck {
public:
    /** To be called at every time step. */
    void check(const CGForce& force, OpenMM::ContextImpl& context);

private:
    std::atomic<bool> warnedThermostat{false}, warnedRange{false}; // Contexts may be in several threads
};

} // namespace OpenMMCG

#endif /*OPENMMCG_TEMPERATURECHECK_H_*/
