#include "Base64.h"
#include <cstdint>

using namespace std;

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

string OpenMMCG::encodeBase64(const string& bytes) {
    string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
        for (size_t k = 0; k < 4; k++)
            text += i + k <= bytes.size() ? DIGITS[(group >> (18 - 6 * k)) & 63] : '=';
    }
    return text;
}

bool OpenMMCG::decodeBase64(const string& text, string& bytes) {
    int8_t value[256];
    for (int8_t& v : value)
        v = -1;
    for (int8_t digit = 0; digit < 64; digit++)
        value[static_cast<uint8_t>(DIGITS[digit])] = digit;
    bytes.clear();
    if (text.size() % 4 != 0)
        return false;
    bytes.reserve(text.size() / 4 * 3);
    for (size_t i = 0; i < text.size(); i += 4) {
        size_t numDigits = 4;
        if (i + 4 == text.size())
            while (numDigits > 2 && text[i + numDigits - 1] == '=')
                numDigits--;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int8_t digit = k < numDigits ? value[static_cast<uint8_t>(text[i + k])] : 0;
            if (digit < 0)
                return false;
            group = group << 6 | static_cast<uint32_t>(digit);
        }
        for (size_t k = 0; k + 1 < numDigits; k++)
            bytes += static_cast<char>(group >> (16 - 8 * k));
    }
    return true;
}
