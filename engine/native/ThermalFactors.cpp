#include "ThermalFactors.h"
#include "openmmcg/engine/ModelFile.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

namespace {

class NoDependence : public ThermalFactors {
public:
    NoDependence() : ThermalFactors(1) {}

protected:
    void compute(double) override {
        values[0] = 1;
    }
};

/** Free energy, entropy and, as a third channel, heat capacity at a reference temperature, all in kJ/mol. */
class Response : public ThermalFactors {
public:
    explicit Response(const NetworkOptions& network)
        : ThermalFactors(network.heatCapacity ? 3 : 2), reference(network.referenceTemperature) {}

protected:
    void compute(double temperature) override {
        double x = (temperature - reference) / reference;
        values[0] = 1;
        values[1] = -x;
        slopes[1] = -1 / reference;
        if (values.size() == 3) {
            values[2] = x - (1 + x) * log1p(x);
            slopes[2] = -log1p(x) / reference;
        }
    }

private:
    double reference;
};

/** Functions g_k(x) - g_k(0) of x = (T - T0) / T0, with a layer of hidden units. */
class TemperatureInput : public ThermalFactors {
public:
    TemperatureInput(const Weights& weights, const NetworkOptions& network)
        : ThermalFactors(1 + static_cast<int>(weights.get("thermal.out", {-1, -1}).shape[0])),
          reference(network.referenceTemperature), weight(weights.get("thermal.weight", {-1}).values),
          bias(weights.get("thermal.bias", {static_cast<int64_t>(weight.size())}).values),
          out(weights.get("thermal.out", {-1, static_cast<int64_t>(weight.size())}).values) {}

protected:
    void compute(double temperature) override {
        double x = (temperature - reference) / reference;
        fill(values.begin(), values.end(), 0.0);
        fill(slopes.begin(), slopes.end(), 0.0);
        values[0] = 1;
        size_t units = weight.size();
        for (size_t k = 1; k < values.size(); k++)
            for (size_t unit = 0; unit < units; unit++) {
                double hidden = tanh(x * weight[unit] + bias[unit]), c = out[(k - 1) * units + unit];
                values[k] += c * (hidden - tanh(bias[unit]));
                slopes[k] += c * (1 - hidden * hidden) * weight[unit] / reference;
            }
    }

private:
    double reference;
    vector<double> weight, bias, out;
};

} // namespace

unique_ptr<ThermalFactors> ThermalFactors::create(const Weights& weights, const NetworkOptions& network) {
    if (network.thermal.empty())
        return make_unique<NoDependence>();
    if (network.thermal == "response")
        return make_unique<Response>(network);
    if (network.thermal == "input")
        return make_unique<TemperatureInput>(weights, network);
    throw ModelError("The native engine has no thermal read-out '" + network.thermal + "'; it has response and input.");
}

bool ThermalFactors::update(const ModelInput& input) {
    double temperature = input.parameters.empty() ? 0.0 : input.parameters[0];
    if (temperature == last)
        return false;
    last = temperature;
    compute(temperature);
    return true;
}

void OpenMMCG::combineChannels(const vector<double>& factors, const vector<double>& rows, vector<double>& result) {
    size_t length = rows.size() / factors.size();
    result.assign(length, 0.0);
    for (size_t k = 0; k < factors.size(); k++)
        for (size_t i = 0; i < length; i++)
            result[i] += factors[k] * rows[k * length + i];
}
