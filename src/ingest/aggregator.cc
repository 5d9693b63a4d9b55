#include "ingest/aggregator.h"

#include <xxhash.h>

#include "model/name.h"

namespace quipu::ingest {
namespace {

constexpr size_t kSlotsAtFirst = 1024;

}  // namespace

Aggregator::Aggregator() : slots_(kSlotsAtFirst) {}

void Aggregator::Clear() {
  arena_.clear();
  entries_.clear();
  std::fill(slots_.begin(), slots_.end(), 0u);
}

void Aggregator::Grow() {
  slots_.assign(slots_.size() * 2, 0);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = entries_[i].hash & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = static_cast<uint32_t>(i + 1);
  }
}

Aggregator::Added Aggregator::Add(std::string_view name, int64_t minute_ms, int64_t delta) {
  const uint64_t name_hash = XXH3_64bits(name.data(), name.size());
  const uint64_t hash = name_hash ^ (static_cast<uint64_t>(minute_ms) * 0x9E3779B97F4A7C15u);
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  for (; slots_[at] != 0; at = (at + 1) & mask) {
    Entry& e = entries_[slots_[at] - 1];
    if (e.hash != hash || e.minute_ms != minute_ms || std::string_view(arena_).substr(e.name_at, e.name_size) != name) {
      continue;
    }
    last_ = slots_[at] - 1;
    if (e.refused) return Added::kBadName;
    int64_t sum = 0;
    if (__builtin_add_overflow(e.delta, delta, &sum)) return Added::kOverflow;
    e.delta = sum;
    ++e.records;
    return Added::kYes;
  }
  const bool allowed = IsCounterName(name);
  last_ = entries_.size();
  entries_.push_back({.name_at = arena_.size(),
                      .name_size = static_cast<uint32_t>(name.size()),
                      .refused = !allowed,
                      .hash = hash,
                      .name_hash = name_hash,
                      .minute_ms = minute_ms,
                      .delta = delta,
                      .records = 1});
  arena_.append(name);
  slots_[at] = static_cast<uint32_t>(entries_.size());
  if (entries_.size() * 2 > slots_.size()) Grow();
  return allowed ? Added::kYes : Added::kBadName;
}

StepEntry Aggregator::entry(size_t i) const {
  const Entry& e = entries_[i];
  return {.name = std::string_view(arena_).substr(e.name_at, e.name_size),
          .name_hash = e.name_hash,
          .minute_ms = e.minute_ms,
          .delta = e.delta,
          .records = e.records,
          .refused = e.refused};
}

}  // namespace quipu::ingest
