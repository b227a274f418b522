#include "FilterTable.h"
#include "openmmcg/engine/ModelFile.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

/** The first distance between nodes, as a part of the resolution; finer grids make tables that fit no cache. */
template <class Real>
constexpr double FIRST_SPACING = sizeof(Real) == 4 ? 1.0 / 20 : 1.0 / 14;
static const int MAX_HALVINGS = 6;
static const int CHECKED_INTERVALS = 150;

/** The number of features a row of the table has. */
static int padded(int features) {
    return (features + FEATURE_PADDING - 1) / FEATURE_PADDING * FEATURE_PADDING;
}

template <class Real>
FilterTable<Real>::FilterTable(const FilterFunctions& filters, int layers)
    : layers(layers), features(filters.getNumFeatures() / layers), width(padded(features)) {
    int edgeTypes = filters.getNumEdgeTypes();
    vector<double> spacings(edgeTypes);
    for (int e = 0; e < edgeTypes; e++)
        spacings[e] = filters.getResolution(e) * FIRST_SPACING<Real>;
    for (int halvings = 0;; halvings++) {
        layOut(filters, spacings);
        double worst = 0;
        for (int e = 0; e < edgeTypes; e++) {
            fill(filters, e);
            double error = findError(filters, e);
            if (error > 1)
                spacings[e] /= 2;
            worst = max(worst, error);
        }
        if (worst <= 1)
            return;
        if (halvings == MAX_HALVINGS)
            throw ModelError("The model's filters vary too quickly to be tabulated (error " + to_string(worst) +
                             " times what is tolerated). Set the property 'runner' of the CGForce to 'torchscript'.");
    }
}

template <class Real>
void FilterTable<Real>::layOut(const FilterFunctions& filters, const vector<double>& spacings) {
    grids.clear();
    size_t start = 0;
    for (size_t e = 0; e < spacings.size(); e++) {
        Grid grid;
        filters.getRange(e, grid.low, grid.high);
        int intervals = max(1, static_cast<int>(ceil((grid.high - grid.low) / spacings[e])));
        grid.spacing = (grid.high - grid.low) / intervals;
        grid.nodes = intervals + 1;
        grid.start = start;
        start += static_cast<size_t>(grid.nodes) * TERMS * width;
        grids.push_back(grid);
    }
    layerStride = start;
    data.assign(layerStride * layers, Real(0));
}

template <class Real>
void FilterTable<Real>::fill(const FilterFunctions& filters, int edgeType) {
    const Grid& grid = grids[edgeType];
    vector<double> exact(3 * static_cast<size_t>(filters.getNumFeatures()));
    for (int node = 0; node < grid.nodes; node++) {
        filters.evaluate(edgeType, grid.low + node * grid.spacing, exact.data());
        for (int layer = 0; layer < layers; layer++)
            for (int term = 0; term < TERMS; term++) {
                const double* from =
                    exact.data() + static_cast<size_t>(term) * filters.getNumFeatures() + layer * features;
                Real* row =
                    data.data() + layer * layerStride + grid.start + (static_cast<size_t>(node) * TERMS + term) * width;
                for (int f = 0; f < features; f++)
                    row[f] = static_cast<Real>(from[f]);
            }
    }
}

