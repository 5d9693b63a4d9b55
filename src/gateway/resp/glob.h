// Patterns of KEYS, SCAN MATCH and CONFIG GET: `*`, `?`, `[a-z]`, `[^a]`, `\` takes the next byte as it is. Byte by
// byte.
#pragma once
#include <string>
#include <string_view>

namespace quipu::resp {

enum class LetterCase : uint8_t { kExact, kIgnore };

// Cost: at most pattern times text; no recursion, so no pattern is worse than that.
bool GlobMatch(std::string_view pattern, std::string_view text, LetterCase letters = LetterCase::kExact);

// What every match starts with: the pattern up to its first special byte, unescaped.
std::string GlobPrefix(std::string_view pattern);

}  // namespace quipu::resp
