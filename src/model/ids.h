// Small shared vocabulary: what a position, a namespace and a time are.
#pragma once
#include <cstdint>
#include <limits>

namespace quipu {

// The order in which a store made events final, per shard, from 1. 0 means "before everything".
using Position = uint64_t;

// Dense number of a namespace, given at creation and never reused. 0 is `default`.
using NamespaceId = uint32_t;
inline constexpr NamespaceId kDefaultNamespace = 0;
inline constexpr NamespaceId kNamespaceIdMax = (1u << 19) - 1;  // the hot table keeps 19 bits

// Microseconds since 1970 UTC; kNoTime where a time was not given.
using Micros = int64_t;
inline constexpr Micros kNoTime = std::numeric_limits<int64_t>::min();
// Event times are stored in 53 bits: what lies beyond 1970 +- 142 years, in the years 1827 and 2112, is refused.
inline constexpr Micros kEventUsMax = (int64_t{1} << 52) - 1;
inline constexpr int64_t kEventMsMax = kEventUsMax / 1000;

}  // namespace quipu
