#include "NativeRunner.h"
#include "PaiNNRunner.h"
#include "PairSplineRunner.h"
#include "SchNetRunner.h"
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

using namespace OpenMMCG;
using namespace std;
using nlohmann::json;

namespace {

struct Architecture {
    /** The hyper-parameters that the code here understands: a list of values, or null for any. */
    json hyperparameters;
    function<unique_ptr<ModelRunner>(const Weights&, const NetworkOptions&, const RunnerOptions&)> create;
};

const map<string, Architecture>& architectures() {
    static const json splines = {{"rbf", nullptr},
                                 {"ranges", nullptr},
                                 {"thermal", {"response", "input"}},
                                 {"reference_temperature", nullptr},
                                 {"heat_capacity", {false, true}},
                                 {"functions", nullptr},
                                 {"hidden", nullptr}};
    static const json messages = [] {
        json known = splines;
        known.update({{"width", nullptr},
                      {"interactions", nullptr},
                      {"basis", {"gaussian", "bessel", "expnorm"}},
                      {"envelope", {"quintic", "cosine"}},
                      {"chiral", {false, true}}});
        return known;
    }();
    static const map<string, Architecture> known = {
        {"schnet", {messages, createSchNetRunner}},
        {"painn", {messages, createPaiNNRunner}},
        {"pair-spline", {splines, createPairSplineRunner}},
    };
    return known;
}

json architectureOf(const ModelFile& model) {
    return json::parse(model.getCard()).value("architecture", json::object());
}

bool contains(const json& list, const json& value) {
    return find(list.begin(), list.end(), value) != list.end();
}

} // namespace

string NativeRunner::getObstacle(const ModelFile& model) {
    json architecture = architectureOf(model);
    string name = architecture.value("name", "");
    auto found = architectures().find(name);
    if (found == architectures().end())
        return "the native engine has no architecture '" + name + "'";
    json options = architecture.value("hyperparameters", json::object());
    const json& known = found->second.hyperparameters;
    for (auto& [option, value] : options.items())
        if (!known.contains(option) || (known[option].is_array() && !contains(known[option], value)))
            return "the native engine has no '" + name + "' with " + option + " " + value.dump();
    if (model.getWeights().empty())
        return "the model file was written before weights were stored apart; export it again";
    return "";
}

unique_ptr<ModelRunner> NativeRunner::create(const ModelFile& model, const RunnerOptions& options) {
    string obstacle = getObstacle(model);
    if (!obstacle.empty())
        throw ModelError("The runner 'native' cannot run this model: " + obstacle +
                         ". Set the property 'runner' of the CGForce to 'torchscript' or 'auto'.");
    json architecture = architectureOf(model), chosen = architecture.value("hyperparameters", json::object());
    NetworkOptions network = {model.getCutoff(),
                              static_cast<int>(model.getBeadTypes().size()),
                              chosen.value("basis", "gaussian"),
                              chosen.value("envelope", "quintic"),
                              chosen.value("chiral", false),
                              chosen.value("thermal", ""),
                              chosen.value("reference_temperature", 300.0),
                              chosen.value("heat_capacity", true)};
    return architectures().at(architecture["name"]).create(Weights(model.getWeights()), network, options);
}
