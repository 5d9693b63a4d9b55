#include "rt/meetings.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "rt/real.h"

namespace quipu::rt {
namespace {

TEST(Meetings, ManyOfThemBetweenBusyLoopsNeverDeadlockAndSeeEverybodyStandStill) {
  constexpr int kLoops = 3, kMeetings = 300;
  std::vector<std::unique_ptr<Loop>> loops;
  for (int i = 0; i < kLoops; ++i) loops.push_back(MakeRealLoop());
  Meetings meetings;
  // Plain integers: only a meeting of both owners may touch them together, and the sanitizer watches.
  std::vector<int64_t> owned(kLoops, 0);
  std::atomic<int> held = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kLoops; ++i) {
    for (int k = 0; k < kMeetings; ++k) {
      loops[i]->Post([&, i, k] {
        ++owned[i];
        int other = (i + 1 + k % 2) % kLoops;
        meetings.Hold({loops[i].get(), loops[other].get()}, [&, i, other] {
          --owned[i];
          ++owned[other];
          if (++held == kLoops * kMeetings) {
            for (auto& loop : loops) loop->Stop();
          }
        });
      });
    }
  }
  for (auto& loop : loops) threads.emplace_back([&loop] { loop->Run(); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(held, kLoops * kMeetings);
  EXPECT_EQ(owned[0] + owned[1] + owned[2], kLoops * kMeetings);
}

TEST(Meetings, StopLetsWaitingLoopsGo) {
  auto a = MakeRealLoop(), b = MakeRealLoop();
  Meetings meetings;
  bool acted = false;
  meetings.Hold({a.get(), b.get()}, [&] { acted = true; });
  a->Post([&] { a->Stop(); });
  std::thread stopper([&] { meetings.Stop(); });
  a->Run();  // b never arrives
  stopper.join();
  EXPECT_FALSE(acted);
}

}  // namespace
}  // namespace quipu::rt
