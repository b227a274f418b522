#ifndef OPENMMCG_BASE64_H_
#define OPENMMCG_BASE64_H_

#include <string>

namespace OpenMMCG {

/** Encode bytes as base64 (RFC 4648, section 4), in a single line. */
std::string encodeBase64(const std::string& bytes);

/** Decode base64. Returns false if the text is not valid. */
bool decodeBase64(const std::string& text, std::string& bytes);

} // namespace OpenMMCG

#endif /*OPENMMCG_BASE64_H_*/
