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

constexpr auto kCrockfordStrict = DigitTable(kCrockfordDigits, Case::kStrict);
constexpr auto kCrockfordEither = DigitTable(kCrockfordDigits, Case::kEither);

// Appends a digit of `bits` bits at the low end.
void ShiftIn(Bits128* b, int bits, int8_t digit) {
  b->hi = b->hi << bits | b->lo >> (64 - bits);
  b->lo = b->lo << bits | static_cast<uint64_t>(digit);
}

// Eight hexadecimal digits, one in each byte of `text`, the first one in the lowest: their value. *bad becomes another
// number than 0 where a byte is no digit. All bytes are worked on at once; no step carries from one to the next.
uint64_t EightHexDigits(uint64_t text, Case letters, uint64_t* bad) {
  constexpr uint64_t kEach = 0x0101010101010101u;
  if (letters == Case::kEither) {
    *bad |= ~(text | text << 1) & kEach * 0x40;  // 0x20 must be there or 0x40, or a control character became a digit
    text |= kEach * 0x20;
  }
  const uint64_t letter = text >> 6 & kEach;
  const uint64_t digit = (text & kEach * 0x0f) + 9 * letter;
  const uint64_t spelled = digit + kEach * '0' + letter * ('a' - '0' - 10);
  const uint64_t ten_or_more = (digit + kEach * 6) >> 4 & kEach;
  *bad |= (text ^ spelled) | (digit & kEach * 0xf0) | (ten_or_more ^ letter);
  uint64_t v = (digit << 4 | digit >> 8) & 0x00ff00ff00ff00ffu;
  v = (v | v >> 8) & 0x0000ffff0000ffffu;
  return __builtin_bswap32(static_cast<uint32_t>(v | v >> 16));
}

std::optional<Bits128> ParseUuid(std::string_view t, Case letters) {
  if (t.size() != kUuidChars) return std::nullopt;
  const char* const p = t.data();
  if (p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-') return std::nullopt;
  const auto four = [p](size_t at) { return uint64_t{GetFixed<uint32_t>(p + at)}; };
  const auto eight = [p](size_t at) { return GetFixed<uint64_t>(p + at); };
  uint64_t bad = 0;
  const uint64_t a = EightHexDigits(eight(0), letters, &bad);
  const uint64_t b = EightHexDigits(four(9) | four(14) << 32, letters, &bad);
  const uint64_t c = EightHexDigits(four(19) | four(24) << 32, letters, &bad);
  const uint64_t d = EightHexDigits(eight(28), letters, &bad);
  if (bad != 0) return std::nullopt;
  return Bits128{.hi = a << 32 | b, .lo = c << 32 | d};
}

std::optional<Bits128> ParseHex32(std::string_view t) {
  if (t.size() != kHexChars) return std::nullopt;
  uint64_t bad = 0, words[4];
  for (size_t i = 0; i < 4; ++i) words[i] = EightHexDigits(GetFixed<uint64_t>(t.data() + 8 * i), Case::kStrict, &bad);
  if (bad != 0) return std::nullopt;
  return Bits128{.hi = words[0] << 32 | words[1], .lo = words[2] << 32 | words[3]};
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
    auto bits = ParseUuid(token, Case::kEither);
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
  if (auto bits = ParseUuid(token, Case::kStrict)) return Packed(TokenForm::kUuid, *bits);
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
