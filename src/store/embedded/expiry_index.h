// When counters of a shard expire: by time over all namespaces, and within each one, so that a namespace at its limit
// gets rid of its own expired counters without waiting for everyone's.
//
// Threads   One owner.
// Memory    16 bytes an entry; some 200 a namespace that has any.
// Units     Milliseconds since 1970, UTC.
// Errors    None.
// Cost      Push and Pop: a heap's, and a tree step over the namespaces where the namespace's earliest entry changes.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "model/ids.h"

namespace quipu::store {

class ExpiryIndex {
 public:
  // A hint: the counters with this hash are to be looked at then.
  struct Entry {
    int64_t due_ms = 0;
    NamespaceId ns = 0;
    uint64_t hash = 0;
  };
  void Push(const Entry& entry);
  bool IsDue(int64_t now_ms) const { return !next_.empty() && next_.begin()->first <= now_ms; }
  bool IsDue(NamespaceId ns, int64_t now_ms) const;
  // The earliest of all; there must be one.
  Entry Pop() { return Pop(next_.begin()->second); }
  // The earliest of the namespace, which must have one.
  Entry Pop(NamespaceId ns);
  size_t size() const { return size_; }

 private:
  struct Due {
    int64_t ms = 0;
    uint64_t hash = 0;
    bool operator>(const Due& other) const { return ms > other.ms; }
  };
  using Heap = std::priority_queue<Due, std::vector<Due>, std::greater<>>;
  std::map<NamespaceId, Heap> heaps_;               // none is empty
  std::set<std::pair<int64_t, NamespaceId>> next_;  // each heap's earliest
  size_t size_ = 0;
};

}  // namespace quipu::store
