#include "NativeRunner.h"
#include "PairSplineRunner.h"
#include "SchNetRunner.h"
#include <map>
#include <nlohmann/json.hpp>

using namespace OpenMMCG;
using namespace std;
using nlohmann::json;

namespace {

struct Architecture {
    /** Values of hyper-parameters that the code here is written for; a file that does not name one has this value. */
    json required;
    function<unique_ptr<ModelRunner>(const Weights&, const ModelFile&, const RunnerOptions&)> create;
};

const map<string, Architecture>& architectures() {
    static const map<string, Architecture> known = {
        {"schnet", {{{"basis", "gaussian"}, {"envelope", "quintic"}, {"chiral", false}}, createSchNetRunner}},
        {"pair-spline", {json::object(), createPairSplineRunner}},
    };
    return known;
}

json architectureOf(const ModelFile& model) {
    return json::parse(model.getCard()).value("architecture", json::object());
}

} // namespace

string NativeRunner::getObstacle(const ModelFile& model) {
    json architecture = architectureOf(model);
    string name = architecture.value("name", "");
    auto found = architectures().find(name);
    if (found == architectures().end())
        return "the native engine has no architecture '" + name + "'";
    json options = architecture.value("hyperparameters", json::object());
    if (options.value("thermal", json()) != json())
        return "the native engine has no energies that depend on the temperature";
    for (auto& [option, value] : found->second.required.items())
        if (options.value(option, value) != value)
            return "the native engine has no '" + name + "' with " + option + " " + options[option].dump();
    if (model.getWeights().empty())
        return "the model file was written before weights were stored apart; export it again";
    return "";
}

unique_ptr<ModelRunner> NativeRunner::create(const ModelFile& model, const RunnerOptions& options) {
    string obstacle = getObstacle(model);
    if (!obstacle.empty())
        throw ModelError("The runner 'native' cannot run this model: " + obstacle +
                         ". Set the property 'runner' of the CGForce to 'torchscript' or 'auto'.");
    return architectures().at(architectureOf(model)["name"]).create(Weights(model.getWeights()), model, options);
}
