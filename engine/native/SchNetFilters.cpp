#include "SchNetFilters.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

static const double REACH = 8; // standard deviations beyond which a Gaussian, exp(-32), is nothing

SchNetFilters::SchNetFilters(const Weights& weights, double cutoff) : cutoff(cutoff) {
    auto& table = weights.get("filters.coefficients", {-1, -1, -1});
    numEdgeTypes = static_cast<int>(table.shape[0]);
    numGaussians = static_cast<int>(table.shape[1]);
    numFeatures = static_cast<int>(table.shape[2]);
    coefficients = table.values;
    centers = weights.get("radial_basis.centers", {numEdgeTypes, numGaussians}).values;
    widths = weights.get("radial_basis.widths", {numEdgeTypes, 1}).values;
}

void SchNetFilters::getRange(int edgeType, double& low, double& high) const {
    const double* center = &centers[edgeType * numGaussians];
    low = max(0.0, center[0] - REACH * widths[edgeType]);
    high = min(cutoff, center[numGaussians - 1] + REACH * widths[edgeType]);
    if (low >= high) // all Gaussians lie beyond the cutoff
        low = 0.5 * high;
}

void SchNetFilters::evaluate(int edgeType, double distance, double* derivatives) const {
    double *value = derivatives, *first = value + numFeatures, *second = first + numFeatures;
    fill(derivatives, derivatives + 3 * static_cast<size_t>(numFeatures), 0.0);
    double x = min(distance / cutoff, 1.0), x2 = x * x;
    double envelope = 1 - x2 * x * (10 - 15 * x + 6 * x2);
    double envelope1 = -30 * x2 * (1 - x) * (1 - x) / cutoff;
    double envelope2 = -60 * x * (1 - x) * (1 - 2 * x) / (cutoff * cutoff);
    double inverse = 1 / widths[edgeType];
    for (int k = 0; k < numGaussians; k++) {
        double s = (distance - centers[edgeType * numGaussians + k]) * inverse;
        if (abs(s) > REACH)
            continue;
        double g = exp(-0.5 * s * s), g1 = -s * inverse * g, g2 = (s * s - 1) * inverse * inverse * g;
        double b0 = g * envelope, b1 = g1 * envelope + g * envelope1;
        double b2 = g2 * envelope + 2 * g1 * envelope1 + g * envelope2;
        const double* c = &coefficients[(static_cast<size_t>(edgeType) * numGaussians + k) * numFeatures];
        for (int f = 0; f < numFeatures; f++) {
            value[f] += c[f] * b0;
            first[f] += c[f] * b1;
            second[f] += c[f] * b2;
        }
    }
}
