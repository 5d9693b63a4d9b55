// What durability async and memory may lose, kept by the simulated clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

// Adds one by one, a millisecond apart, until the machine loses power.
struct Loss {
  size_t events = 0;             // that were answered and are gone
  int64_t older_us = INT64_MIN;  // by how much the oldest of them is older than the window
};
struct Request {
  Op op;
  Batch batch;
  World* world = nullptr;
  int64_t answered_us = INT64_MAX;
};

Loss LoseMachine(uint64_t seed, Durability durability) {
  World world(seed);
  EXPECT_TRUE(world.Start().ok());
  const NamespaceId ns = world.MakeNamespace("lazy", {.durability = durability});
  const int64_t window_us = world.store()->Info().loss_window_us;
  sim::SimRandom random(seed, "moment");
  std::deque<Request> requests;
  for (int64_t n = random.Between(1, 150); n > 0; --n) {
    Request& request = requests.emplace_back();
    request.op = {.kind = OpKind::kAdd, .ns = ns, .hash = HashCounter(ns, "c"), .name = "c", .delta = 1};
    request.batch.ops = {&request.op, 1};
    request.batch.owner = &request;
    request.batch.on_done = [](Batch* done) {
      auto* of = static_cast<Request*>(done->owner);
      of->answered_us = of->world->clock().MonoMicros();
    };
    request.world = &world;
    world.loop().Post([&] { world.store()->Submit(&request.batch); });
    world.loop().RunFor(random.Between(0, 2000));
  }
  const int64_t lost_us = world.clock().MonoMicros();
  world.Crash(World::End::kPowerLoss);
  EXPECT_TRUE(world.Start().ok());
  const auto kept = static_cast<size_t>(world.Get("c", ns).value);
  Loss loss;
  for (size_t i = kept; i < requests.size(); ++i) {
    if (requests[i].answered_us > lost_us) continue;
    ++loss.events;
    loss.older_us = std::max(loss.older_us, lost_us - requests[i].answered_us - window_us);
  }
  return loss;
}

// Of the simulated disk: two writes ahead and its own, as the journal has at most two in flight.
constexpr int64_t kWritesUs = 3 * 200 + 100;

TEST(LossWindow, ALossOfPowerTakesNothingThatWasAnsweredBeforeIt) {
  for (Durability durability : {Durability::kAsync, Durability::kMemory}) {
    size_t lost = 0;
    int64_t oldest_us = INT64_MIN;
    for (uint64_t seed = 1; seed <= 60; ++seed) {
      const Loss loss = LoseMachine(seed, durability);
      EXPECT_LE(loss.older_us, kWritesUs) << "seed " << seed;
      lost += loss.events;
      oldest_us = std::max(oldest_us, loss.older_us);
    }
    EXPECT_GT(lost, 0u) << "nothing waits for the disk";
    EXPECT_GT(oldest_us, -JournalOptions().lazy_commit_us / 2) << "the window is no larger than it must be";
  }
}

TEST(LossWindow, IsNothingWhereAnswersWaitForTheDisk) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(LoseMachine(seed, Durability::kSync).events, 0u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace quipu::store
