#include "PairSplineRunner.h"
#include "ThermalFactors.h"
#include "ThreadTeam.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace OpenMMCG;
using namespace std;

namespace {

static const double COINCIDENT = 1e-7;

/**
 * Every bead sums over its own pairs, so that no two threads write to the same place and the order of sums does
 * not depend on their number. Arithmetic is in double precision whatever is asked for: it costs next to nothing.
 */
class PairSplineRunner : public ModelRunner {
public:
    PairSplineRunner(const Weights& weights, const NetworkOptions& network, const RunnerOptions& options);
    void evaluate(const ModelInput& input, ModelOutput& output) override;

private:
    void addPairsOf(int bead, const ModelInput& input, ModelOutput& output);
    /** A pair's energy and its derivatives by the distance and by the temperature. */
    void interpolate(int64_t edgeType, int typePair, double distance, double& energy, double& slope,
                     double& thermalSlope) const;
    int typePairOf(int64_t type1, int64_t type2) const {
        int64_t low = min(type1, type2), high = max(type1, type2);
        return static_cast<int>(low * numTypes - low * (low - 1) / 2 + high - low);
    }
    int numTypes, numTypePairs, numCoefficients;
    vector<double> low, spacing;
    unique_ptr<ThermalFactors> factors;
    // The polynomial c0 + c1 x + c2 x^2 + c3 x^3 of every interval between knots: of all channels one after the other,
    // of the energy at the last temperature, and of its derivative by the temperature.
    vector<double> channels, polynomials, thermalPolynomials;
    vector<double> thermalSlopes;
    vector<int64_t> rowStarts;
    ThreadTeam team;
};

PairSplineRunner::PairSplineRunner(const Weights& weights, const NetworkOptions& network, const RunnerOptions& options)
    : numTypes(network.numBeadTypes), numTypePairs(numTypes * (numTypes + 1) / 2),
      factors(ThermalFactors::create(weights, network)), team(options.numThreads) {
    low = weights.get("low", {-1}).values;
    int64_t numEdgeTypes = static_cast<int64_t>(low.size());
    auto& table = weights.get("coefficients", {factors->getNumChannels() * numEdgeTypes, numTypePairs, -1});
    numCoefficients = static_cast<int>(table.shape[2]);
    spacing = weights.get("spacing", {numEdgeTypes}).values;
    int intervals = numCoefficients + 2;
    for (int64_t row = 0; row < table.shape[0] * numTypePairs; row++) {
        // The first coefficient is continued to smaller distances, zeros to larger ones.
        vector<double> c(numCoefficients + 5, 0.0);
        copy_n(&table.values[row * numCoefficients], numCoefficients, c.begin() + 2);
        c[0] = c[1] = c[2];
        for (int k = 0; k < intervals; k++)
            for (double value :
                 {(c[k] + 4 * c[k + 1] + c[k + 2]) / 6, (c[k + 2] - c[k]) / 2, (c[k] - 2 * c[k + 1] + c[k + 2]) / 2,
                  (c[k + 3] - c[k] + 3 * (c[k + 1] - c[k + 2])) / 6})
                channels.push_back(value);
    }
}

void PairSplineRunner::interpolate(int64_t edgeType, int typePair, double distance, double& energy, double& slope,
                                   double& thermalSlope) const {
    int intervals = numCoefficients + 2;
    double reach = (distance - low[edgeType]) / spacing[edgeType];
    energy = slope = thermalSlope = 0;
    if (reach >= intervals)
        return;
    double inside = max(reach, 0.0);
    int k = static_cast<int>(inside);
    double x = inside - k;
    size_t start = 4 * ((edgeType * numTypePairs + typePair) * intervals + k);
    const double* c = &polynomials[start];
    energy = c[0] + x * (c[1] + x * (c[2] + x * c[3]));
    if (reach > 0)
        slope = (c[1] + x * (2 * c[2] + x * 3 * c[3])) / spacing[edgeType];
    if (factors->areThermal()) {
        const double* t = &thermalPolynomials[start];
        thermalSlope = t[0] + x * (t[1] + x * (t[2] + x * t[3]));
    }
}

void PairSplineRunner::addPairsOf(int bead, const ModelInput& input, ModelOutput& output) {
    const int64_t* second = input.pairs.indices.data() + input.pairs.size;
    double total = 0, thermalTotal = 0, force[3] = {0, 0, 0};
    for (int64_t p = rowStarts[bead]; p < rowStarts[bead + 1]; p++) {
        double vector[3], square = 0;
        for (int k = 0; k < 3; k++) {
            vector[k] =
                input.positions[3 * second[p] + k] + input.pairs.shifts[3 * p + k] - input.positions[3 * bead + k];
            square += vector[k] * vector[k];
        }
        double distance = max(sqrt(square), COINCIDENT), energy, slope, thermalSlope;
        interpolate(input.pairs.edgeTypes[p], typePairOf(input.types[bead], input.types[second[p]]), distance, energy,
                    slope, thermalSlope);
        total += 0.5 * energy;
        thermalTotal += 0.5 * thermalSlope;
        if (square > COINCIDENT * COINCIDENT)
            for (int k = 0; k < 3; k++)
                force[k] += slope * vector[k] / distance;
    }
    output.beadEnergies[bead] = total;
    thermalSlopes[bead] = thermalTotal;
    copy_n(force, 3, output.forces.data() + 3 * bead);
}

void PairSplineRunner::evaluate(const ModelInput& input, ModelOutput& output) {
    int numBeads = static_cast<int>(input.types.size());
    output.beadEnergies.resize(numBeads);
    output.forces.resize(3 * input.types.size());
    output.parameterDerivatives.assign(input.parameters.size(), 0.0);
    thermalSlopes.resize(numBeads);
    if (factors->update(input)) {
        combineChannels(factors->getValues(), channels, polynomials);
        combineChannels(factors->getSlopes(), channels, thermalPolynomials);
    }
    input.pairs.findRows(numBeads, rowStarts);
    team.run([&](int thread, int numThreads) {
        int64_t begin = static_cast<int64_t>(numBeads) * thread / numThreads;
        int64_t end = static_cast<int64_t>(numBeads) * (thread + 1) / numThreads;
        for (int64_t bead = begin; bead < end; bead++)
            addPairsOf(static_cast<int>(bead), input, output);
    });
    output.energy = 0;
    for (double energy : output.beadEnergies)
        output.energy += energy;
    if (factors->areThermal())
        output.parameterDerivatives[0] = accumulate(thermalSlopes.begin(), thermalSlopes.end(), 0.0);
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createPairSplineRunner(const Weights& weights, const NetworkOptions& network,
                                                         const RunnerOptions& options) {
    return make_unique<PairSplineRunner>(weights, network, options);
}
