#include "Weights.h"
#include "openmmcg/engine/ModelFile.h"
#include <cstring>
#include <nlohmann/json.hpp>

using namespace OpenMMCG;
using namespace std;
using nlohmann::json;

static string describe(const vector<int64_t>& shape) {
    string text;
    for (int64_t length : shape)
        text += (text.empty() ? "" : ", ") + (length < 0 ? string("any") : to_string(length));
    return "(" + text + ")";
}

template <class Number>
static void convert(string_view data, vector<double>& values) {
    values.resize(data.size() / sizeof(Number));
    for (size_t i = 0; i < values.size(); i++) {
        Number number;
        memcpy(&number, data.data() + i * sizeof(Number), sizeof(Number));
        values[i] = static_cast<double>(number);
    }
}

Weights::Weights(string_view bytes) {
    const string damaged = "The model file's weights are damaged; export the model again.";
    if (bytes.size() < 8)
        throw ModelError(damaged);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | static_cast<uint8_t>(bytes[i]);
    if (length > bytes.size() - 8)
        throw ModelError(damaged);
    string_view data = bytes.substr(8 + length);
    try {
        json header = json::parse(bytes.substr(8, length));
        for (auto& [name, entry] : header.items()) {
            if (name == "__metadata__")
                continue;
            Tensor tensor;
            tensor.shape = entry.at("shape").get<vector<int64_t>>();
            uint64_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
            if (begin > end || end > data.size())
                throw ModelError(damaged);
            string type = entry.at("dtype");
            if (type == "F32")
                convert<float>(data.substr(begin, end - begin), tensor.values);
            else if (type == "F64")
                convert<double>(data.substr(begin, end - begin), tensor.values);
            else
                continue; // integers are no weights
            tensors[name] = std::move(tensor);
        }
    }
    catch (const json::exception&) {
        throw ModelError(damaged);
    }
}

const Weights::Tensor& Weights::get(const string& name, const vector<int64_t>& shape) const {
    auto found = tensors.find(name);
    if (found == tensors.end())
        throw ModelError("The model file's weights have no '" + name + "'; export the model again.");
    const Tensor& tensor = found->second;
    bool fits = tensor.shape.size() == shape.size();
    size_t count = 1;
    for (size_t i = 0; fits && i < shape.size(); i++) {
        fits = shape[i] < 0 || shape[i] == tensor.shape[i];
        count *= static_cast<size_t>(tensor.shape[i]);
    }
    if (!fits || count != tensor.values.size())
        throw ModelError("The model file's weights '" + name + "' have shape " + describe(tensor.shape) +
                         "; expected " + describe(shape) + ". Export the model again.");
    return tensor;
}
