// The sums of one step: what the lines of a few megabytes add to each counter in each minute. A hot counter costs one
// entry, however many lines name it.
//
// Threads   One owner. Memory: reused from step to step; names live in one arena.
// Cost      About 15 ns a line when the counter is known to the step.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quipu::ingest {

inline constexpr int64_t kNoEventTime = INT64_MIN;
inline constexpr int64_t kMinuteMs = 60'000;

struct StepEntry {
  std::string_view name;  // valid until Clear
  uint64_t name_hash = 0;
  int64_t minute_ms = 0;  // start of the minute, or kNoEventTime
  int64_t delta = 0;
  uint32_t records = 0;
  bool refused = false;  // the name is not allowed; its lines are refused
};

class Aggregator {
 public:
  Aggregator();

  enum class Added : uint8_t { kYes, kBadName, kOverflow };  // kOverflow: the step's sum would leave 64 bits; not added
  Added Add(std::string_view name, int64_t minute_ms, int64_t delta);

  // In order of first appearance, those with a bad name among them.
  size_t size() const { return entries_.size(); }
  size_t name_bytes() const { return arena_.size(); }
  StepEntry entry(size_t i) const;
  // The entry that the last Add went to.
  size_t last() const { return last_; }
  void Clear();

 private:
  struct Entry {
    size_t name_at;
    uint32_t name_size;
    bool refused;
    uint64_t hash;  // of name and minute
    uint64_t name_hash;
    int64_t minute_ms;
    int64_t delta;
    uint32_t records;  // that were added
  };
  void Grow();

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // entry number + 1 by hash, open addressing; 0 = free
  size_t last_ = 0;
};

}  // namespace quipu::ingest
