#include "RadialFilters.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

RadialFilters::RadialFilters(const Weights& weights, const NetworkOptions& options, const vector<string>& names)
    : cutoff(options.cutoff), cosine(options.envelope == "cosine"),
      numEdgeTypes(static_cast<int>(weights.get(names[0] + ".coefficients", {-1, -1, -1}).shape[0])),
      basis(RadialBasis::create(weights, options.basis, numEdgeTypes, cutoff)) {
    int functions = basis->getSize();
    vector<const Weights::Tensor*> tables;
    for (auto& name : names) {
        tables.push_back(&weights.get(name + ".coefficients", {numEdgeTypes, functions, -1}));
        numFeatures += static_cast<int>(tables.back()->shape[2]);
    }
    for (int row = 0; row < numEdgeTypes * functions; row++)
        for (auto* table : tables) {
            auto start = table->values.begin() + row * table->shape[2];
            coefficients.insert(coefficients.end(), start, start + table->shape[2]);
        }
}

void RadialFilters::getRange(int edgeType, double& low, double& high) const {
    basis->getRange(edgeType, low, high);
    high = min(high, cutoff);
    if (low >= high) // all functions lie beyond the cutoff
        low = 0.5 * high;
}

/** The envelope and its first two derivatives. */
static array<double, 3> envelope(bool cosine, double distance, double cutoff) {
    double x = min(distance / cutoff, 1.0), x2 = x * x;
    if (cosine)
        return {0.5 + 0.5 * cos(M_PI * x), -0.5 * M_PI * sin(M_PI * x) / cutoff,
                -0.5 * M_PI * M_PI * cos(M_PI * x) / (cutoff * cutoff)};
    return {1 - x2 * x * (10 - 15 * x + 6 * x2), -30 * x2 * (1 - x) * (1 - x) / cutoff,
            -60 * x * (1 - x) * (1 - 2 * x) / (cutoff * cutoff)};
}

void RadialFilters::evaluate(int edgeType, double distance, double* derivatives) const {
    fill(derivatives, derivatives + 3 * static_cast<size_t>(numFeatures), 0.0);
    auto e = envelope(cosine, distance, cutoff);
    for (int n = 0; n < basis->getSize(); n++) {
        auto b = basis->evaluate(edgeType, n, distance);
        double terms[3] = {b[0] * e[0], b[1] * e[0] + b[0] * e[1], b[2] * e[0] + 2 * b[1] * e[1] + b[0] * e[2]};
        if (terms[0] == 0 && terms[1] == 0 && terms[2] == 0)
            continue; // most Gaussians are far away
        const double* c = &coefficients[(static_cast<size_t>(edgeType) * basis->getSize() + n) * numFeatures];
        for (int k = 0; k < 3; k++)
            for (int f = 0; f < numFeatures; f++)
                derivatives[k * numFeatures + f] += c[f] * terms[k];
    }
}
