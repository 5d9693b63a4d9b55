// Names of namespaces and counters: what is allowed, and how a counter's name becomes a place.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/ids.h"

namespace quipu {

inline constexpr size_t kCounterNameBytesMax = 1024;
inline constexpr size_t kNamespaceNameBytesMax = 63;

// [a-z0-9][a-z0-9_-]{0,62}; kInvalidArgument names the field `namespace` and the rule.
Status CheckNamespaceName(std::string_view name);
// 1 to 1,024 bytes of UTF-8 without control characters (U+0000..1F, 7F, 80..9F); kInvalidArgument names `counter_name`.
// Cost: about 1 ns for 20 ASCII bytes.
Status CheckCounterName(std::string_view name);
// The same answer without a message.
bool IsCounterName(std::string_view name);

// A counter's place: the upper 12 bits are its partition, all 64 the order of scans and of the state on disk. Stable
// for ever (XXH3 with the namespace as seed). For a grouped name `k[f]` the partition comes from `k` alone, so that a
// group lives in one shard, together with `k` itself; the other bits always come from the whole name. Cost: about 5 ns
// for 20 bytes.
uint64_t HashCounter(NamespaceId ns, std::string_view name);

inline constexpr int kPartitionBits = 12;
inline constexpr uint32_t kPartitions = 1u << kPartitionBits;
constexpr uint32_t PartitionOf(uint64_t hash) { return static_cast<uint32_t>(hash >> (64 - kPartitionBits)); }

// Splits `k[f]` (exactly one bracket pair, closing at the end, k not empty); group is empty if the name is not grouped.
struct GroupedName {
  std::string_view group;
  std::string_view field;
};
GroupedName SplitGrouped(std::string_view name);

}  // namespace quipu
