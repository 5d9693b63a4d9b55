// The one rule for text from outside that we keep: UTF-8 without control characters. Counter names and tokens share it.
#pragma once
#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace quipu {

// Strict UTF-8 (no overlong form, no surrogate, nothing above U+10FFFF) without U+0000..1F, 7F, 80..9F. Empty is fine.
// Cost: eight ASCII bytes at a time; other text about 2 ns a character.
bool IsPrintableUtf8(std::string_view text);

// Offset of the first byte that breaks the rule; text.size() if none does.
size_t PrintableUtf8Prefix(std::string_view text);

// kOk for 1 to `bytes_max` bytes of it; else kInvalidArgument, which names the field, the size or the place, and the
// rule.
Status CheckText(std::string_view field, std::string_view text, size_t bytes_max);

}  // namespace quipu
