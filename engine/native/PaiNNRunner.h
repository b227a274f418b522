#ifndef OPENMMCG_ENGINE_NATIVE_PAINNRUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_PAINNRUNNER_H_

#include "NetworkOptions.h"
#include "Weights.h"
#include "openmmcg/engine/ModelRunner.h"
#include <memory>

namespace OpenMMCG {

/** Make a runner for PaiNN (openmmcg.models.painn). */
std::unique_ptr<ModelRunner> createPaiNNRunner(const Weights& weights, const NetworkOptions& network,
                                               const RunnerOptions& options);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_PAINNRUNNER_H_*/
