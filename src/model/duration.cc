#include <fmt/core.h>

#include <charconv>

#include "model/namespace.h"

namespace quipu {
namespace {

struct Unit {
  std::string_view name;
  int64_t us;
};
// Largest first: the largest unit that divides a duration gives its shortest form.
constexpr Unit kUnits[] = {{"d", 86400ll * 1000 * 1000},
                           {"h", 3600ll * 1000 * 1000},
                           {"m", 60ll * 1000 * 1000},
                           {"s", 1000 * 1000},
                           {"ms", 1000},
                           {"us", 1}};

Status NotADuration(std::string_view text, std::string_view why) {
  return Status(Code::kInvalidArgument,
                fmt::format("duration of {} bytes {}; write a whole number and a unit: 100us, 250ms, 30s, 5m, 24h, 30d",
                            text.size(), why));
}

}  // namespace

Result<int64_t> ParseDurationMicros(std::string_view text) {
  int64_t number = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return NotADuration(text, "is too long");
  if (error != std::errc() || text[0] == '-') return NotADuration(text, "does not start with a whole number");
  std::string_view unit_name(rest, static_cast<size_t>(text.data() + text.size() - rest));
  for (const Unit& unit : kUnits) {
    if (unit.name != unit_name) continue;
    int64_t us = 0;
    if (__builtin_mul_overflow(number, unit.us, &us)) return NotADuration(text, "is too long");
    return us;
  }
  return NotADuration(text, "has no known unit");
}

std::string FormatDurationMicros(int64_t us) {
  QUIPU_ASSERT(us >= 0, "us={}", us);
  if (us == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (us % unit.us == 0) return fmt::format("{}{}", us / unit.us, unit.name);
  }
  QUIPU_ASSERT(false, "a microsecond divides every duration");
}

}  // namespace quipu
