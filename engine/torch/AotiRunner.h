#ifndef OPENMMCG_ENGINE_AOTIRUNNER_H_
#define OPENMMCG_ENGINE_AOTIRUNNER_H_

#include "openmmcg/engine/ModelRunner.h"
#include <memory>

namespace OpenMMCG {

/**
 * Create a runner for a package of machine code that PyTorch's AOTInductor compiled from a model. Its path is an
 * option, since machine code must never be run but on request. The package must name the model's digest.
 *
 * @throws ModelError if there is no such package, it belongs to another model, or this PyTorch cannot load it
 */
std::unique_ptr<ModelRunner> createAotiRunner(const ModelFile& model, const RunnerOptions& options);

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_AOTIRUNNER_H_*/
