#include "model/text.h"

#include <fmt/core.h>

#include <cstdint>
#include <cstring>

namespace quipu {
namespace {

template <class Word>
Word Load(const char* p) {
  Word w;
  memcpy(&w, p, sizeof w);
  return w;
}

constexpr uint64_t kEach = 0x0101010101010101u;  // times a byte = that byte in each place
constexpr uint64_t kHighBits = kEach * 0x80;

// True if each of the eight bytes is within 0x20..0x7E.
bool AllPrintableAscii(uint64_t w) {
  uint64_t below_20 = (w - kEach * 0x20) & ~w;
  uint64_t is_7f_or_more = w | (w + kEach);  // a 0x7F carries into its high bit; higher bytes have it anyway
  return ((below_20 | is_7f_or_more) & kHighBits) == 0;
}

bool IsPrintableAscii(const char* p, size_t n) {
  if (n >= 8) {
    for (size_t i = 0; i + 8 < n; i += 8) {
      if (!AllPrintableAscii(Load<uint64_t>(p + i))) return false;
    }
    return AllPrintableAscii(Load<uint64_t>(p + n - 8));
  }
  if (n >= 4) return AllPrintableAscii(uint64_t{Load<uint32_t>(p)} << 32 | Load<uint32_t>(p + n - 4));
  for (size_t i = 0; i < n; i++) {
    if (p[i] < 0x20 || p[i] == 0x7F) return false;
  }
  return true;
}

bool IsContinuation(unsigned char c) { return (c & 0xC0) == 0x80; }

// Bytes of the character at p (n > 0 are left), 0 if it breaks the rule.
size_t CharacterBytes(const unsigned char* p, size_t n) {
  unsigned char c = p[0];
  if (c < 0x80) return c >= 0x20 && c != 0x7F ? 1 : 0;
  if (c < 0xC2) return 0;  // a continuation, or an overlong form of ASCII
  if (n < 2 || !IsContinuation(p[1])) return 0;
  if (c < 0xE0) return c == 0xC2 && p[1] < 0xA0 ? 0 : 2;  // C2 80..9F are the C1 controls
  if (n < 3 || !IsContinuation(p[2])) return 0;
  if (c == 0xE0 && p[1] < 0xA0) return 0;   // overlong
  if (c == 0xED && p[1] >= 0xA0) return 0;  // surrogates
  if (c < 0xF0) return 3;
  if (n < 4 || !IsContinuation(p[3])) return 0;
  if (c == 0xF0 && p[1] < 0x90) return 0;                 // overlong
  if (c > 0xF4 || (c == 0xF4 && p[1] >= 0x90)) return 0;  // above U+10FFFF
  return 4;
}

}  // namespace

size_t PrintableUtf8Prefix(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  size_t at = 0;
  while (at < text.size()) {
    size_t bytes = CharacterBytes(p + at, text.size() - at);
    if (bytes == 0) break;
    at += bytes;
  }
  return at;
}

bool IsPrintableUtf8(std::string_view text) {
  return IsPrintableAscii(text.data(), text.size()) || PrintableUtf8Prefix(text) == text.size();
}

Status CheckText(std::string_view field, std::string_view text, size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} has {} bytes, allowed are 1 to {}", field, text.size(), bytes_max));
  }
  if (IsPrintableUtf8(text)) return OkStatus();
  const size_t good = PrintableUtf8Prefix(text);
  return Status(Code::kInvalidArgument,
                fmt::format("{}: byte {} (0x{:02x}) breaks the rule: UTF-8 without control characters", field, good,
                            static_cast<unsigned char>(text[good])));
}

}  // namespace quipu
