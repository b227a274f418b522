#include "GraphLibrary.h"
#include <dlfcn.h>

using namespace OpenMMCG;
using namespace std;

namespace {

using CaptureFunction = CapturedGraph* (*)(const function<void()>&);

/** The folder of the library that this is part of. */
string findFolder() {
    static const char anchor = 0;
    Dl_info info;
    if (dladdr(&anchor, &info) == 0 || info.dli_fname == nullptr)
        return ".";
    string path = info.dli_fname;
    size_t slash = path.rfind('/');
    return slash == string::npos ? "." : path.substr(0, slash);
}

CaptureFunction openLibrary(string& obstacle) {
    // It does not stand among the plugins, since OpenMM would load it without asking.
    string path = findFolder() + "/../libOpenMMCGGraphs.so";
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* error = dlerror();
        obstacle = string("the library for them cannot be opened (") + (error == nullptr ? path : error) +
                   "), which is built where PyTorch has CUDA";
        return nullptr;
    }
    auto function = reinterpret_cast<CaptureFunction>(dlsym(library, "openmmcgCaptureGraph"));
    if (function == nullptr)
        obstacle = "the library " + path + " belongs to another version of OpenMM-CG";
    return function;
}

} // namespace

GraphOptions OpenMMCG::findGraphs(const string& mode) {
    GraphOptions options;
    options.mode = mode;
    if (mode == "off")
        return options;
    static string obstacle;
    static const CaptureFunction captureGraph = openLibrary(obstacle);
    options.obstacle = obstacle;
    if (captureGraph != nullptr)
        options.capture = [](const function<void()>& work) { return unique_ptr<CapturedGraph>(captureGraph(work)); };
    return options;
}
