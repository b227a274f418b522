#ifndef OPENMMCG_ENGINE_NATIVE_NETWORKOPTIONS_H_
#define OPENMMCG_ENGINE_NATIVE_NETWORKOPTIONS_H_

#include <string>

namespace OpenMMCG {

/**
 * What the card of a model file says about its network besides the weights.
 */
struct NetworkOptions {
    /** The largest distance of a pair, in nm. */
    double cutoff;
    int numBeadTypes;
    /** Radial basis functions and envelope (openmmcg.models.radial). */
    std::string basis, envelope;
    /** Whether mirror images have different energies. */
    bool chiral;
    /** How energies depend on the temperature (openmmcg.models.thermal): response, input, or empty if they do not. */
    std::string thermal;
    /** K. */
    double referenceTemperature;
    bool heatCapacity;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_NETWORKOPTIONS_H_*/
