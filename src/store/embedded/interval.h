// The intervals whose sums are kept: minutes of event time, told by their day; hours and days are made of them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>

#include "model/ids.h"

namespace quipu::store {

enum class Interval : uint8_t { kMinute = 1, kHour = 2, kDay = 3 };

constexpr int64_t IntervalWidth(Interval interval) {
  constexpr int64_t kMinuteUs = 60'000'000, kHourUs = 60 * kMinuteUs, kDayUs = 24 * kHourUs;
  return interval == Interval::kMinute ? kMinuteUs : interval == Interval::kHour ? kHourUs : kDayUs;
}

// Start of the interval that an add of this event time belongs to; the times of the first day that 64 bits hold belong
// to the second.
constexpr int64_t IntervalStart(Interval interval, Micros event_us) {
  const int64_t width = IntervalWidth(interval);
  const int64_t us = std::max(event_us, std::numeric_limits<int64_t>::min() + IntervalWidth(Interval::kDay));
  const int64_t within = us % width;
  return us - (within < 0 ? within + width : within);
}

// What was added in one minute of a day. The sum is exact: 128 bits hold 2^64 additions of any 64-bit numbers.
inline constexpr int kMinutesOfDay = 1440;
struct MinuteSum {
  uint16_t minute = 0;
  __int128 sum = 0;
  uint64_t events = 0;
  bool operator==(const MinuteSum&) const = default;
};

}  // namespace quipu::store
