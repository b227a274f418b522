#ifndef OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_

#include "openmmcg/engine/ModelRunner.h"
#include <memory>
#include <string>

namespace OpenMMCG {

/**
 * Evaluates SchNet (openmmcg.models.schnet) without PyTorch: filters are tabulated, energies and forces computed by
 * hand-written kernels. Single and double precision.
 */
class SchNetRunner {
public:
    /** Say why a model cannot be run, or nothing if it can. */
    static std::string getObstacle(const ModelFile& model);
    static std::unique_ptr<ModelRunner> create(const ModelFile& model, const RunnerOptions& options);
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_SCHNETRUNNER_H_*/
