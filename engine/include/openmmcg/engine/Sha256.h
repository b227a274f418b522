#ifndef OPENMMCG_ENGINE_SHA256_H_
#define OPENMMCG_ENGINE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace OpenMMCG {

/**
 * SHA-256 (FIPS 180-4) of a stream of bytes.
 */
class Sha256 {
public:
    Sha256();
    void update(const void* data, size_t size);
    void update(const std::string& data) {
        update(data.data(), data.size());
    }
    /**
     * Finish and return the digest as 64 lower-case hexadecimal digits. Call it once.
     */
    std::string finish();

private:
    void processBlock(const uint8_t* block);
    std::array<uint32_t, 8> state;
    std::array<uint8_t, 64> buffer;
    size_t buffered;
    uint64_t totalBytes;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_SHA256_H_*/
