#include "AotiRunner.h"
#include "PythonLock.h"
#include "TorchSupport.h"
#include <c10/core/GradMode.h>
#include <fstream>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

using namespace OpenMMCG;
using namespace std;
using torch::inductor::AOTIModelPackageLoader;

/** The entry of a package's metadata that names the model. */
static const char* const DIGEST_KEY = "openmmcg_model_sha256";

namespace {

/**
 * Runs a package of AOTInductor on the CPU.
 */
class AotiRunner : public ModelRunner {
public:
    AotiRunner(const ModelFile& file, const RunnerOptions& options);
    void evaluate(const ModelInput& input, ModelOutput& output) override;
    bool roundsPositions() const override {
        return dtype == at::kFloat;
    }

private:
    int numThreads;
    at::ScalarType dtype;
    unique_ptr<AOTIModelPackageLoader> package;
};

/** The part of a torch error that is for users, as one line. */
string shortened(const exception& error) {
    string text = error.what();
    return text.substr(0, text.find('\n'));
}

/** Refuse a package of another model. This reads the package's metadata and loads no code. */
void checkDigest(const ModelFile& file, const string& path, const string& name) {
    string found;
    try {
        auto metadata = AOTIModelPackageLoader::load_metadata_from_package(path, name);
        found = metadata[DIGEST_KEY];
    }
    catch (const exception& error) {
        throw ModelError("The package '" + path + "' cannot be read (" + shortened(error) +
                         "). Make it again with openmmcg.export.compile_package().");
    }
    if (found.empty() || found != file.getDigest())
        throw ModelError("The package '" + path + "' was compiled from the model with the SHA-256 " +
                         (found.empty() ? "(none)" : found.substr(0, 16) + "...") + ", but this model has " +
                         file.getDigest().substr(0, 16) + "... Use the package that was made with this model file.");
}

AotiRunner::AotiRunner(const ModelFile& file, const RunnerOptions& options)
    : numThreads(options.numThreads), dtype(options.doublePrecision ? at::kDouble : at::kFloat) {
    const string& path = options.package;
    if (path.empty())
        throw ModelError("The runner 'aoti' runs machine code, which it takes only from the file that the property "
                         "'package' names. Set it to the .pt2 file that was compiled from this model.");
    if (file.getInterface() != ModelFile::Pairs || file.getDigest().empty())
        throw ModelError("The runner 'aoti' needs a model that takes pairs and has a card. Use 'torchscript' for "
                         "this one.");
    if (!ifstream(path))
        throw ModelError("Cannot open the package '" + path + "'. Check the path and its permissions.");
    string name = options.doublePrecision ? "float64" : "float32";
    checkDigest(file, path, name);
    try {
        package = make_unique<AOTIModelPackageLoader>(path, name);
    }
    catch (const exception& error) {
        throw ModelError("PyTorch cannot load the package '" + path + "' (" + shortened(error) +
                         "). Compile it again on this machine, or use the runner 'torchscript'.");
    }
}

void AotiRunner::evaluate(const ModelInput& input, ModelOutput& output) {
    PythonLockRelease lock;
    ThreadCountGuard threads(numThreads);
    at::AutoGradMode grad(false);
    vector<at::Tensor> results;
    try {
        results = package->run(pairArguments(input, dtype));
    }
    catch (const exception& error) {
        throw ModelError("The compiled model failed: " + shortened(error));
    }
    if (results.size() != 3)
        throw ModelError("The compiled model returned " + to_string(results.size()) +
                         " values; expected 3: bead energies, forces and parameter derivatives.");
    takePairResults(results, input, output);
}

} // namespace

unique_ptr<ModelRunner> OpenMMCG::createAotiRunner(const ModelFile& model, const RunnerOptions& options) {
    return make_unique<AotiRunner>(model, options);
}
