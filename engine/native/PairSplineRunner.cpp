#include "PairSplineRunner.h"
#include "ThreadTeam.h"
#include <algorithm>
#include <cmath>

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
    PairSplineRunner(const Weights& weights, int numTypes, const RunnerOptions& options);
    void evaluate(const ModelInput& input, ModelOutput& output) override;

private:
    void addPairsOf(int bead, const ModelInput& input, ModelOutput& output) const;
    /** Energy and its derivative by the distance. */
    void interpolate(int64_t edgeType, int typePair, double distance, double& energy, double& slope) const;
    int typePairOf(int64_t type1, int64_t type2) const {
        int64_t low = min(type1, type2), high = max(type1, type2);
        return static_cast<int>(low * numTypes - low * (low - 1) / 2 + high - low);
    }
    int numTypes, numTypePairs, numCoefficients;
    vector<double> low, spacing;
    // The polynomial c0 + c1 x + c2 x^2 + c3 x^3 of every interval between knots.
    vector<double> polynomials;
    vector<int64_t> rowStarts;
    ThreadTeam team;
};

PairSplineRunner::PairSplineRunner(const Weights& weights, int numTypes, const RunnerOptions& options)
    : numTypes(numTypes), numTypePairs(numTypes * (numTypes + 1) / 2), team(options.numThreads) {
    auto& table = weights.get("coefficients", {-1, numTypePairs, -1});
    int64_t numEdgeTypes = table.shape[0];
    numCoefficients = static_cast<int>(table.shape[2]);
    low = weights.get("low", {numEdgeTypes}).values;
    spacing = weights.get("spacing", {numEdgeTypes}).values;
    int intervals = numCoefficients + 2;
    for (int64_t row = 0; row < numEdgeTypes * numTypePairs; row++) {
        // The first coefficient is continued to smaller distances, zeros to larger ones.
        vector<double> c(numCoefficients + 5, 0.0);
        copy_n(&table.values[row * numCoefficients], numCoefficients, c.begin() + 2);
        c[0] = c[1] = c[2];
        for (int k = 0; k < intervals; k++)
            for (double value :
                 {(c[k] + 4 * c[k + 1] + c[k + 2]) / 6, (c[k + 2] - c[k]) / 2, (c[k] - 2 * c[k + 1] + c[k + 2]) / 2,
                  (c[k + 3] - c[k] + 3 * (c[k + 1] - c[k + 2])) / 6})
                polynomials.push_back(value);
    }
}

void PairSplineRunner::interpolate(int64_t edgeType, int typePair, double distance, double& energy,
                                   double& slope) const {
    int intervals = numCoefficients + 2;
    double reach = (distance - low[edgeType]) / spacing[edgeType];
    energy = slope = 0;
    if (reach >= intervals)
        return;
    double inside = max(reach, 0.0);
    int k = static_cast<int>(inside);
    double x = inside - k;
    const double* c = &polynomials[4 * ((edgeType * numTypePairs + typePair) * intervals + k)];
    energy = c[0] + x * (c[1] + x * (c[2] + x * c[3]));
    if (reach > 0)
        slope = (c[1] + x * (2 * c[2] + x * 3 * c[3])) / spacing[edgeType];
}

void PairSplineRunner::addPairsOf(int bead, const ModelInput& input, ModelOutput& output) const {
    const int64_t* second = input.pairs.indices.data() + input.pairs.size;
    double total = 0, force[3] = {0, 0, 0};
    for (int64_t p = rowStarts[bead]; p < rowStarts[bead + 1]; p++) {
        double vector[3], square = 0;
        for (int k = 0; k < 3; k++) {
            vector[k] =
                input.positions[3 * second[p] + k] + input.pairs.shifts[3 * p + k] - input.positions[3 * bead + k];
            square += vector[k] * vector[k];
        }
        double distance = max(sqrt(square), COINCIDENT), energy, slope;
        interpolate(input.pairs.edgeTypes[p], typePairOf(input.types[bead], input.types[second[p]]), distance, energy,
                    slope);
        total += 0.5 * energy;
        if (square > COINCIDENT * COINCIDENT)
            for (int k = 0; k < 3; k++)
                force[k] += slope * vector[k] / distance;
    }
    output.beadEnergies[bead] = total;
    copy_n(force, 3, output.forces.data() + 3 * bead);
}

void PairSplineRunner::evaluate(const ModelInput& input, ModelOutput& output) {
    int numBeads = static_cast<int>(input.types.size());
    output.beadEnergies.resize(numBeads);
    output.forces.resize(3 * input.types.size());
    output.parameterDerivatives.assign(input.parameters.size(), 0.0);
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
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createPairSplineRunner(const Weights& weights, const NetworkOptions& network,
                                                         const RunnerOptions& options) {
    return make_unique<PairSplineRunner>(weights, network.numBeadTypes, options);
}
