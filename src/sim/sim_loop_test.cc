#include "sim/sim_loop.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sim/sim_random.h"

namespace quipu::sim {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

struct World {
  SimClock clock;
  Trace trace;
  SimLoop loop{&clock, &trace, 7};
  std::vector<std::string> log;
};

struct Hook : rt::TurnHook {
  Hook(World* w, std::string n) : world(w), name(std::move(n)) {}
  void OnTurnEnd() override { world->log.push_back(name); }
  World* world;
  std::string name;
};

TEST(SimLoopTest, ATurnRunsCompletionsTimersPostsAndThenHooks) {
  World w;
  Hook first(&w, "hook 1"), second(&w, "hook 2");
  w.loop.AddTurnHook(&first);
  w.loop.AddTurnHook(&second);
  rt::Timer timer{.on_fire = [&] { w.log.push_back("timer"); }};
  const int64_t now = w.loop.MonoMicros();
  w.loop.Post([&] { w.log.push_back("post"); });
  w.loop.Arm(&timer, now);
  w.loop.At(now, SimLoop::Life::kProcess, [&] { w.log.push_back("completion"); });
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.log, (std::vector<std::string>{"completion", "timer", "post", "hook 1", "hook 2"}));
  w.loop.RemoveTurnHook(&first);
  w.loop.Post([] {});
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.log.back(), "hook 2");
  EXPECT_EQ(w.log.size(), 6u);
  EXPECT_FALSE(w.loop.Turn(kNever)) << "nothing is left to happen";
}

TEST(SimLoopTest, WhatATurnAddsRunsInALaterOne) {
  World w;
  rt::Timer again;
  rt::Timer timer{.on_fire = [&] {
    w.log.push_back("timer");
    w.loop.Arm(&again, 0);
    w.loop.At(0, SimLoop::Life::kProcess, [&] { w.log.push_back("completion"); });
  }};
  again.on_fire = [&] { w.log.push_back("again"); };
  w.loop.Arm(&timer, 0);
  w.loop.Post([&] { w.loop.Post([&] { w.log.push_back("later post"); }); });
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.log, (std::vector<std::string>{"timer"}));
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.log, (std::vector<std::string>{"timer", "completion", "again", "later post"}));
}

TEST(SimLoopTest, TimeMovesOnlyByWaitingAndToTheNextThingDue) {
  World w;
  const int64_t start = w.clock.MonoMicros();
  rt::Timer timer{.on_fire = [&] { w.log.push_back(std::to_string(w.loop.MonoMicros() - start)); }};
  w.loop.Arm(&timer, start + 3'600'000'000);
  w.loop.Arm(&timer, start + 5000);  // replaces
  w.loop.Post([] {});
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.clock.MonoMicros(), start);
  EXPECT_TRUE(w.loop.Turn(kNever));
  EXPECT_EQ(w.log, (std::vector<std::string>{"5000"}));
  w.loop.RunFor(1000);
  EXPECT_EQ(w.clock.MonoMicros(), start + 6000);
  w.loop.Disarm(&timer);
}

TEST(SimLoopTest, RunUntilSaysWhetherItHappened) {
  World w;
  bool fired = false;
  rt::Timer timer{.on_fire = [&] { fired = true; }};
  const int64_t start = w.clock.MonoMicros();
  w.loop.Arm(&timer, start + 100);
  EXPECT_FALSE(w.loop.RunUntil([&] { return fired; }, start + 99));
  EXPECT_TRUE(w.loop.RunUntil([&] { return fired; }, start + 100));
  EXPECT_FALSE(w.loop.RunUntil([&] { return false; }, kNever)) << "idle for ever";
}

