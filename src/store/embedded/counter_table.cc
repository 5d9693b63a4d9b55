#include "store/embedded/counter_table.h"

#include <algorithm>
#include <cstdlib>

namespace quipu::store {
namespace {

constexpr uint32_t kFirstSize = 4;
constexpr uint32_t kOverflowMax = 24;
uint32_t Overflow(uint32_t size) { return std::min(size, kOverflowMax); }

// Shared by all partitions that are not in use yet: home 0, empty, never written.
alignas(64) CounterSlot g_empty[1] = {};

CounterSlot* AllocateSlots(size_t n) {
  void* p = std::aligned_alloc(64, n * sizeof(CounterSlot));
  QUIPU_ASSERT(p != nullptr, "no memory for {} counters", n);
  std::memset(p, 0, n * sizeof(CounterSlot));
  return static_cast<CounterSlot*>(p);
}

}  // namespace

CounterTable::CounterTable()
    : parts_(kPartitions, Part{.slots = g_empty, .size = 0, .overflow = 0, .used = 0, .grouped = false}) {
  memory_bytes_ = parts_.size() * sizeof(Part);
}

CounterTable::~CounterTable() {
  for (uint32_t p = 0; p < kPartitions; ++p) {
    VisitPartition(p, [](CounterSlot* s) {
      if (s->name_len > kInlineNameBytes) std::free(s->name_heap.heap);
    });
    if (parts_[p].size != 0) std::free(parts_[p].slots);
  }
}

uint64_t CounterTable::FirstHashOf(const Part& part, uint32_t partition, uint32_t index) {
  uint64_t scaled = ((static_cast<uint64_t>(index) << 32) + part.size - 1) / part.size;
  return (static_cast<uint64_t>(partition) << (64 - kPartitionBits)) | (scaled << (32 - kPartitionBits));
}

void CounterTable::Place(Part* part, const CounterSlot& slot) {
  CounterSlot* at = part->slots + Home(*part, slot.hash);
  while (at->used()) ++at;
  *at = slot;
}

void CounterTable::Rebuild(Part* part, uint32_t size, uint32_t overflow) {
  for (;; overflow *= 2) {
    Part bigger{.slots = AllocateSlots(size + overflow + 1),
                .size = size,
                .overflow = overflow,
                .used = part->used,
                .grouped = part->grouped};
    bool fits = true;
    for (uint32_t i = 0; i < part->size + part->overflow && fits; ++i) {
      if (part->slots[i].used()) {
        Place(&bigger, part->slots[i]);
        fits = !bigger.slots[size + overflow - 1].used();
      }
    }
    if (!fits) {  // the last cluster ran over the end: equal hashes, which no table size spreads
      std::free(bigger.slots);
      continue;
    }
    if (part->size != 0) {
      memory_bytes_ -= (part->size + part->overflow + 1) * sizeof(CounterSlot);
      std::free(part->slots);
    }
    memory_bytes_ += (size + overflow + 1) * sizeof(CounterSlot);
    *part = bigger;
    return;
  }
}

void CounterTable::SetName(CounterSlot* slot, std::string_view name) {
  slot->name_len = name.size() & 0x7ff;
  if (name.size() <= kInlineNameBytes) {
    std::memcpy(slot->name_inline, name.data(), name.size());
    return;
  }
  auto* heap = static_cast<char*>(std::malloc(name.size()));
  QUIPU_ASSERT(heap != nullptr, "no memory for a name of {} bytes", name.size());
  std::memcpy(heap, name.data(), name.size());
  slot->name_heap.heap = heap;
  memory_bytes_ += name.size() + 8;
}

void CounterTable::Shrink(uint32_t partition) {
  Part* part = &parts_[partition];
  uint32_t size = std::max(kFirstSize, part->used + part->used / 2);
  if (part->used < part->size / 5 * 2 && size < part->size) Rebuild(part, size, Overflow(size));
}

CounterSlot* CounterTable::Insert(uint64_t hash, NamespaceId ns, std::string_view name) {
  QUIPU_ASSERT(!name.empty() && name.size() <= kCounterNameBytesMax, "name of {} bytes", name.size());
  Part* part = &parts_[PartitionOf(hash)];
  if (part->used + 1 > part->size - part->size / 5 || part->size == 0) {
    const uint32_t size = part->size == 0 ? kFirstSize : part->size + std::max(part->size / 4, kFirstSize);
    Rebuild(part, size, Overflow(size));
  }
  for (;;) {
    CounterSlot* at = part->slots + Home(*part, hash);
    while (at->used()) ++at;
    if (at >= part->slots + part->size + part->overflow - 1) {
      Rebuild(part, part->size, part->overflow * 2);
      continue;
    }
    std::memset(static_cast<void*>(at), 0, sizeof *at);
    at->hash = hash;
    at->ns = ns & kNamespaceIdMax;
    SetName(at, name);
    part->grouped |= name.back() == ']' && !SplitGrouped(name).group.empty();
    ++part->used;
    ++size_;
    return at;
  }
}

void CounterTable::Erase(CounterSlot* slot) {
  Part* part = &parts_[PartitionOf(slot->hash)];
  if (slot->name_len > kInlineNameBytes) {
    memory_bytes_ -= slot->name_len + 8u;
    std::free(slot->name_heap.heap);
  }
  // Backward shift: the following slots of the cluster move up where their home allows it.
  CounterSlot* hole = slot;
  for (CounterSlot* next = hole + 1; next->used(); ++next) {
    if (part->slots + Home(*part, next->hash) <= hole) {
      *hole = *next;
      hole = next;
    }
  }
  std::memset(static_cast<void*>(hole), 0, sizeof *hole);
  --part->used;
  --size_;
}

}  // namespace quipu::store
