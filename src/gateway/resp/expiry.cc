#include "gateway/resp/expiry.h"

#include <algorithm>

#include "gateway/resp/number.h"

namespace quipu::resp {

std::optional<ExpiryUnit> ParseExpiryUnit(std::string_view word) {
  if (EqualsIgnoreCase(word, "EX")) return ExpiryUnit::kSeconds;
  if (EqualsIgnoreCase(word, "PX")) return ExpiryUnit::kMillis;
  if (EqualsIgnoreCase(word, "EXAT")) return ExpiryUnit::kUnixSeconds;
  if (EqualsIgnoreCase(word, "PXAT")) return ExpiryUnit::kUnixMillis;
  return std::nullopt;
}

std::optional<int64_t> ExpiryAtMs(ExpiryUnit unit, int64_t value, int64_t now_ms) {
  bool seconds = unit == ExpiryUnit::kSeconds || unit == ExpiryUnit::kUnixSeconds;
  if (seconds && __builtin_mul_overflow(value, int64_t{1000}, &value)) return std::nullopt;
  bool relative = unit == ExpiryUnit::kSeconds || unit == ExpiryUnit::kMillis;
  // Not later than now is past by any clock, the store's included, which stands still while a frame is open.
  if (relative && value <= 0) return 1;
  if (relative && __builtin_add_overflow(value, now_ms, &value)) return std::nullopt;
  return std::max<int64_t>(value, 1);
}

}  // namespace quipu::resp
