#include "rt/real_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace quipu::rt {
namespace {

class RealLoopTest : public testing::Test {
 protected:
  // Runs the loop until something stops it, with a limit so that a lost wake-up fails instead of hanging.
  void RunLoop() {
    Timer limit;
    limit.on_fire = [&] {
      ADD_FAILURE() << "the loop was not stopped within the limit";
      loop.Stop();
    };
    loop.Arm(&limit, RealClock().MonoMicros() + 280'000'000);
    loop.Run();
    loop.Disarm(&limit);
  }

  RealLoop loop{LoopOptions{}};
};

struct Hook : TurnHook {
  std::function<void()> on_turn_end;
  void OnTurnEnd() override { on_turn_end(); }
};

TEST_F(RealLoopTest, PostsOfOneThreadRunInOrder) {
  std::vector<int> seen;
  for (int i = 0; i < 100; ++i) loop.Post([&, i] { seen.push_back(i); });
  loop.Post([&] { loop.Stop(); });
  RunLoop();
  ASSERT_EQ(seen.size(), 100u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST_F(RealLoopTest, PostsFromManyThreadsAllArriveAndWakeASleepingLoop) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 2'000;
  int seen = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) {
        loop.Post([&] {
          if (++seen == kThreads * kPosts) loop.Stop();
        });
        if (i % 16 == 0) std::this_thread::yield();  // lets the loop fall asleep in between
      }
    });
  }
  RunLoop();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(seen, kThreads * kPosts);
}

// Each post is made only after the one before has run, so the loop is asleep or falling asleep every time.
TEST_F(RealLoopTest, NoWakeUpIsLostWhenThePosterWaitsForEachPost) {
  std::atomic<int> seen{0};
  std::thread poster([&] {
    for (int i = 0; i < 5'000; ++i) {
      loop.Post([&] {
        seen.fetch_add(1);
        seen.notify_one();
      });
      seen.wait(i);
    }
    loop.Stop();
  });
  RunLoop();
  poster.join();
  EXPECT_EQ(seen.load(), 5'000);
}

TEST_F(RealLoopTest, APostMadeByAPostRunsInALaterTurn) {
  int turns = 0;
  int turn_of_inner = -1;
  Hook hook;
  hook.on_turn_end = [&] { ++turns; };
  loop.AddTurnHook(&hook);
  loop.Post([&] {
    loop.Post([&] {
      turn_of_inner = turns;
      loop.Stop();
    });
  });
  RunLoop();
  loop.RemoveTurnHook(&hook);
  EXPECT_EQ(turn_of_inner, 1);
}

TEST_F(RealLoopTest, TimersFireInOrderAndNeverEarly) {
  std::vector<int> fired;
  std::vector<Timer> timers(3);
  const int64_t start = loop.MonoMicros();
  const int64_t delay[] = {3'000, 500, 1'500};
  for (int i = 0; i < 3; ++i) {
    const size_t at = static_cast<size_t>(i);
    timers[at].on_fire = [&, i, at] {
      EXPECT_GE(loop.MonoMicros(), start + delay[at]);
      fired.push_back(i);
      if (fired.size() == 3) loop.Stop();
    };
    loop.Arm(&timers[at], start + delay[at]);
  }
  RunLoop();
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 0}));
}

TEST_F(RealLoopTest, ATimerMayDestroyItselfAndDisarmOthers) {
  auto first = std::make_unique<Timer>();
  Timer second;
  Timer last;
  second.on_fire = [] { ADD_FAILURE() << "disarmed"; };
  first->on_fire = [&] {
    loop.Disarm(&second);
    auto self = std::move(first);
  };
  last.on_fire = [&] { loop.Stop(); };
  loop.Arm(first.get(), 1);
  loop.Arm(&second, 2);
  loop.Arm(&last, 3);
  RunLoop();
  EXPECT_EQ(first, nullptr);
}

TEST_F(RealLoopTest, ATimerThatArmsItselfForNowDoesNotStarveTheTurn) {
  Timer eager;
  int fired = 0;
  eager.on_fire = [&] {
    ++fired;
    loop.Arm(&eager, 0);
  };
  loop.Arm(&eager, 0);
  loop.Post([&] { loop.Stop(); });
  RunLoop();
  EXPECT_LE(fired, 2);  // a turn fires at most as many timers as were armed, here this one and the limit
  loop.Disarm(&eager);
}

