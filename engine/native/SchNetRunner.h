#ifndef OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_

#include "NetworkOptions.h"
#include "Weights.h"
#include "openmmcg/engine/ModelRunner.h"
#include <memory>

namespace OpenMMCG {

/** Make a runner for SchNet (openmmcg.models.schnet). */
std::unique_ptr<ModelRunner> createSchNetRunner(const Weights& weights, const NetworkOptions& network,
                                                const RunnerOptions& options);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_*/
