// The listing half of MemoryStore: pages of counters, events of one counter, counts.
#include "model/name.h"
#include "store/memory/memory_store.h"

namespace quipu::store {
namespace {

constexpr size_t kScanEntriesMax = 100'000;
constexpr size_t kEventsMax = 10'000;

CounterEntry Entry(const std::string& name, const CounterState& s) {
  return {.name = name, .value = s.value, .expiry_ms = s.expiry_ms, .last_write_us = s.last_write_us};
}

}  // namespace

void MemoryStore::Scan(ScanOp* op) {
  QUIPU_ASSERT(op->limit >= 1 && op->limit <= kScanEntriesMax, "limit={}", op->limit);
  now_us_ = loop_->WallMicros();
  op->status = OkStatus();
  op->entries.clear();
  op->next_cursor = 0;
  op->more = false;
  if (closed_) {
    op->status = Status(Code::kUnavailable, "the store is closing");
  } else if (FindNamespace(op->ns) == nullptr) {
    op->status = Status(Code::kNamespaceNotFound, fmt::format("no such namespace: {}", op->ns));
  } else {
    switch (op->order) {
      case ScanOp::Order::kHash:
        FillByHash(op);
        break;
      case ScanOp::Order::kName:
        FillByName(op);
        break;
      case ScanOp::Order::kTop:
        FillTop(op);
        break;
    }
  }
  loop_->Post([op] { op->on_done(op); });
}

void MemoryStore::FillByHash(ScanOp* op) const {
  uint64_t last_hash = op->cursor;
  for (auto it = state_.counters.lower_bound({.ns = op->ns, .hash = op->cursor}); it != state_.counters.end(); ++it) {
    const auto& [key, counter] = *it;
    if (key.ns != op->ns) break;
    // Counters with equal hashes stay together, because a cursor cannot point between them.
    if (op->entries.size() >= op->limit && key.hash != last_hash) {
      op->next_cursor = key.hash;
      break;
    }
    if (!IsExpired(counter.state.expiry_ms, now_ms())) op->entries.push_back(Entry(key.name, counter.state));
    last_hash = key.hash;
  }
}

std::vector<CounterEntry> MemoryStore::NamedEntries(const ScanOp& op) const {
  std::vector<CounterEntry> out;
  for (const auto& [key, counter] : state_.counters) {
    bool live = !IsExpired(counter.state.expiry_ms, now_ms());
    if (key.ns == op.ns && live && key.name.starts_with(op.prefix)) out.push_back(Entry(key.name, counter.state));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

void MemoryStore::FillByName(ScanOp* op) const {
  for (CounterEntry& entry : NamedEntries(*op)) {
    if (entry.name <= op->after_name) continue;
    if (op->entries.size() == op->limit) {
      op->more = true;
      break;
    }
    op->entries.push_back(std::move(entry));
  }
}

void MemoryStore::FillTop(ScanOp* op) const {
  op->entries = NamedEntries(*op);
  std::sort(op->entries.begin(), op->entries.end(), [op](const auto& a, const auto& b) {
    if (a.value == b.value) return a.name < b.name;
    return op->ascending ? a.value < b.value : a.value > b.value;
  });
  if (op->entries.size() > op->limit) op->entries.resize(op->limit);
}

void MemoryStore::Events(EventsOp* op) {
  QUIPU_ASSERT(op->limit >= 1 && op->limit <= kEventsMax, "limit={}", op->limit);
  op->status = OkStatus();
  op->events.clear();
  op->more = false;
  if (closed_) {
    op->status = Status(Code::kUnavailable, "the store is closing");
  } else if (FindNamespace(op->ns) == nullptr) {
    op->status = Status(Code::kNamespaceNotFound, fmt::format("no such namespace: {}", op->ns));
  } else if (auto it = state_.events.find({op->ns, HashCounter(op->ns, op->name), op->name});
             it != state_.events.end()) {
    for (const EventEntry& event : it->second) {
      if (event.position <= op->after) continue;
      if (op->events.size() == op->limit) {
        op->more = true;
        break;
      }
      op->events.push_back(event);
    }
  }
  loop_->Post([op] { op->on_done(op); });
}

uint64_t MemoryStore::CountCounters(NamespaceId ns) const {
  int64_t now = loop_->WallMicros() / 1000;
  uint64_t count = 0;
  for (auto it = state_.counters.lower_bound({.ns = ns}); it != state_.counters.end() && it->first.ns == ns; ++it) {
    if (!IsExpired(it->second.state.expiry_ms, now)) count++;
  }
  return count;
}

}  // namespace quipu::store
