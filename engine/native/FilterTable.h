#ifndef OPENMMCG_ENGINE_NATIVE_FILTERTABLE_H_
#define OPENMMCG_ENGINE_NATIVE_FILTERTABLE_H_

#include "AlignedVector.h"
#include "Kernels.h"
#include <functional>
#include <vector>

namespace OpenMMCG {

/**
 * Filters as functions of a pair's distance and edge type: vectors of features and their first two derivatives.
 */
class FilterFunctions {
public:
    virtual ~FilterFunctions() = default;
    virtual int getNumEdgeTypes() const = 0;
    /** How many features all filters of a pair have together. */
    virtual int getNumFeatures() const = 0;
    /** The range of distances outside of which the filters vanish, in nm. */
    virtual void getRange(int edgeType, double& low, double& high) const = 0;
    /** The shortest length over which the filters change, in nm. */
    virtual double getResolution(int edgeType) const = 0;
    /**
     * Compute filters at a distance.
     *
     * @param derivatives  getNumFeatures() values, then as many first and second derivatives
     */
    virtual void evaluate(int edgeType, double distance, double* derivatives) const = 0;
};

/**
 * Filters on even grids, interpolated between nodes by Hermite polynomials: cubic ones from value and slope in single
 * precision, quintic ones, which have the second derivative too, in double precision. The derivative is that of the
 * interpolant, so forces are exactly the gradient of the energy.
 */
template <class Real>
class FilterTable {
public:
    /** How large the error of filters may be relative to the largest filter of an edge type; of slopes, alike. */
    static constexpr double VALUE_TOLERANCE = sizeof(Real) == 4 ? 1e-6 : 1e-10;
    static constexpr double SLOPE_TOLERANCE = sizeof(Real) == 4 ? 8e-6 : 1e-9;
    FilterTable() = default;
    /**
     * Tabulate; grids are refined until the error between nodes is below the tolerance.
     *
     * @param filters  features of all layers
     * @param layers   each has a table of its own
     * @throws ModelError if a filter cannot be tabulated that well
     */
    FilterTable(const FilterFunctions& filters, int layers);
    /** The table of a layer, to which offsets of `locate` refer. */
    const Real* getLayer(int layer) const {
        return data.data() + layer * layerStride;
    }
    /**
     * Find a pair's filter.
     *
     * @param offset  where the filter's rows lie in a layer's table
     * @param value   set to TABLE_ROWS factors of these rows
     * @param slope   set to TABLE_ROWS factors that give the derivative
     * @return false if the filter is zero at this distance; nothing is set then
     */
    bool locate(int edgeType, double distance, std::size_t& offset, Real* value, Real* slope) const;

private:
    struct Grid {
        double low, high, spacing;
        int nodes;
        std::size_t start;
    };
    static constexpr int TERMS = TABLE_ROWS<Real> / 2;
    void layOut(const FilterFunctions& filters, const std::vector<double>& spacings);
    void fill(const FilterFunctions& filters, int edgeType);
    /** The largest error between nodes as a multiple of what is tolerated. */
    double findError(const FilterFunctions& filters, int edgeType) const;
    static void hermite(double s, double h, Real* value, Real* slope);
    int layers = 0, features = 0, width = 0;
    std::vector<Grid> grids;
    std::size_t layerStride = 0;
    AlignedVector<Real> data;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_FILTERTABLE_H_*/
