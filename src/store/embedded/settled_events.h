// Values of events and tokens in the settled state: docs/internals/settled.md has the tables and worked examples,
// test/golden/settled_rows.txt the bytes.
//
// An event's row holds up to kEventsInRowMax events of one counter, ascending by position; the key has the position of
// the last one. Each tells its differences from the one before: the first from the start of the slice and a value of 0.
//
// Memory    A row that is being made is kept in one buffer, used again by the next.
// Errors    Parse: false for anything that was not written here (bytes from disk are never asserted on).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/embedded/settled.h"

namespace quipu::store {

inline constexpr size_t kEventsInRowMax = 64;

// What the next event is told by.
struct EventBefore {
  Micros commit_us = 0;
  int64_t value = 0;
};

// The value of one row in the making.
class EventsRow {
 public:
  void Begin(Micros slice_start);
  // Ascending by position; one with a token stands for one add.
  void Add(const SettledEvent& event);
  size_t size() const { return size_; }
  Position last() const { return last_; }
  // Of at least one event.
  void Finish(std::string* value) const;

 private:
  std::string entries_;
  EventBefore before_;
  Position first_ = 0, last_ = 0;
  size_t size_ = 0;
};

// `last`: the position in the key. The tokens' texts point into `value`.
bool ParseEventsValue(std::string_view value, Micros slice_start, Position last, std::vector<SettledEvent>* events);

// A token's value: the position, and the event without its token. Written in two steps, so that the second can wait
// until the tokens are sorted.
inline constexpr size_t kTokenEventBytesMax = 2 + 8 * 10 + 8;
char* PutTokenEvent(const SettledEvent& event, Micros slice_start, char* p);
void SetTokenValue(Position position, std::string_view event_bytes, std::string* value);
bool ParseTokenValue(std::string_view value, Micros slice_start, SettledEvent* event);

}  // namespace quipu::store