TEST_F(RealLoopTest, ClocksStandStillWithinATurn) {
  loop.Post([&] {
    const int64_t mono = loop.MonoMicros();
    const int64_t wall = loop.WallMicros();
    while (RealClock().MonoMicros() < mono + 100) {
    }
    EXPECT_EQ(loop.MonoMicros(), mono);
    EXPECT_EQ(loop.WallMicros(), wall);
    loop.Stop();
  });
  RunLoop();
}

TEST_F(RealLoopTest, HooksRunInOrderAfterThePostsOfTheTurn) {
  std::string order;
  Hook commit;
  Hook flush;
  commit.on_turn_end = [&] { order += "c"; };
  flush.on_turn_end = [&] { order += "f"; };
  loop.AddTurnHook(&commit);
  loop.AddTurnHook(&flush);
  loop.Post([&] { order += "p"; });
  loop.Post([&] {
    order += "q";
    loop.Stop();
  });
  RunLoop();
  EXPECT_EQ(order, "pqcf");
  loop.RemoveTurnHook(&commit);
  loop.RemoveTurnHook(&flush);
}

TEST_F(RealLoopTest, AHookMayRemoveItselfAndALaterOne) {
  std::string order;
  Hook first;
  Hook second;
  Hook third;
  first.on_turn_end = [&] {
    order += "1";
    loop.RemoveTurnHook(&second);
    loop.RemoveTurnHook(&first);
  };
  second.on_turn_end = [&] { order += "2"; };
  third.on_turn_end = [&] {
    order += "3";
    if (order == "133") loop.Stop();
    loop.Wake();
  };
  for (Hook* hook : {&first, &second, &third}) loop.AddTurnHook(hook);
  loop.Wake();
  RunLoop();
  EXPECT_EQ(order, "133");
  loop.RemoveTurnHook(&third);
}

TEST_F(RealLoopTest, AStopBeforeRunIsNotLostAndRunWorksAgainAfterwards) {
  loop.Stop();
  loop.Run();
  bool ran = false;
  loop.Post([&] {
    ran = true;
    loop.Stop();
  });
  RunLoop();
  EXPECT_TRUE(ran);
}

TEST_F(RealLoopTest, WorkerJobsRunInOrderElsewhereAndReportBackOnTheLoop) {
  const auto loop_thread = std::this_thread::get_id();
  std::string order;
  for (char name : std::string("abc")) {
    auto result = std::make_shared<std::string>();
    loop.RunOnWorker(
        Worker::kSettle,
        [=] {
          EXPECT_NE(std::this_thread::get_id(), loop_thread);
          *result = std::string(1, name);
        },
        [&, result] {
          EXPECT_EQ(std::this_thread::get_id(), loop_thread);
          order += *result;
          if (order == "abc") loop.Stop();
        });
  }
  RunLoop();
  EXPECT_EQ(order, "abc");
}

TEST_F(RealLoopTest, AJobForFilesDoesNotWaitBehindALongSettle) {
  std::atomic<bool> files_done{false};
  loop.RunOnWorker(Worker::kSettle, [&] { files_done.wait(false); }, [&] { loop.Stop(); });
  loop.RunOnWorker(
      Worker::kFiles, [] {},
      [&] {
        files_done.store(true);
        files_done.notify_one();
      });
  RunLoop();
  EXPECT_TRUE(files_done.load());
}

// The running job learns that the stop has begun from its own jobs being refused: a refused job lets go of its token.
TEST(WorkerThread, AStopWaitsForTheRunningJobAndDropsTheRest) {
  RealLoop loop{LoopOptions{}};
  WorkerThread worker(&loop, WorkerPriority::kNormal);
  std::atomic<bool> started{false};
  bool finished = false;
  int ran_after = 0;
  worker.Run(
      [&] {
        started.store(true);
        started.notify_one();
        const auto token = std::make_shared<int>();
        for (long taken = 1; token.use_count() == taken; ++taken) {
          worker.Run([&ran_after, token] { ++ran_after; }, [] {});
          std::this_thread::yield();
        }
        finished = true;
      },
      [] { ADD_FAILURE() << "the loop does not run"; });
  started.wait(false);
  worker.StopAndJoin();
  EXPECT_TRUE(finished);
  EXPECT_EQ(ran_after, 0);
}

}  // namespace
}  // namespace quipu::rt
