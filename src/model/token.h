// Idempotency tokens: what is allowed, the time that a token carries itself, and its short form on disk.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/ids.h"

namespace quipu {

inline constexpr size_t kTokenBytesMax = 128;

// 1 to 128 bytes of UTF-8 without control characters; kInvalidArgument names `idempotency_token.token`.
Status CheckToken(std::string_view token);

// The time inside a UUIDv7 (RFC 9562, the 36-character form, either case) or a ULID (26 characters of Crockford's
// base 32, either case, first one 0-7): microseconds with millisecond resolution. kNoTime for any other token.
Micros TokenOwnTime(std::string_view token);

// A new UUIDv7 in lower case; `random` is 74 bits' worth (two draws), ms the unix time.
std::string MakeUuidV7(int64_t unix_ms, uint64_t random_a, uint64_t random_b);

// Disk form: canonical lower-case UUIDs, 32 lower-case hex digits and upper-case ULIDs shrink to 16 bytes, anything
// else stays as it is. Decode(Encode(t)) == t for every valid token.
enum class TokenForm : uint8_t { kNone = 0, kText = 1, kUuid = 2, kHex32 = 3, kUlid = 4 };  // on disk; never renumber
struct TokenBytes {
  TokenForm form = TokenForm::kNone;
  std::array<char, 16> packed = {};  // for kUuid, kHex32, kUlid
  std::string_view text;             // for kText: the caller's bytes

  bool empty() const { return form == TokenForm::kNone; }
  // What is stored besides the form.
  std::string_view bytes() const {
    if (form == TokenForm::kNone || form == TokenForm::kText) return text;
    return {packed.data(), packed.size()};
  }
  bool operator==(const TokenBytes& o) const { return form == o.form && bytes() == o.bytes(); }
};
// Points to `token` where that stays text. Cost: 10 to 15 ns for a UUID.
TokenBytes PackToken(std::string_view token);
// From what is stored: bytes() as it was.
TokenBytes StoredToken(TokenForm form, std::string_view bytes);
Micros TokenOwnTime(const TokenBytes& token);
std::string TokenText(const TokenBytes& token);

}  // namespace quipu
