#ifndef OPENMMCG_ENGINE_NATIVE_RADIALFILTERS_H_
#define OPENMMCG_ENGINE_NATIVE_RADIALFILTERS_H_

#include "FilterTable.h"
#include "NetworkOptions.h"
#include "RadialBasis.h"
#include "Weights.h"
#include <memory>
#include <string>

namespace OpenMMCG {

/**
 * Filters that are sums of radial basis functions with coefficients for each edge type (openmmcg.models.filters),
 * times an envelope.
 */
class RadialFilters : public FilterFunctions {
public:
    /** @param names  modules whose `coefficients` are read; their features follow one another */
    RadialFilters(const Weights& weights, const NetworkOptions& options, const std::vector<std::string>& names);
    int getNumEdgeTypes() const override {
        return numEdgeTypes;
    }
    int getNumFeatures() const override {
        return numFeatures;
    }
    void getRange(int edgeType, double& low, double& high) const override;
    double getResolution(int edgeType) const override {
        return basis->getResolution(edgeType);
    }
    void evaluate(int edgeType, double distance, double* derivatives) const override;

private:
    double cutoff;
    bool cosine;
    int numEdgeTypes, numFeatures = 0;
    std::unique_ptr<RadialBasis> basis;
    // Edge types x functions x features.
    std::vector<double> coefficients;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_RADIALFILTERS_H_*/
