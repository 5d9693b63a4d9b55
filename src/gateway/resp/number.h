// Integers as the Redis protocol writes them: an optional minus, then digits without leading zeros; no blanks, no
// plus, no "-0". Anything else is not an integer, as in Redis itself.
#pragma once
#include <cstdint>
#include <string_view>

namespace quipu::resp {

// False if `text` is not such an integer or outside 64 bits; *value is then untouched. Cost: about 1 ns a digit.
bool ParseInt64(std::string_view text, int64_t* value);
// The same for 0..2^64-1.
bool ParseUint64(std::string_view text, uint64_t* value);
// A cursor of SCAN, as widely as Redis takes it: nothing is 0, a sign and leading zeros are allowed, and -1 is 2^64-1.
// False for all else and for a number beyond 2^64-1.
bool ParseCursor(std::string_view text, uint64_t* value);
// Exactly 32 hexadecimal digits, either case, most significant first.
bool ParseHex128(std::string_view text, uint64_t* hi, uint64_t* lo);

// ASCII letters without regard to case.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace quipu::resp
