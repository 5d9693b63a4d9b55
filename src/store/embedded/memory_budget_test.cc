// The memory budget: what is settled makes room for what comes, and nothing that was counted is forgotten by it.
#include <gtest/gtest.h>

#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

constexpr int kAddsARound = 2'000;

struct Add {
  std::string name;
  std::string token;
};

// One batch of adds, each with a token; returns the ops as they came back.
std::vector<Op> AddAll(World* world, const std::vector<Add>& adds) {
  std::vector<Op> ops(adds.size());
  for (size_t i = 0; i < adds.size(); ++i) {
    ops[i].kind = OpKind::kAdd;
    ops[i].name = adds[i].name;
    ops[i].token = adds[i].token;
    ops[i].delta = 1;
  }
  world->DoAll(ops);
  return ops;
}

std::vector<Add> Round(int round) {
  std::vector<Add> adds;
  for (int i = 0; i < kAddsARound; ++i)
    adds.push_back(
        {.name = fmt::format("counter-{}-{}", i % 4 == 0 ? 0 : round, i), .token = fmt::format("t-{}-{}", round, i)});
  return adds;
}

TEST(MemoryBudget, ManyTimesWhatFitsIsTakenWithoutARefusalAndNothingIsForgotten) {
  World world;
  world.options().shard.journal.segment_bytes = 1u << 20;
  world.options().shard.journal.frame_bytes_max = 256u << 10;
  world.options().shard.counters_bytes_max = 6u << 20;
  world.options().shard.tokens_bytes_max = 2u << 20;
  world.options().shard.tokens.places_first = 64;
  ASSERT_TRUE(world.Start().ok());
  const size_t limit = (8u << 20) + (8u << 20) / 8 * 3;
  constexpr int kRounds = 150;
  for (int round = 0; round < kRounds; ++round) {
    for (const Op& op : AddAll(&world, Round(round))) ASSERT_EQ(op.code, Code::kOk) << "round " << round;
    ASSERT_LE(world.store()->Info().memory_bytes, limit) << "round " << round;
  }
  world.loop().RunFor(10'000'000);
  EXPECT_LE(world.store()->Info().memory_bytes, 8u << 20) << "quiet, and still above the budget";
  EXPECT_LT(world.store()->Info().tokens_in_memory, uint64_t{kRounds} * kAddsARound / 4) << "too few were dropped";
  for (int round : {0, 1, kRounds / 2, kRounds - 1}) {
    std::vector<Add> adds = Round(round);
    for (const Op& op : AddAll(&world, adds)) {
      ASSERT_EQ(op.code, Code::kOk);
      ASSERT_TRUE(op.replayed) << "round " << round << " " << op.name;
    }
  }
  EXPECT_EQ(world.Get("counter-0-0").value, kRounds);
  EXPECT_EQ(world.Get("counter-7-1").value, 1);
  EXPECT_EQ(world.store()->CountCounters(0), uint64_t{kAddsARound} / 4 + uint64_t{kRounds} * kAddsARound / 4 * 3);
}

TEST(MemoryBudget, ABacklogLargerThanOneRoundOfSettlingIsSettledInTheEnd) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  for (int round = 0; round < 20; ++round) AddAll(&world, Round(round));
  world.Crash(World::End::kKill);
  world.options().shard.settle_bytes = 64u << 10;
  ASSERT_TRUE(world.Start().ok());
  const auto behind = [&] {
    const StoreInfo info = world.store()->Info();
    return info.durable_position - info.settled_position;
  };
  EXPECT_GT(behind(), 10'000u);
  EXPECT_TRUE(world.loop().RunUntil([&] { return behind() < 2'000; }, world.clock().MonoMicros() + 30'000'000))
      << behind() << " positions behind";
}

}  // namespace
}  // namespace quipu::store
