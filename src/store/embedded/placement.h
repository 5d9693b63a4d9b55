// Where things live when an engine has several shards: contiguous ranges of partitions, so that a scan in hash order
// passes the shards one after another, and one plain number per namespace that any thread may read.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "model/ids.h"
#include "model/name.h"
#include "store/event_store.h"

namespace quipu::store {

inline constexpr uint32_t kShardsMax = 256;

constexpr uint32_t ShardOfPartition(uint32_t partition, uint32_t shards) {
  return static_cast<uint32_t>(static_cast<uint64_t>(partition) * shards / kPartitions);
}
constexpr uint32_t ShardOf(uint64_t hash, uint32_t shards) { return ShardOfPartition(PartitionOf(hash), shards); }
// The shard that keeps a source's state.
constexpr uint32_t ShardOf(const SourceId& id, uint32_t shards) { return static_cast<uint32_t>(id.lo % shards); }

// How many counters exist, by namespace. One shard writes (or a step that holds it); any thread reads. Modulo 2^64: a
// shard's own number may be negative after the number of shards has changed, the sum over all shards is exact.
class NamespaceCounts {
 public:
  NamespaceCounts() = default;
  ~NamespaceCounts() {
    for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
  }
  NamespaceCounts(const NamespaceCounts&) = delete;
  NamespaceCounts& operator=(const NamespaceCounts&) = delete;

  uint64_t Get(NamespaceId ns) const {
    const std::atomic<uint64_t>* chunk = chunks_[ns / kChunk].load(std::memory_order_acquire);
    return chunk ? chunk[ns % kChunk].load(std::memory_order_relaxed) : 0;
  }
  void Add(NamespaceId ns, uint64_t n) {
    std::atomic<uint64_t>* chunk = chunks_[ns / kChunk].load(std::memory_order_relaxed);
    if (!chunk) {
      chunk = new std::atomic<uint64_t>[kChunk] {};
      chunks_[ns / kChunk].store(chunk, std::memory_order_release);
    }
    std::atomic<uint64_t>& count = chunk[ns % kChunk];
    count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kChunk = 1024;
  std::array<std::atomic<std::atomic<uint64_t>*>, (kNamespaceIdMax + 1) / kChunk> chunks_{};
};

}  // namespace quipu::store
