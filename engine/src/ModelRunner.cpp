#include "openmmcg/engine/ModelRunner.h"
#include "../native/NativeRunner.h"
#include <map>

using namespace OpenMMCG;
using namespace std;

static map<string, ModelRunner::Factory>& factories() {
    static map<string, ModelRunner::Factory> registered = {{"native", NativeRunner::create}};
    return registered;
}

ModelRunner::~ModelRunner() = default;

void ModelRunner::registerFactory(const string& name, Factory factory) {
    factories()[name] = std::move(factory);
}

vector<string> ModelRunner::getAvailable() {
    vector<string> names;
    for (auto& factory : factories())
        names.push_back(factory.first);
    return names;
}

string ModelRunner::choose(const ModelFile& model, string& reason) {
    string obstacle = NativeRunner::getObstacle(model);
    reason = obstacle.empty() ? "the native engine knows this architecture" : obstacle;
    return obstacle.empty() ? "native" : "torchscript";
}

unique_ptr<ModelRunner> ModelRunner::create(const string& name, const ModelFile& model, const RunnerOptions& options) {
    auto factory = factories().find(name);
    if (factory != factories().end())
        return factory->second(model, options);
    if (name == "torchscript") {
        string obstacle = NativeRunner::getObstacle(model);
        throw ModelError("The runner 'torchscript' needs PyTorch, which this OpenMM-CG does without. " +
                         (obstacle.empty()
                              ? "Set the property 'runner' to 'auto' or 'native', which can run this model."
                              : "Install PyTorch and OpenMM-CG for it: " + obstacle + "."));
    }
    string available;
    for (auto& known : getAvailable())
        available += (available.empty() ? "" : ", ") + known;
    throw ModelError("There is no model runner '" + name + "'; available: " + available + ".");
}
