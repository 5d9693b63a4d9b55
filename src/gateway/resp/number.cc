#include "gateway/resp/number.h"

#include <limits>

namespace quipu::resp {

bool ParseUint64(std::string_view text, uint64_t* value) {
  if (text.empty() || text.size() > 20) return false;
  if (text[0] == '0' && text.size() > 1) return false;
  uint64_t v = 0;
  for (char c : text) {
    auto digit = static_cast<uint64_t>(static_cast<unsigned char>(c) - '0');
    if (digit > 9) return false;
    if (__builtin_mul_overflow(v, uint64_t{10}, &v) || __builtin_add_overflow(v, digit, &v)) return false;
  }
  *value = v;
  return true;
}

bool ParseInt64(std::string_view text, int64_t* value) {
  bool negative = !text.empty() && text[0] == '-';
  uint64_t v = 0;
  if (!ParseUint64(negative ? text.substr(1) : text, &v)) return false;
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (negative) {
    if (v == 0 || v > kMax + 1) return false;
    *value = static_cast<int64_t>(~v + 1);
  } else {
    if (v > kMax) return false;
    *value = static_cast<int64_t>(v);
  }
  return true;
}

bool ParseCursor(std::string_view text, uint64_t* value) {
  const bool negative = text.starts_with('-');
  std::string_view digits = negative || text.starts_with('+') ? text.substr(1) : text;
  while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
  uint64_t v = 0;
  if (!text.empty() && !ParseUint64(digits, &v)) return false;
  *value = negative ? ~v + 1 : v;
  return true;
}

bool ParseHex128(std::string_view text, uint64_t* hi, uint64_t* lo) {
  if (text.size() != 32) return false;
  uint64_t words[2] = {0, 0};
  for (size_t i = 0; i < 32; ++i) {
    char c = text[i];
    uint64_t digit;
    if (c >= '0' && c <= '9')
      digit = static_cast<uint64_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
      digit = static_cast<uint64_t>(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
      digit = static_cast<uint64_t>(c - 'A') + 10;
    else
      return false;
    words[i / 16] = words[i / 16] << 4 | digit;
  }
  *hi = words[0];
  *lo = words[1];
  return true;
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  if (a == b) return true;  // as most clients spell it
  for (size_t i = 0; i < a.size(); ++i) {
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

}  // namespace quipu::resp
