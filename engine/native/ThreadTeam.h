#ifndef OPENMMCG_ENGINE_NATIVE_THREADTEAM_H_
#define OPENMMCG_ENGINE_NATIVE_THREADTEAM_H_

#include "openmm/internal/ThreadPool.h"
#include <barrier>
#include <memory>

namespace OpenMMCG {

/**
 * Threads that work on one evaluation together; none are made for a team of one.
 */
class ThreadTeam {
public:
    explicit ThreadTeam(int size) {
        if (size > 1) {
            pool = std::make_unique<OpenMM::ThreadPool>(size);
            meeting = std::make_unique<std::barrier<>>(size);
        }
    }
    int size() const {
        return pool ? pool->getNumThreads() : 1;
    }
    /** Call work(thread, size()) in every thread, and wait. */
    template <class Work>
    void run(const Work& work) {
        if (!pool) {
            work(0, 1);
            return;
        }
        pool->execute([&work](OpenMM::ThreadPool& all, int thread) { work(thread, all.getNumThreads()); });
        pool->waitForThreads();
    }
    /** Wait, inside of run(), until all threads have come here. */
    void meet() {
        if (meeting)
            meeting->arrive_and_wait();
    }

private:
    std::unique_ptr<OpenMM::ThreadPool> pool;
    std::unique_ptr<std::barrier<>> meeting;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_THREADTEAM_H_*/
