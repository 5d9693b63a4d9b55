#include "rt/timer_heap.h"

#include "base/assert.h"

namespace quipu::rt {

void TimerHeap::Place(size_t slot, Entry entry) {
  heap_[slot] = entry;
  entry.timer->heap_slot = slot;
}

void TimerHeap::SiftUp(size_t slot, Entry entry) {
  while (slot > 0) {
    const size_t parent = (slot - 1) / 2;
    if (heap_[parent].due <= entry.due) break;
    Place(slot, heap_[parent]);
    slot = parent;
  }
  Place(slot, entry);
}

void TimerHeap::SiftDown(size_t slot, Entry entry) {
  for (;;) {
    size_t child = 2 * slot + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].due < heap_[child].due) ++child;
    if (entry.due <= heap_[child].due) break;
    Place(slot, heap_[child]);
    slot = child;
  }
  Place(slot, entry);
}

void TimerHeap::Arm(Timer* timer, int64_t due_mono_us) {
  const Entry entry{due_mono_us, timer};
  timer->due_mono_us = due_mono_us;
  if (!timer->armed) {
    timer->armed = true;
    heap_.push_back(entry);
    SiftUp(heap_.size() - 1, entry);
    return;
  }
  const size_t slot = timer->heap_slot;
  QUIPU_ASSERT(slot < heap_.size(), "slot={} size={}", slot, heap_.size());
  QUIPU_ASSERT(heap_[slot].timer == timer, "a timer of another loop, slot={}", slot);
  if (due_mono_us < heap_[slot].due) {
    SiftUp(slot, entry);
  } else {
    SiftDown(slot, entry);
  }
}

void TimerHeap::Disarm(Timer* timer) {
  if (!timer->armed) return;
  const size_t slot = timer->heap_slot;
  QUIPU_ASSERT(slot < heap_.size(), "slot={} size={}", slot, heap_.size());
  QUIPU_ASSERT(heap_[slot].timer == timer, "a timer of another loop, slot={}", slot);
  timer->armed = false;
  const int64_t freed_due = heap_[slot].due;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (last.timer == timer) return;
  if (last.due < freed_due) {
    SiftUp(slot, last);
  } else {
    SiftDown(slot, last);
  }
}

Timer* TimerHeap::PopDue(int64_t now_mono_us) {
  if (heap_.empty() || heap_.front().due > now_mono_us) return nullptr;
  Timer* timer = heap_.front().timer;
  Disarm(timer);
  return timer;
}

}  // namespace quipu::rt
