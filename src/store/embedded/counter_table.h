// The hot counters of a shard: one 64-byte line each, found with one cache miss that can be prefetched. One small table
// per partition, so that growing one moves a few hundred or thousand counters at a time and never all of them; within a
// partition counters stand in hash order (linear probing from a proportional home), which makes scans by hash cheap.
//
// Threads   One owner. Pointers to slots hold until the next Insert or Erase in the same partition.
// Memory    64 bytes a slot at a load of 0.64 to 0.8 (0.4 after deletions), names beyond 24 bytes on the heap.
//           Partitions appear on first use: 2.4 MB once all are there.
// Errors    None; running out of memory ends the process (the engine keeps the budget by evicting).
// Cost      Find: about 5 ns after a prefetch, one or two cache misses without. Insert: amortised 20 ns.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "model/ids.h"
#include "model/name.h"

namespace quipu::store {

inline constexpr size_t kInlineNameBytes = 24;

struct alignas(64) CounterSlot {
  uint64_t hash;  // 0 with name_len 0: empty
  int64_t value;
  uint64_t position : 56;  // of its last event
  uint64_t exists : 1;
  uint64_t referenced : 1;  // since the last eviction pass
  uint64_t in_heap : 1;     // the expiry heap has an entry that is due at or before expiry_ms
  uint64_t unused : 5;
  uint64_t last_write : 53;  // microseconds + kLastWriteBias, 0 = none; see SetLastWrite and last_write_us
  uint64_t name_len : 11;
  uint64_t expiry_ms : 45;  // 0 = none
  uint64_t ns : 19;
  union {
    char name_inline[kInlineNameBytes];
    struct {
      char* heap;
      char prefix[kInlineNameBytes - 8];
    } name_heap;
  };

  static constexpr int64_t kLastWriteBias = int64_t{1} << 52;
  Micros last_write_us() const { return last_write == 0 ? kNoTime : static_cast<int64_t>(last_write) - kLastWriteBias; }
  static_assert(kEventUsMax < kLastWriteBias);
  // Times beyond the range, which no op has, are brought to its end.
  void SetLastWrite(Micros us) {
    const int64_t biased = us == kNoTime ? 0 : std::clamp(us, -kEventUsMax, kEventUsMax) + kLastWriteBias;
    last_write = static_cast<uint64_t>(biased) & ((uint64_t{1} << 53) - 1);
  }
  bool used() const { return name_len != 0; }
  std::string_view name() const {
    return {name_len <= kInlineNameBytes ? name_inline : name_heap.heap, static_cast<size_t>(name_len)};
  }
};
static_assert(sizeof(CounterSlot) == 64, "one cache line");
static_assert(kCounterNameBytesMax < (1u << 11) && kPartitionBits < 16);

class CounterTable {
 public:
  CounterTable();
  ~CounterTable();
  CounterTable(const CounterTable&) = delete;
  CounterTable& operator=(const CounterTable&) = delete;

  // First PrefetchPart for a number of counters, then Prefetch for the same ones, which needs what the first brings.
  // Must be inlined: g++ 12 drops a call that only prefetches.
  [[gnu::always_inline]] void PrefetchPart(uint64_t hash) const { __builtin_prefetch(&parts_[PartitionOf(hash)]); }
  [[gnu::always_inline]] void Prefetch(uint64_t hash) const {
    const Part& part = parts_[PartitionOf(hash)];
    __builtin_prefetch(part.slots + Home(part, hash));
  }
  CounterSlot* Find(uint64_t hash, NamespaceId ns, std::string_view name) const {
    const Part& part = parts_[PartitionOf(hash)];
    for (CounterSlot* s = part.slots + Home(part, hash); s->used(); ++s) {
      if (s->hash == hash && s->name_len == name.size() && s->ns == ns &&
          std::memcmp(s->name().data(), name.data(), name.size()) == 0) {
        return s;
      }
    }
    return nullptr;
  }
  // The counter must not be there. All fields but hash, ns and name are zero.
  CounterSlot* Insert(uint64_t hash, NamespaceId ns, std::string_view name);
  void Erase(CounterSlot* slot);

  // Visits the slots of a partition in table order (hash order up to neighbours) from the home of `from_hash`. `visit`
  // is called with null at each gap between clusters, and returns false to stop: at a gap, every counter with a hash
  // below the gap's own (the second argument) has been seen. Ends with a gap at the end of the partition.
  template <class Visit>
  void VisitFrom(uint64_t from_hash, Visit&& visit) const {
    const Part& part = parts_[PartitionOf(from_hash)];
    for (uint32_t i = Home(part, from_hash); i < part.size + part.overflow; ++i) {
      CounterSlot* s = part.slots + i;
      if (s->used()) {
        if (!visit(s, uint64_t{0})) return;
      } else if (i < part.size && !visit(nullptr, FirstHashOf(part, PartitionOf(from_hash), i))) {
        return;
      }
    }
    visit(nullptr, EndOf(PartitionOf(from_hash)));
  }
  // One past the last hash of a partition; 0 for the last partition (wraps).
  static uint64_t EndOf(uint32_t partition) { return static_cast<uint64_t>(partition + 1) << (64 - kPartitionBits); }

  // Visits every slot of one partition; `visit` must not insert or erase.
  template <class Visit>
  void VisitPartition(uint32_t partition, Visit&& visit) const {
    const Part& part = parts_[partition];
    for (uint32_t i = 0; i < part.size + part.overflow; ++i) {
      if (part.slots[i].used()) visit(&part.slots[i]);
    }
  }
  // False: no counter of a group (model/name.h) was put into this partition.
  bool MayHoldGroups(uint32_t partition) const { return parts_[partition].grouped; }
  // Erases the slots of one partition for which `gone` is true. Returns how many.
  template <class Gone>
  size_t EraseIf(uint32_t partition, Gone&& gone) {
    size_t erased = 0;
    Part& part = parts_[partition];
    for (uint32_t i = part.size + part.overflow; i > 0; --i) {
      // Downwards: a backward shift moves only slots that have been looked at, up to the run's end.
      while (part.slots[i - 1].used() && gone(&part.slots[i - 1])) {
        Erase(&part.slots[i - 1]);
        ++erased;
      }
    }
    return erased;
  }

  // Gives memory back where a partition has become sparse. Cost: a move of its counters.
  void Shrink(uint32_t partition);

  size_t size() const { return size_; }
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  // `slots` holds size + overflow entries and one that stays empty.
  struct Part {
    CounterSlot* slots;
    uint32_t size;
    uint32_t overflow;
    uint32_t used;
    bool grouped;
  };
  static constexpr uint64_t kLowMask = (uint64_t{1} << (64 - kPartitionBits)) - 1;

  [[gnu::always_inline]] static uint32_t Home(const Part& part, uint64_t hash) {
    // Proportional: the upper 32 of the partition's own 52 bits scaled to the table's size keep hash order.
    return static_cast<uint32_t>((((hash & kLowMask) >> (32 - kPartitionBits)) * part.size) >> 32);
  }
  // The smallest hash whose home is at or beyond `index`.
  static uint64_t FirstHashOf(const Part& part, uint32_t partition, uint32_t index);
  // Moves the partition into a table of this size (or with more room at its end, where equal hashes pile up).
  void Rebuild(Part* part, uint32_t size, uint32_t overflow);
  static void Place(Part* part, const CounterSlot& slot);
  void SetName(CounterSlot* slot, std::string_view name);

  std::vector<Part> parts_;
  size_t size_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace quipu::store
