// The only code that links to PyTorch's libraries for CUDA: see GraphLibrary.h.

#include "CapturedGraph.h"
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>

using namespace OpenMMCG;
using namespace std;

namespace {

/** Call a function and tell whether it did without an error. */
template <class Function>
bool attempt(Function function) {
    try {
        function();
        return true;
    }
    catch (const exception&) {
        return false;
    }
}

class TorchGraph : public CapturedGraph {
public:
    explicit TorchGraph(const std::function<void()>& work) {
        c10::MempoolId_t pool = at::cuda::graph_pool_handle();
        try {
            // Other threads, which may run other Contexts, are free to do what they want meanwhile.
            graph.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
            work();
            graph.capture_end();
        }
        catch (...) {
            abandon(pool);
            throw;
        }
    }
    void replay() override {
        graph.replay();
    }

private:
    /**
     * End a recording that failed. PyTorch's allocators would go on giving memory of its pool to this stream, and ask
     * an object that is gone whether to, unless they are told.
     */
    void abandon(c10::MempoolId_t pool) {
        attempt([&] { graph.capture_end(); });
        // Where it did end, the graph itself returns the pool.
        if (attempt([&] { graph.pool(); }))
            return;
        auto device = c10::cuda::current_device();
        auto* hostAllocator = at::getHostAllocator(at::kCUDA);
        attempt([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool); });
        attempt([&] { c10::cuda::CUDACachingAllocator::releasePool(device, pool); });
        attempt([&] { hostAllocator->end_allocate_to_pool(pool); });
        attempt([&] { hostAllocator->release_pool(pool); });
    }
    at::cuda::CUDAGraph graph;
};

} // namespace

extern "C" CapturedGraph* openmmcgCaptureGraph(const std::function<void()>& work) {
    return new TorchGraph(work);
}
