#include "openmmcg/engine/ModelFile.h"
#include "ZipArchive.h"
#include "openmmcg/engine/Sha256.h"
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace OpenMMCG;
using namespace std;
using nlohmann::json;

static const char* const CARD_ENTRY = "extra/openmmcg.json";
static const char* const WEIGHTS_ENTRY = "extra/weights.safetensors";
static const int NEWEST_FORMAT_VERSION = 1;

/**
 * The digest covers every entry but the card: name, a zero byte, the size as eight little-endian
 * bytes, the data as they lie in the file; in ascending order of the names.
 */
static string computeDigest(const ZipArchive& archive) {
    Sha256 digest;
    for (auto& [name, entry] : archive.getEntries()) {
        if (name == CARD_ENTRY)
            continue;
        digest.update(name.c_str(), name.size() + 1);
        char size[8];
        for (int i = 0; i < 8; i++)
            size[i] = static_cast<char>(static_cast<uint64_t>(entry.size) >> (8 * i));
        digest.update(size, 8);
        digest.update(entry.data, entry.size);
    }
    return digest.finish();
}

ModelFile ModelFile::fromFile(const string& path) {
    ifstream stream(path, ios::binary);
    if (!stream)
        throw ModelError("Cannot open the model file '" + path + "'. Check the path and its permissions.");
    ostringstream content;
    content << stream.rdbuf();
    return ModelFile(content.str(), "The model file '" + path + "'");
}

ModelFile::ModelFile(string content, const string& source) : bytes(std::move(content)) {
    ZipArchive archive(bytes, source);
    auto& entries = archive.getEntries();
    if (entries.find("constants.pkl") == entries.end() || entries.find("data.pkl") == entries.end())
        throw ModelError(source + " is a zip archive, but not a TorchScript one (no constants.pkl). A state_dict or " +
                         "checkpoint holds no code: export the model with openmmcg.export.save().");
    auto entry = entries.find(CARD_ENTRY);
    if (entry == entries.end())
        return;
    if (entry->second.compressed)
        throw ModelError(source +
                         " has been repacked: its card is compressed. Use the file that openmmcg.export.save() wrote.");
    card = string(entry->second.data, entry->second.size);
    readCard(source);
    string expected = json::parse(card).value("sha256", "");
    digest = computeDigest(archive);
    if (expected != digest)
        throw ModelError(source + " has been changed since it was exported: its weights have the SHA-256 " +
                         digest.substr(0, 16) + "..., its card says " + expected.substr(0, 16) +
                         "... Export the model again.");
    auto weights = entries.find(WEIGHTS_ENTRY);
    if (weights != entries.end() && !weights->second.compressed) {
        weightsOffset = static_cast<size_t>(weights->second.data - bytes.data());
        weightsSize = weights->second.size;
    }
}

void ModelFile::readCard(const string& source) {
    try {
        json document = json::parse(card);
        if (document.value("format", "") != "openmmcg-model")
            throw ModelError(source + " has a card of format '" + document.value("format", "") +
                             "' instead of 'openmmcg-model'. Export the model with openmmcg.export.save().");
        int version = document.at("format_version");
        if (version < 1 || version > NEWEST_FORMAT_VERSION)
            throw ModelError(source + " has format version " + to_string(version) +
                             "; this OpenMM-CG reads versions 1 " + "to " + to_string(NEWEST_FORMAT_VERSION) +
                             ". Upgrade OpenMM-CG, or export the model again " + "with this version.");
        string kind = document.at("interface");
        if (kind != "pairs" && kind != "positions")
            throw ModelError(source + " declares the interface '" + kind + "'; expected 'pairs' or 'positions'.");
        interface = kind == "pairs" ? Pairs : Positions;
        for (auto& name : document.at("bead_types"))
            beadTypes.push_back(name);
        for (auto& parameter : document.at("parameters"))
            parameters.push_back({parameter.at("name"), parameter.at("default")});
        if (document.contains("temperature_range"))
            temperatureRange = document["temperature_range"].get<pair<double, double>>();
        if (interface == Pairs) {
            cutoff = document.at("cutoff");
            if (!(cutoff > 0))
                throw ModelError(
                    source + " declares the cutoff " + to_string(cutoff) +
                    " nm; expected a positive number. Export it again with the cutoff that it was trained with.");
            if (parameters.empty())
                throw ModelError(source +
                                 " declares no parameters; the first must be the temperature. Export it again.");
        }
    }
    catch (const json::exception& error) {
        throw ModelError(source + " has a card that cannot be read (" + error.what() +
                         "). Export the model with openmmcg.export.save().");
    }
}
