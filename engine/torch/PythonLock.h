#ifndef OPENMMCG_ENGINE_PYTHONLOCK_H_
#define OPENMMCG_ENGINE_PYTHONLOCK_H_

#include <dlfcn.h>

namespace OpenMMCG {

/**
 * Releases Python's global interpreter lock for a scope, if there is a Python in this process and this
 * thread holds its lock. The functions are looked up at run time, so that nothing links to Python.
 */
class PythonLockRelease {
public:
    PythonLockRelease() {
        static const auto holdsLock = find<int (*)()>("PyGILState_Check");
        static const auto isInitialized = find<int (*)()>("Py_IsInitialized");
        static const auto saveThread = find<void* (*)()>("PyEval_SaveThread");
        if (holdsLock && isInitialized && saveThread && isInitialized() && holdsLock())
            state = saveThread();
    }
    ~PythonLockRelease() {
        static const auto restoreThread = find<void (*)(void*)>("PyEval_RestoreThread");
        if (state)
            restoreThread(state);
    }
    PythonLockRelease(const PythonLockRelease&) = delete;
    PythonLockRelease& operator=(const PythonLockRelease&) = delete;

private:
    template <class Function>
    static Function find(const char* name) {
        return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
    void* state = nullptr;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_PYTHONLOCK_H_*/
