#include "RadialBasis.h"
#include "openmmcg/engine/ModelFile.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

namespace {

/** exp(-s^2/2) with s = (d - center) / width, on an even grid of centres for each edge type. */
class Gaussians : public RadialBasis {
public:
    Gaussians(const Weights& weights, int numEdgeTypes) {
        auto& grid = weights.get("radial_basis.centers", {numEdgeTypes, -1});
        size = static_cast<int>(grid.shape[1]);
        centers = grid.values;
        widths = weights.get("radial_basis.widths", {numEdgeTypes, 1}).values;
    }
    int getSize() const override {
        return size;
    }
    void getRange(int edgeType, double& low, double& high) const override {
        const double* center = &centers[edgeType * size];
        low = max(0.0, center[0] - REACH * widths[edgeType]);
        high = center[size - 1] + REACH * widths[edgeType];
    }
    double getResolution(int edgeType) const override {
        return widths[edgeType];
    }
    array<double, 3> evaluate(int edgeType, int index, double distance) const override {
        double inverse = 1 / widths[edgeType], s = (distance - centers[edgeType * size + index]) * inverse;
        if (abs(s) > REACH)
            return {0, 0, 0};
        double g = exp(-0.5 * s * s);
        return {g, -s * inverse * g, (s * s - 1) * inverse * inverse * g};
    }

private:
    static constexpr double REACH = 8; // standard deviations beyond which exp(-32) is nothing
    int size;
    vector<double> centers, widths;
};

/** sqrt(2) sin(k x) / x with x = d / cutoff. */
class BesselFunctions : public RadialBasis {
public:
    BesselFunctions(const Weights& weights, double cutoff)
        : cutoff(cutoff), frequencies(weights.get("radial_basis.frequencies", {-1}).values) {}
    int getSize() const override {
        return static_cast<int>(frequencies.size());
    }
    void getRange(int, double& low, double& high) const override {
        low = 0;
        high = cutoff;
    }
    double getResolution(int) const override {
        return cutoff / *max_element(frequencies.begin(), frequencies.end());
    }
    array<double, 3> evaluate(int, int index, double distance) const override {
        double k = frequencies[index] / cutoff, y = k * distance, y2 = y * y;
        // sin(y)/y, and its derivative divided by y; the formulas cancel at small y.
        double j = sin(y) / y, slope = (cos(y) - j) / y2;
        if (y < 0.1) {
            j = 1 - y2 / 6 * (1 - y2 / 20 * (1 - y2 / 42 * (1 - y2 / 72)));
            slope = -1.0 / 3 * (1 - y2 / 10 * (1 - y2 / 28 * (1 - y2 / 54 * (1 - y2 / 88))));
        }
        double scale = sqrt(2.0) * frequencies[index];
        return {scale * j, scale * k * y * slope, scale * k * k * (-j - 2 * slope)};
    }

private:
    double cutoff;
    vector<double> frequencies;
};

/** exp(-beta (exp(-alpha d) - mu)^2) with alpha = 5 / cutoff. */
class ExponentialGaussians : public RadialBasis {
public:
    ExponentialGaussians(const Weights& weights, double cutoff)
        : cutoff(cutoff), alpha(5 / cutoff), means(weights.get("radial_basis.means", {-1}).values),
          betas(weights.get("radial_basis.betas", {static_cast<int64_t>(means.size())}).values) {}
    int getSize() const override {
        return static_cast<int>(means.size());
    }
    void getRange(int, double& low, double& high) const override {
        low = 0;
        high = cutoff;
    }
    double getResolution(int) const override { // at no distance, where it is finest
        return 1 / (alpha * sqrt(2 * *max_element(betas.begin(), betas.end())));
    }
    array<double, 3> evaluate(int, int index, double distance) const override {
        double e = exp(-alpha * distance), u = e - means[index], beta = betas[index];
        double g = exp(-beta * u * u), a = 2 * alpha * beta * u * e, b = -2 * alpha * alpha * beta * e * (e + u);
        return {g, a * g, (a * a + b) * g};
    }

private:
    double cutoff, alpha;
    vector<double> means, betas;
};

} // namespace

unique_ptr<RadialBasis> RadialBasis::create(const Weights& weights, const string& name, int numEdgeTypes,
                                            double cutoff) {
    if (name == "gaussian")
        return make_unique<Gaussians>(weights, numEdgeTypes);
    if (name == "bessel")
        return make_unique<BesselFunctions>(weights, cutoff);
    if (name == "expnorm")
        return make_unique<ExponentialGaussians>(weights, cutoff);
    throw ModelError("The native engine has no radial basis '" + name + "'; it has gaussian, bessel and expnorm.");
}
