#ifndef OPENMMCG_ENGINE_NATIVE_SCHNETFILTERS_H_
#define OPENMMCG_ENGINE_NATIVE_SCHNETFILTERS_H_

#include "FilterTable.h"
#include "Weights.h"

namespace OpenMMCG {

/**
 * SchNet's filters: for each edge type a sum of Gaussians on an even grid, times the envelope
 * 1 - 10 x^3 + 15 x^4 - 6 x^5 with x = distance / cutoff (openmmcg.models.radial).
 */
class SchNetFilters : public FilterFunctions {
public:
    SchNetFilters(const Weights& weights, double cutoff);
    int getNumEdgeTypes() const override {
        return numEdgeTypes;
    }
    int getNumFeatures() const override {
        return numFeatures;
    }
    void getRange(int edgeType, double& low, double& high) const override;
    double getResolution(int edgeType) const override {
        return widths[edgeType];
    }
    void evaluate(int edgeType, double distance, double* derivatives) const override;

private:
    double cutoff;
    int numEdgeTypes, numGaussians, numFeatures;
    std::vector<double> coefficients, centers, widths;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_SCHNETFILTERS_H_*/
