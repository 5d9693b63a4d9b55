// The expiry options that several commands share: EX, PX, EXAT, PXAT, and their rules of range.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace quipu::resp {

enum class ExpiryUnit : uint8_t { kSeconds, kMillis, kUnixSeconds, kUnixMillis };

// "EX", "px", ...; empty for other words.
std::optional<ExpiryUnit> ParseExpiryUnit(std::string_view word);

// The unix ms that `value` means; empty if that leaves 64 bits. A result of 0 or less is a time long past, given as
// 1.
std::optional<int64_t> ExpiryAtMs(ExpiryUnit unit, int64_t value, int64_t now_ms);

}  // namespace quipu::resp
