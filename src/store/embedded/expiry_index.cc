#include "store/embedded/expiry_index.h"

#include "base/assert.h"

namespace quipu::store {

void ExpiryIndex::Push(const Entry& entry) {
  Heap& heap = heaps_[entry.ns];
  if (heap.empty() || entry.due_ms < heap.top().ms) {
    if (!heap.empty()) next_.erase({heap.top().ms, entry.ns});
    next_.emplace(entry.due_ms, entry.ns);
  }
  heap.push({.ms = entry.due_ms, .hash = entry.hash});
  ++size_;
}

bool ExpiryIndex::IsDue(NamespaceId ns, int64_t now_ms) const {
  const auto heap = heaps_.find(ns);
  return heap != heaps_.end() && heap->second.top().ms <= now_ms;
}

ExpiryIndex::Entry ExpiryIndex::Pop(NamespaceId ns) {
  const auto it = heaps_.find(ns);
  QUIPU_ASSERT(it != heaps_.end(), "namespace {} has no expiry", ns);
  Heap& heap = it->second;
  const Due due = heap.top();
  heap.pop();
  --size_;
  if (heap.empty()) {
    next_.erase({due.ms, ns});
    heaps_.erase(it);
  } else if (heap.top().ms != due.ms) {
    next_.erase({due.ms, ns});
    next_.emplace(heap.top().ms, ns);
  }
  return {.due_ms = due.ms, .ns = ns, .hash = due.hash};
}

}  // namespace quipu::store
