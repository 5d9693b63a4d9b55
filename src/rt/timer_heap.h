// The armed timers of one loop, soonest first: a binary heap whose entries carry the due time, so that sifting touches
// the heap's own memory and not the timers, except to note where they are.
//
// Threads   One.
// Memory    Timers belong to their owners; the heap holds 16 bytes a timer and keeps its peak size.
// Cost      Arm, Disarm, PopDue: O(log n); no allocation once the peak has been reached.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rt/loop.h"

namespace quipu::rt {

class TimerHeap {
 public:
  // Also moves a timer that is armed already.
  void Arm(Timer* timer, int64_t due_mono_us);
  // Nothing happens if it is not armed.
  void Disarm(Timer* timer);
  // The soonest timer if it is due at `now`, disarmed; else null.
  Timer* PopDue(int64_t now_mono_us);

  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  // Not when empty.
  int64_t next_due() const { return heap_.front().due; }

 private:
  struct Entry {
    int64_t due;
    Timer* timer;
  };
  void Place(size_t slot, Entry entry);
  void SiftUp(size_t slot, Entry entry);
  void SiftDown(size_t slot, Entry entry);

  std::vector<Entry> heap_;
};

}  // namespace quipu::rt
