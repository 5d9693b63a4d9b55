#include "model/token.h"

#include <optional>

#include "base/varint.h"
#include "model/text.h"

namespace quipu {
namespace {

constexpr size_t kUuidChars = 36;
constexpr size_t kHexChars = 32;
constexpr size_t kUlidChars = 26;
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kCrockfordDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct Bits128 {
  uint64_t hi = 0, lo = 0;
};

enum class Case : uint8_t { kStrict, kEither };

constexpr int8_t kNoDigit = -1;

constexpr std::array<int8_t, 256> DigitTable(std::string_view digits, Case letters) {
  std::array<int8_t, 256> table{};
  for (auto& t : table) t = kNoDigit;
  for (size_t i = 0; i < digits.size(); i++) {
    auto c = static_cast<unsigned char>(digits[i]);
    table[c] = static_cast<int8_t>(i);
    bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (letter && letters == Case::kEither) table[c ^ 0x20] = static_cast<int8_t>(i);
  }
  return table;
}

constexpr auto kHexStrict = DigitTable(kHexDigits, Case::kStrict);
constexpr auto kHexEither = DigitTable(kHexDigits, Case::kEither);
constexpr auto kCrockfordStrict = DigitTable(kCrockfordDigits, Case::kStrict);
constexpr auto kCrockfordEither = DigitTable(kCrockfordDigits, Case::kEither);

// Appends a digit of `bits` bits at the low end.
void ShiftIn(Bits128* b, int bits, int8_t digit) {
  b->hi = b->hi << bits | b->lo >> (64 - bits);
  b->lo = b->lo << bits | static_cast<uint64_t>(digit);
}

// Appends `n` hexadecimal digits. What is no digit makes *bad negative; it is looked at once, after all digits.
[[gnu::always_inline]] inline void ShiftInHex(const char* p, size_t n, const std::array<int8_t, 256>& digits,
                                              uint64_t* v, int* bad) {
  for (size_t i = 0; i < n; i++) {
    const int8_t digit = digits[static_cast<unsigned char>(p[i])];
    *bad |= digit;
    *v = *v << 4 | static_cast<uint64_t>(digit & 15);
  }
}

std::optional<Bits128> ParseUuid(std::string_view t, const std::array<int8_t, 256>& digits) {
  if (t.size() != kUuidChars) return std::nullopt;
  const char* const p = t.data();
  if (p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-') return std::nullopt;
  Bits128 out;
  int bad = 0;
  ShiftInHex(p, 8, digits, &out.hi, &bad);
  ShiftInHex(p + 9, 4, digits, &out.hi, &bad);
  ShiftInHex(p + 14, 4, digits, &out.hi, &bad);
  ShiftInHex(p + 19, 4, digits, &out.lo, &bad);
  ShiftInHex(p + 24, 12, digits, &out.lo, &bad);
  return bad < 0 ? std::nullopt : std::optional(out);
}

std::optional<Bits128> ParseHex32(std::string_view t) {
  if (t.size() != kHexChars) return std::nullopt;
  Bits128 out;
  int bad = 0;
  ShiftInHex(t.data(), 16, kHexStrict, &out.hi, &bad);
  ShiftInHex(t.data() + 16, 16, kHexStrict, &out.lo, &bad);
  return bad < 0 ? std::nullopt : std::optional(out);
}

std::optional<Bits128> ParseUlid(std::string_view t, const std::array<int8_t, 256>& digits) {
  if (t.size() != kUlidChars || t[0] < '0' || t[0] > '7') return std::nullopt;  // 26 x 5 bits are two more than 128
  Bits128 out;
  for (char c : t) {
    int8_t digit = digits[static_cast<unsigned char>(c)];
    if (digit == kNoDigit) return std::nullopt;
    ShiftIn(&out, 5, digit);
  }
  return out;
}

Micros TimeOfUpper48(const Bits128& b) { return static_cast<Micros>(b.hi >> 16) * 1000; }

void StoreBigEndian(uint64_t v, char* out) { PutFixed(out, __builtin_bswap64(v)); }
uint64_t LoadBigEndian(const char* p) { return __builtin_bswap64(GetFixed<uint64_t>(p)); }

TokenBytes Packed(TokenForm form, const Bits128& bits) {
  TokenBytes out;
  out.form = form;
  StoreBigEndian(bits.hi, out.packed.data());
  StoreBigEndian(bits.lo, out.packed.data() + 8);
  return out;
}

// The `bits` bits that end `from_low` bits above the lowest.
size_t DigitAt(const Bits128& b, int from_low, int bits) {
  uint64_t v = b.lo;
  if (from_low >= 64) {
    v = b.hi >> (from_low - 64);
  } else if (from_low > 0) {
    v = b.lo >> from_low | b.hi << (64 - from_low);
  }
  return v & ((size_t{1} << bits) - 1);
}

void AppendHex(const Bits128& bits, bool hyphens, std::string* out) {
  for (int digit = 31; digit >= 0; digit--) {
    out->push_back(kHexDigits[DigitAt(bits, digit * 4, 4)]);
    bool group_ends = digit == 24 || digit == 20 || digit == 16 || digit == 12;
    if (hyphens && group_ends) out->push_back('-');
  }
}

}  // namespace

Status CheckToken(std::string_view token) { return CheckText("idempotency_token.token", token, kTokenBytesMax); }

Micros TokenOwnTime(std::string_view token) {
  if (token.size() == kUuidChars && token[14] == '7') {
    bool variant = std::string_view("89abAB").find(token[19]) != std::string_view::npos;
    if (!variant) return kNoTime;
    auto bits = ParseUuid(token, kHexEither);
    return bits ? TimeOfUpper48(*bits) : kNoTime;
  }
  if (token.size() == kUlidChars) {
    auto bits = ParseUlid(token, kCrockfordEither);
    return bits ? TimeOfUpper48(*bits) : kNoTime;
  }
  return kNoTime;
}

std::string MakeUuidV7(int64_t unix_ms, uint64_t random_a, uint64_t random_b) {
  Bits128 bits;
  bits.hi = static_cast<uint64_t>(unix_ms) << 16 | 0x7000 | (random_a & 0x0FFF);
  bits.lo = uint64_t{1} << 63 | random_b >> 2;
  std::string out;
  out.reserve(kUuidChars);
  AppendHex(bits, true, &out);
  return out;
}

TokenBytes PackToken(std::string_view token) {
  if (token.empty()) return {};
  if (auto bits = ParseUuid(token, kHexStrict)) return Packed(TokenForm::kUuid, *bits);
  if (auto bits = ParseHex32(token)) return Packed(TokenForm::kHex32, *bits);
  if (auto bits = ParseUlid(token, kCrockfordStrict)) return Packed(TokenForm::kUlid, *bits);
  TokenBytes text;
  text.form = TokenForm::kText;
  text.text = token;
  return text;
}

TokenBytes StoredToken(TokenForm form, std::string_view bytes) {
  TokenBytes token;
  token.form = form;
  if (form == TokenForm::kNone || form == TokenForm::kText) {
    token.text = bytes;
  } else {
    QUIPU_ASSERT(bytes.size() == token.packed.size(), "{} bytes of form {}", bytes.size(), static_cast<int>(form));
    std::memcpy(token.packed.data(), bytes.data(), bytes.size());
  }
  return token;
}

Micros TokenOwnTime(const TokenBytes& token) {
  const Bits128 bits{.hi = LoadBigEndian(token.packed.data()), .lo = LoadBigEndian(token.packed.data() + 8)};
  switch (token.form) {
    case TokenForm::kUuid:
      // Version 7, and the variant of RFC 9562.
      return (bits.hi >> 12 & 15) == 7 && bits.lo >> 62 == 2 ? TimeOfUpper48(bits) : kNoTime;
    case TokenForm::kUlid:
      return TimeOfUpper48(bits);
    case TokenForm::kText:
      return TokenOwnTime(token.text);  // in the letters' other case
    case TokenForm::kNone:
    case TokenForm::kHex32:
      return kNoTime;
  }
  QUIPU_ASSERT(false, "form {}", static_cast<int>(token.form));
}

std::string TokenText(const TokenBytes& token) {
  std::string out;
  const Bits128 bits{.hi = LoadBigEndian(token.packed.data()), .lo = LoadBigEndian(token.packed.data() + 8)};
  switch (token.form) {
    case TokenForm::kNone:
    case TokenForm::kText:
      out = token.text;
      break;
    case TokenForm::kUuid:
      AppendHex(bits, true, &out);
      break;
    case TokenForm::kHex32:
      AppendHex(bits, false, &out);
      break;
    case TokenForm::kUlid:
      // Above the first digit's three bits there is nothing: 26 digits cover two bits more than there are.
      for (int digit = static_cast<int>(kUlidChars) - 1; digit >= 0; digit--) {
        out.push_back(kCrockfordDigits[DigitAt(bits, digit * 5, 5)]);
      }
  }
  return out;
}

}  // namespace quipu
