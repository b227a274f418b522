#include "openmmcg/engine/Sha256.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

namespace {

/**
 * The standard's constants are the first 32 fractional bits of square and cube roots of primes.
 * Long double has enough digits to compute them.
 */
struct Constants {
    array<uint32_t, 8> initial;
    array<uint32_t, 64> round;
    Constants() {
        int found = 0;
        for (int n = 2; found < 64; n++) {
            bool prime = true;
            for (int d = 2; d * d <= n; d++)
                prime = prime && n % d != 0;
            if (!prime)
                continue;
            if (found < 8)
                initial[found] = fractionalBits(sqrt(static_cast<long double>(n)));
            round[found++] = fractionalBits(cbrt(static_cast<long double>(n)));
        }
    }
    static uint32_t fractionalBits(long double value) {
        return static_cast<uint32_t>((value - floor(value)) * 4294967296.0L);
    }
};

const Constants& constants() {
    static const Constants values;
    return values;
}

uint32_t rotate(uint32_t x, int bits) {
    return (x >> bits) | (x << (32 - bits));
}

} // namespace

Sha256::Sha256() : state(constants().initial), buffered(0), totalBytes(0) {}

void Sha256::processBlock(const uint8_t* block) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = uint32_t(block[4 * i]) << 24 | uint32_t(block[4 * i + 1]) << 16 | uint32_t(block[4 * i + 2]) << 8 |
               uint32_t(block[4 * i + 3]);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    array<uint32_t, 8> s = state;
    for (int i = 0; i < 64; i++) {
        uint32_t sum1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t t1 = s[7] + sum1 + choice + constants().round[i] + w[i];
        uint32_t sum0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        s = {t1 + sum0 + majority, s[0], s[1], s[2], s[3] + t1, s[4], s[5], s[6]};
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void Sha256::update(const void* data, size_t size) {
    const uint8_t* bytes = static_cast<const uint8_t*>(data);
    totalBytes += size;
    while (size > 0) {
        if (buffered == 0 && size >= 64) {
            processBlock(bytes);
            bytes += 64;
            size -= 64;
            continue;
        }
        size_t part = min(size, 64 - buffered);
        copy(bytes, bytes + part, buffer.begin() + buffered);
        buffered += part;
        bytes += part;
        size -= part;
        if (buffered == 64) {
            processBlock(buffer.data());
            buffered = 0;
        }
    }
}

string Sha256::finish() {
    uint64_t bits = 8 * totalBytes;
    uint8_t padding[72] = {0x80};
    size_t length = (buffered < 56 ? 56 : 120) - buffered;
    for (int i = 0; i < 8; i++)
        padding[length + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    update(padding, length + 8);
    string hex;
    for (uint32_t word : state)
        for (int shift = 28; shift >= 0; shift -= 4)
            hex += "0123456789abcdef"[(word >> shift) & 15];
    return hex;
}
