/* Counts how often a program waits for a GPU. Preloaded, it stands before the functions of CUDA that do not return until the
 * device has got somewhere:
 *
 *     cc -shared -fPIC -O2 -o libcountwaits.so count_waits.c -ldl
 *     LD_PRELOAD=./libcountwaits.so program
 *
 * The program reads the count from count_waits().
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

static atomic_long waits;

long count_waits(void) {
    return waits;
}

/* The libraries of CUDA are loaded privately by others, so looking behind this library does not find them. */
static void* find(const char* const* libraries, const char* name) {
    for (; *libraries != NULL; libraries++) {
        void* library = dlopen(*libraries, RTLD_LAZY | RTLD_NOLOAD);
        void* function = library == NULL ? NULL : dlsym(library, name);
        if (function != NULL)
            return function;
    }
    abort();
}

static const char* const driver[] = {"libcuda.so.1", NULL};
static const char* const runtime[] = {"libcudart.so.13", "libcudart.so.12", NULL};

#define WAITING(libraries, name, parameters, arguments) \
    int name parameters {                               \
        static int(*original) parameters;               \
        if (original == NULL)                           \
            original = find(libraries, #name);          \
        waits++;                                        \
        return original arguments;                      \
    }

WAITING(driver, cuCtxSynchronize, (void), ())
WAITING(driver, cuStreamSynchronize, (void* stream), (stream))
WAITING(driver, cuEventSynchronize, (void* event), (event))
WAITING(driver, cuMemcpyDtoH_v2, (void* to, size_t from, size_t size), (to, from, size))
WAITING(driver, cuMemcpyHtoD_v2, (size_t to, const void* from, size_t size), (to, from, size))
WAITING(runtime, cudaDeviceSynchronize, (void), ())
WAITING(runtime, cudaStreamSynchronize, (void* stream), (stream))
WAITING(runtime, cudaEventSynchronize, (void* event), (event))
WAITING(runtime, cudaMemcpy, (void* to, const void* from, size_t size, int kind), (to, from, size, kind))
