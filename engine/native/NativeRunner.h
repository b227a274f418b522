#ifndef OPENMMCG_ENGINE_NATIVE_NATIVERUNNER_H_
#define OPENMMCG_ENGINE_NATIVE_NATIVERUNNER_H_

#include "openmmcg/engine/ModelRunner.h"
#include <memory>
#include <string>

namespace OpenMMCG {

/**
 * Runs models without PyTorch, for the architectures that have hand-written code here.
 */
class NativeRunner {
public:
    /** Say why a model cannot be run, or nothing if it can. */
    static std::string getObstacle(const ModelFile& model);
    /**
     * Create a runner.
     *
     * @throws ModelError if getObstacle() finds one
     */
    static std::unique_ptr<ModelRunner> create(const ModelFile& model, const RunnerOptions& options);
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_NATIVERUNNER_H_*/
