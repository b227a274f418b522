#ifndef OPENMMCG_ENGINE_MODELFILE_H_
#define OPENMMCG_ENGINE_MODELFILE_H_

#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace OpenMMCG {

/**
 * Thrown when a model file or a model's output is not what it should be. The message says what was
 * found, what was expected and what to do.
 */
class ModelError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/**
 * A model file: a TorchScript archive together with its card, the JSON document `openmmcg.json`.
 *
 * This class reads the card and checks that the archive is whole. It needs no PyTorch and runs no
 * code from the file. An archive without a card is accepted as a model in the style of openmm-torch,
 * whose `forward` takes positions, and the box vectors if there is a box.
 */
class ModelFile {
public:
    /** How `forward` wants to be called. */
    enum Interface {
        /** (positions, types, pairs, shifts, edge_types, parameters). */
        Pairs,
        /** (positions[, box][, parameters...]). */
        Positions
    };
    /** An empty file, standing for "no model yet". */
    ModelFile() = default;
    /**
     * Read the card from the bytes of a file.
     *
     * @param bytes   the content of the file
     * @param source  what to call the file in error messages
     * @throws ModelError if the bytes are not a complete archive, the card's format is not known, or
     *                    the weights are not those that the card was written for
     */
    ModelFile(std::string bytes, const std::string& source);
    /** Read a file from disk. */
    static ModelFile fromFile(const std::string& path);

    bool empty() const {
        return bytes.empty();
    }
    const std::string& getBytes() const {
        return bytes;
    }
    /**
     * The network's weights in the safetensors format, for runners that do without PyTorch. Empty if the file has
     * none. Valid as long as this object.
     */
    std::string_view getWeights() const {
        return std::string_view(bytes).substr(weightsOffset, weightsSize);
    }
    /** The card as JSON text, or "{}" if the file has none. */
    const std::string& getCard() const {
        return card;
    }
    /** The SHA-256 of everything but the card, as hexadecimal digits. Empty if there is no card. */
    const std::string& getDigest() const {
        return digest;
    }
    Interface getInterface() const {
        return interface;
    }
    /** The largest distance of a pair in nm; 0 for models that take positions alone. */
    double getCutoff() const {
        return cutoff;
    }
    /** The names of the bead types. Empty if the model does not distinguish types. */
    const std::vector<std::string>& getBeadTypes() const {
        return beadTypes;
    }
    /**
     * The model's parameters in the order in which `forward` takes them, with default values. For
     * the interface `Pairs` the first is the temperature in K.
     */
    const std::vector<std::pair<std::string, double>>& getParameters() const {
        return parameters;
    }
    /** The lowest and highest temperature in K that the model was trained at; all if the card does not say. */
    std::pair<double, double> getTemperatureRange() const {
        return temperatureRange;
    }

private:
    void readCard(const std::string& source);
    std::string bytes, card = "{}", digest;
    Interface interface = Positions;
    double cutoff = 0;
    size_t weightsOffset = 0, weightsSize = 0;
    std::vector<std::string> beadTypes;
    std::vector<std::pair<std::string, double>> parameters;
    std::pair<double, double> temperatureRange = {0.0, std::numeric_limits<double>::infinity()};
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_MODELFILE_H_*/
