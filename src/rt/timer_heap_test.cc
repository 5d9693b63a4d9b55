#include "rt/timer_heap.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

namespace quipu::rt {
namespace {

TEST(TimerHeap, GivesTimersInTheOrderInWhichTheyAreDue) {
  TimerHeap heap;
  std::vector<Timer> timers(5);
  const int64_t due[] = {30, 10, 50, 20, 40};
  for (size_t i = 0; i < timers.size(); ++i) heap.Arm(&timers[i], due[i]);
  EXPECT_EQ(heap.next_due(), 10);
  EXPECT_EQ(heap.PopDue(9), nullptr);
  for (size_t i : {1u, 3u, 0u, 4u, 2u}) EXPECT_EQ(heap.PopDue(100), &timers[i]);
  EXPECT_TRUE(heap.empty());
  EXPECT_EQ(heap.PopDue(100), nullptr);
}

TEST(TimerHeap, ADisarmedTimerNeverComes) {
  TimerHeap heap;
  Timer a;
  Timer b;
  heap.Arm(&a, 1);
  heap.Arm(&b, 2);
  heap.Disarm(&a);
  heap.Disarm(&a);
  EXPECT_FALSE(a.armed);
  EXPECT_EQ(heap.PopDue(5), &b);
  EXPECT_EQ(heap.PopDue(5), nullptr);
}

// The gap is filled by the heap's last timer, which may be due before the parent of the gap.
TEST(TimerHeap, DisarmingBelowALateParentKeepsTheOrder) {
  TimerHeap heap;
  std::vector<Timer> timers(15);
  const int64_t due[] = {1, 100, 2, 101, 102, 10, 3, 103, 104, 105, 106, 11, 12, 13, 4};
  for (size_t i = 0; i < timers.size(); ++i) heap.Arm(&timers[i], due[i]);
  heap.Disarm(&timers[7]);
  for (int64_t expected : {1, 2, 3, 4, 10, 11, 12, 13, 100, 101, 102, 104, 105, 106}) {
    Timer* timer = heap.PopDue(1'000);
    ASSERT_NE(timer, nullptr);
    EXPECT_EQ(timer->due_mono_us, expected);
  }
}

// Any order of arming, moving, disarming and popping equals a map sorted by due time.
RC_GTEST_PROP(TimerHeap, EqualsASortedListUnderAnySequence, ()) {
  constexpr size_t kTimers = 40;
  TimerHeap heap;
  std::vector<Timer> timers(kTimers);
  std::map<Timer*, int64_t> model;
  const auto steps = *rc::gen::container<std::vector<std::tuple<uint8_t, uint8_t, uint8_t>>>(
      rc::gen::tuple(rc::gen::arbitrary<uint8_t>(), rc::gen::arbitrary<uint8_t>(), rc::gen::arbitrary<uint8_t>()));
  for (const auto& [what, which, when] : steps) {
    Timer* timer = &timers[which % kTimers];
    switch (what % 4) {
      case 0:
      case 1:
        heap.Arm(timer, when);
        model[timer] = when;
        break;
      case 2:
        heap.Disarm(timer);
        model.erase(timer);
        break;
      default: {
        Timer* due = heap.PopDue(when);
        int64_t soonest = INT64_MAX;
        for (const auto& [t, d] : model) soonest = std::min(soonest, d);
        if (soonest > when) {
          RC_ASSERT(due == nullptr);
        } else {
          RC_ASSERT(due != nullptr);
          RC_ASSERT(model.at(due) == soonest);
          RC_ASSERT(!due->armed);
          model.erase(due);
        }
      }
    }
    RC_ASSERT(heap.size() == model.size());
    for (const auto& [t, d] : model) RC_ASSERT(t->armed && t->due_mono_us == d);
  }
}

}  // namespace
}  // namespace quipu::rt