template <class Real>
double FilterTable<Real>::findError(const FilterFunctions& filters, int edgeType) const {
    const Grid& grid = grids[edgeType];
    int total = filters.getNumFeatures();
    vector<double> exact(3 * static_cast<size_t>(total));
    double largestValue = 0, largestSlope = 0, worstValue = 0, worstSlope = 0;
    int stride = max(1, grid.nodes / CHECKED_INTERVALS);
    for (int node = 0; node < grid.nodes - 1; node += stride) {
        double distance = grid.low + (node + 0.37) * grid.spacing; // neither a node nor a point of symmetry
        filters.evaluate(edgeType, distance, exact.data());
        size_t offset;
        Real value[TABLE_ROWS<Real>], slope[TABLE_ROWS<Real>];
        if (!locate(edgeType, distance, offset, value, slope))
            continue;
        for (int layer = 0; layer < layers; layer++) {
            const Real* rows = getLayer(layer) + offset;
            for (int f = 0; f < features; f++) {
                double foundValue = 0, foundSlope = 0;
                for (int r = 0; r < TABLE_ROWS<Real>; r++) {
                    foundValue += static_cast<double>(value[r]) * rows[r * width + f];
                    foundSlope += static_cast<double>(slope[r]) * rows[r * width + f];
                }
                double wantedValue = exact[layer * features + f], wantedSlope = exact[total + layer * features + f];
                worstValue = max(worstValue, abs(foundValue - wantedValue));
                worstSlope = max(worstSlope, abs(foundSlope - wantedSlope));
                largestValue = max(largestValue, abs(wantedValue));
                largestSlope = max(largestSlope, abs(wantedSlope));
            }
        }
    }
    double relativeValue = largestValue > 0 ? worstValue / largestValue : 0;
    double relativeSlope = largestSlope > 0 ? worstSlope / largestSlope : 0;
    return max(relativeValue / VALUE_TOLERANCE, relativeSlope / SLOPE_TOLERANCE);
}

template <class Real>
bool FilterTable<Real>::locate(int edgeType, double distance, size_t& offset, Real* value, Real* slope) const {
    const Grid& grid = grids[edgeType];
    if (!(distance >= grid.low && distance < grid.high))
        return false;
    double place = (distance - grid.low) / grid.spacing;
    int node = min(static_cast<int>(place), grid.nodes - 2);
    offset = grid.start + static_cast<size_t>(node) * TERMS * width;
    hermite(place - node, grid.spacing, value, slope);
    return true;
}

/** Hermite polynomials of s in [0, 1] and their derivatives, for an interval of length h. */
template <>
void FilterTable<float>::hermite(double s, double h, float* value, float* slope) {
    double r = 1 - s, bend = 6 * s * r;
    value[0] = static_cast<float>((1 + 2 * s) * r * r);
    value[1] = static_cast<float>(s * r * r * h);
    value[2] = static_cast<float>(s * s * (3 - 2 * s));
    value[3] = static_cast<float>(-s * s * r * h);
    slope[0] = static_cast<float>(-bend / h);
    slope[1] = static_cast<float>(r * (1 - 3 * s));
    slope[2] = static_cast<float>(bend / h);
    slope[3] = static_cast<float>(s * (3 * s - 2));
}

template <>
void FilterTable<double>::hermite(double s, double h, double* value, double* slope) {
    double s2 = s * s, s3 = s2 * s, s4 = s3 * s, s5 = s4 * s;
    value[0] = 1 - 10 * s3 + 15 * s4 - 6 * s5;
    value[1] = (s - 6 * s3 + 8 * s4 - 3 * s5) * h;
    value[2] = 0.5 * (s2 - 3 * s3 + 3 * s4 - s5) * h * h;
    value[3] = 10 * s3 - 15 * s4 + 6 * s5;
    value[4] = (-4 * s3 + 7 * s4 - 3 * s5) * h;
    value[5] = 0.5 * (s3 - 2 * s4 + s5) * h * h;
    slope[0] = (-30 * s2 + 60 * s3 - 30 * s4) / h;
    slope[1] = 1 - 18 * s2 + 32 * s3 - 15 * s4;
    slope[2] = 0.5 * (2 * s - 9 * s2 + 12 * s3 - 5 * s4) * h;
    slope[3] = (30 * s2 - 60 * s3 + 30 * s4) / h;
    slope[4] = -12 * s2 + 28 * s3 - 15 * s4;
    slope[5] = 0.5 * (3 * s2 - 8 * s3 + 5 * s4) * h;
}

template class OpenMMCG::FilterTable<float>;
template class OpenMMCG::FilterTable<double>;