TEST(SimLoopTest, AWorkersJobsRunInOrderAndTheTimeTheyBlockDelaysOnlyTheirCompletion) {
  World w;
  const int64_t start = w.clock.MonoMicros();
  for (const char* name : {"1", "2"}) {
    w.loop.RunOnWorker(
        rt::Worker::kSettle,
        [&w, name] {
          w.log.push_back(std::string("job ") + name);
          w.clock.Block(1'000'000);
        },
        [&w, name] { w.log.push_back(std::string("done ") + name); });
  }
  w.loop.RunOnWorker(rt::Worker::kFiles, [] {}, [&w] { w.log.push_back("files"); });
  rt::Timer timer{.on_fire = [&] { w.log.push_back("timer"); }};
  w.loop.Arm(&timer, start + 500'000);
  EXPECT_TRUE(w.log.empty());
  w.loop.RunFor(1'800'000);
  w.loop.RunOnWorker(rt::Worker::kSettle, [] {}, [&w] { w.log.push_back("done 3"); });
  w.loop.RunFor(10'000'000);
  EXPECT_EQ(w.log[0] == "files" ? w.log[1] : w.log[0], "job 1");
  w.log.erase(std::find(w.log.begin(), w.log.end(), "files"));
  EXPECT_EQ(w.log, (std::vector<std::string>{"job 1", "timer", "done 1", "job 2", "done 2", "done 3"}));
}

TEST(SimLoopTest, DeathForgetsTheProcessAndKeepsTheWorld) {
  World w;
  Hook hook(&w, "hook");
  w.loop.AddTurnHook(&hook);
  rt::Timer timer{.on_fire = [&] { w.log.push_back("timer"); }};
  w.loop.Arm(&timer, 0);
  w.loop.Post([&] { w.log.push_back("post"); });
  w.loop.RunOnWorker(rt::Worker::kFiles, [&] { w.log.push_back("job"); }, [&] { w.log.push_back("done"); });
  w.loop.At(0, SimLoop::Life::kProcess, [&] { w.log.push_back("process"); });
  w.loop.At(0, SimLoop::Life::kWorld, [&] { w.log.push_back("world"); });
  w.loop.Abandon();
  EXPECT_FALSE(timer.armed);
  w.loop.RunFor(1'000'000);
  EXPECT_EQ(w.log, (std::vector<std::string>{"world"}));
}

TEST(SimClockTest, WallJumpsAndDriftsAndMonoDoesNot) {
  SimClock clock;
  EXPECT_EQ(clock.WallMicros(), SimClock::kWallStart);
  clock.JumpWall(-10ll * 365 * 86400 * 1'000'000);
  EXPECT_EQ(clock.WallMicros(), SimClock::kWallStart - 315360000000000);
  clock.JumpWall(10ll * 365 * 86400 * 1'000'000);
  clock.SetDrift(-200);
  clock.AdvanceTo(clock.MonoMicros() + 10'000'000);
  EXPECT_EQ(clock.WallMicros(), SimClock::kWallStart + 10'000'000 - 2000);
  clock.SetDrift(0);
  clock.AdvanceTo(clock.MonoMicros() + 1);
  EXPECT_EQ(clock.WallMicros(), SimClock::kWallStart + 10'000'001 - 2000);
  clock.AdvanceTo(5);
  EXPECT_EQ(clock.MonoMicros(), SimClock::kMonoStart + 10'000'001);
}

TEST(SimRandomTest, DrawingFromOneStreamDoesNotMoveAnother) {
  SimRandom a(1, "disk"), b(1, "disk"), other(1, "network");
  const uint64_t first = a.Next();
  for (int i = 0; i < 10; ++i) other.Next();
  EXPECT_EQ(b.Next(), first);
  EXPECT_NE(SimRandom(1, "network").Next(), first);
  EXPECT_NE(SimRandom(2, "disk").Next(), first);
}

// The numbers themselves: another compiler or machine must replay the same seed.
TEST(SimRandomTest, TheNumbersAreTheSameEverywhere) {
  SimRandom random(42, "golden");
  EXPECT_EQ(random.Next(), 14171443675746872687ull);
  EXPECT_EQ(random.Below(1000), 345u);
  EXPECT_EQ(random.Between(-1000, 1000), 831);
  EXPECT_EQ(random.Skewed(1u << 20), 60182u);
}

TEST(SimRandomTest, DrawsStayInTheirRange) {
  SimRandom random(1, "range");
  bool low = false, high = false;
  for (int i = 0; i < 10000; ++i) {
    const int64_t v = random.Between(-2, 2);
    ASSERT_TRUE(v >= -2 && v <= 2);
    low |= v == -2;
    high |= v == 2;
    const uint64_t s = random.Skewed(5);
    ASSERT_TRUE(s >= 1 && s <= 5);
  }
  EXPECT_TRUE(low && high);
  EXPECT_FALSE(random.Chance(0));
  EXPECT_TRUE(random.Chance(1));
  const int64_t any = random.Between(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  EXPECT_NE(any, random.Between(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
}

}  // namespace
}  // namespace quipu::sim
