#ifndef OPENMMCG_ENGINE_NATIVE_RADIALBASIS_H_
#define OPENMMCG_ENGINE_NATIVE_RADIALBASIS_H_

#include "Weights.h"
#include <array>
#include <memory>
#include <string>

namespace OpenMMCG {

/**
 * Radial basis functions without an envelope (openmmcg.models.radial).
 */
class RadialBasis {
public:
    virtual ~RadialBasis() = default;
    /**
     * Read the functions of a network.
     *
     * @param name  gaussian, bessel or expnorm
     */
    static std::unique_ptr<RadialBasis> create(const Weights& weights, const std::string& name, int numEdgeTypes,
                                               double cutoff);
    /** How many functions there are. */
    virtual int getSize() const = 0;
    /** The range of distances outside of which all functions of an edge type are nothing, in nm. */
    virtual void getRange(int edgeType, double& low, double& high) const = 0;
    /** The shortest length over which functions of an edge type change, in nm. */
    virtual double getResolution(int edgeType) const = 0;
    /** The value of a function and its first two derivatives. */
    virtual std::array<double, 3> evaluate(int edgeType, int index, double distance) const = 0;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_RADIALBASIS_H_*/
