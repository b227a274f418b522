#ifndef OPENMMCG_ENGINE_NATIVE_WEIGHTS_H_
#define OPENMMCG_ENGINE_NATIVE_WEIGHTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace OpenMMCG {

/**
 * The weights of a network by name, as the entry `extra/weights.safetensors` of a model file holds them.
 */
class Weights {
public:
    /** A tensor, row-major. */
    struct Tensor {
        std::vector<int64_t> shape;
        std::vector<double> values;
    };
    /**
     * @param bytes  in the safetensors format: the length of a JSON header in eight bytes, the header, the data
     * @throws ModelError if they are not
     */
    explicit Weights(std::string_view bytes);
    bool has(const std::string& name) const {
        return tensors.count(name) > 0;
    }
    /**
     * A tensor of a given shape; a dimension of -1 may have any length.
     *
     * @throws ModelError if there is no such tensor or it has another shape
     */
    const Tensor& get(const std::string& name, const std::vector<int64_t>& shape) const;

private:
    std::map<std::string, Tensor> tensors;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_WEIGHTS_H_*/
