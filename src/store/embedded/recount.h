// The judge of one counter's history: fed its events in the order of their positions, it knows what the counter must be
// after each, and says where the events contradict each other, the checkpoint or the sums of minutes.
//
// Threads   One owner.
// Memory    One entry per minute with adds, one per token inside the horizon.
// Errors    Contradictions go to `found` as text; nothing is assumed of what is fed.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/namespace.h"
#include "store/decide.h"
#include "store/embedded/settled.h"

namespace quipu::store {

struct IntervalSum {
  __int128 sum = 0;
  uint64_t events = 0;
};
using MinuteSums = std::map<int64_t, IntervalSum>;  // by start, in microseconds

class CounterRecount {
 public:
  // ns: null if there is none; then tokens are not judged.
  CounterRecount(const Namespace* ns, std::function<void(std::string)> found) : ns_(ns), found_(std::move(found)) {}

  void Add(const SettledEvent& event);
  // After the settled events and before those beyond: the checkpoint (null: none) must be what they lead to. Where
  // there are no events it is what the recount goes on from.
  void CompareCheckpoint(const Checkpoint* checkpoint);
  // The sums of the adds so far against the stored ones. What cannot be right in any case is returned; *first_more is
  // set where more adds are stored than were fed, which is right if events were dropped.
  std::vector<std::string> CompareSums(const MinuteSums& stored, std::string* first_more) const;

  uint64_t events() const { return events_; }
  uint64_t tokens() const { return tokens_; }
  bool exists() const { return state_.exists; }
  // Recounted from a moment when the counter did not exist.
  bool full() const { return full_; }

 private:
  void CheckChain(const SettledEvent& e);
  void CheckMeaning(const SettledEvent& e);
  void CheckToken(const SettledEvent& e);

  const Namespace* ns_;
  std::function<void(std::string)> found_;
  bool known_ = false;  // state_ holds
  bool full_ = false;
  CounterState state_;
  Position last_ = 0;          // of all events
  Position last_changed_ = 0;  // of those that were not refused
  uint64_t events_ = 0, tokens_ = 0;
  MinuteSums sums_;
  std::map<std::string, std::pair<Position, Micros>, std::less<>> seen_;  // token: position, kept from
};

}  // namespace quipu::store
