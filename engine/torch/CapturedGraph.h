#ifndef OPENMMCG_ENGINE_CAPTUREDGRAPH_H_
#define OPENMMCG_ENGINE_CAPTUREDGRAPH_H_

#include <functional>
#include <memory>

namespace OpenMMCG {

/**
 * Work of a device that has been recorded once and can be started as a whole, on the same memory.
 */
class CapturedGraph {
public:
    virtual ~CapturedGraph() = default;
    /** Start the work on PyTorch's current stream. */
    virtual void replay() = 0;
};

/**
 * Records what a function asks of a device, without doing it.
 */
using GraphCapture = std::function<std::unique_ptr<CapturedGraph>(const std::function<void()>& work)>;

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_CAPTUREDGRAPH_H_*/
