#include "TemperatureCheck.h"
#include "openmm/AndersenThermostat.h"
#include "openmm/BrownianIntegrator.h"
#include "openmm/CompoundIntegrator.h"
#include "openmm/LangevinIntegrator.h"
#include "openmm/LangevinMiddleIntegrator.h"
#include "openmm/NoseHooverIntegrator.h"
#include "openmm/VariableLangevinIntegrator.h"
#include <cmath>
#include <iostream>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

static const double TOLERANCE = 0.05; // K

/** The temperature of an integrator, or a negative number if it keeps none. */
static double temperatureOf(const Integrator& integrator) {
    if (auto middle = dynamic_cast<const LangevinMiddleIntegrator*>(&integrator))
        return middle->getTemperature();
    if (auto langevin = dynamic_cast<const LangevinIntegrator*>(&integrator))
        return langevin->getTemperature();
    if (auto hoover = dynamic_cast<const NoseHooverIntegrator*>(&integrator))
        return hoover->getNumThermostats() > 0 ? hoover->getTemperature() : -1;
    if (auto brownian = dynamic_cast<const BrownianIntegrator*>(&integrator))
        return brownian->getTemperature();
    if (auto variable = dynamic_cast<const VariableLangevinIntegrator*>(&integrator))
        return variable->getTemperature();
    if (auto compound = dynamic_cast<const CompoundIntegrator*>(&integrator))
        return temperatureOf(compound->getIntegrator(compound->getCurrentIntegrator()));
    return -1;
}

static double thermostatTemperature(ContextImpl& context) {
    double temperature = temperatureOf(context.getIntegrator());
    auto& parameters = context.getParameters();
    auto andersen = parameters.find(AndersenThermostat::Temperature());
    return temperature < 0 && andersen != parameters.end() ? andersen->second : temperature;
}

void TemperatureCheck::check(const CGForce& force, ContextImpl& context) {
    auto& parameters = context.getParameters();
    auto parameter = parameters.find(CGForce::Temperature());
    if ((warnedThermostat && warnedRange) || parameter == parameters.end())
        return;
    double own = parameter->second;
    if (!warnedThermostat) {
        double thermostat = thermostatTemperature(context);
        if (thermostat >= 0 && abs(thermostat - own) > TOLERANCE) {
            warnedThermostat = true;
            cerr << "CGForce: warning: the thermostat keeps " << thermostat << " K, but " << CGForce::Temperature()
                 << " is " << own << " K, the temperature that the potential of mean force is evaluated for. Set both "
                 << "to the same value: context.setParameter(CGForce.Temperature(), " << thermostat << ")." << endl;
        }
    }
    auto [low, high] = force.getModel().getTemperatureRange();
    if (!warnedRange && (own < low - TOLERANCE || own > high + TOLERANCE)) {
        warnedRange = true;
        cerr << "CGForce: warning: " << CGForce::Temperature() << " is " << own << " K, but the model was trained at "
             << low << " to " << high << " K; its energies are extrapolated." << endl;
    }
}
