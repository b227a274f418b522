#ifndef OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_

#include "Weights.h"
#include "openmmcg/engine/ModelRunner.h"
#include <memory>

namespace OpenMMCG {

/** Make a runner for SchNet (openmmcg.models.schnet) with Gaussians, quintic envelope and no parity-odd features. */
std::unique_ptr<ModelRunner> createSchNetRunner(const Weights& weights, const ModelFile& model,
                                                const RunnerOptions& options);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_*/
