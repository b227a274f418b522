#ifndef OPENMMCG_ENGINE_NATIVE_PAIRSPLINERUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_PAIRSPLINERUNNER_H_

#include "NetworkOptions.h"
#include "Weights.h"
#include "openmmcg/engine/ModelRunner.h"
#include <memory>

namespace OpenMMCG {

/** Make a runner for cubic splines of pairs' distances (openmmcg.models.pair_spline). */
std::unique_ptr<ModelRunner> createPairSplineRunner(const Weights& weights, const NetworkOptions& network,
                                                    const RunnerOptions& options);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_PAIRSPLINERUNNER_H_*/
