// Batches over several shards of one engine.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>

#include "store/embedded/shards_testing.h"

namespace quipu::store {
namespace {

TEST(Shards, AnswerForEachOthersCountersFromEveryHome) {
  ShardsWorld world(4);
  ASSERT_TRUE(world.Start().ok());
  std::vector<std::string> names = Names(40);
  for (uint32_t home = 0; home < 4; ++home) {
    auto ops = AddToMany(names, 1);
    Batch batch = world.DoAll(&ops, false, false, home);
    EXPECT_TRUE(batch.status.ok());
    for (const Op& op : ops) EXPECT_EQ(op.value, home + 1);
  }
  EXPECT_EQ(world.store()->CountCounters(0), 40u);
  world.Kill(true);
  ASSERT_TRUE(world.Start().ok());
  for (const std::string& name : names) EXPECT_EQ(world.Get(name), 4);
}

TEST(Shards, TheFiguresAreThoseOfAllFromEveryHome) {
  ShardsWorld world(3);
  ASSERT_TRUE(world.Start().ok());
  for (int i = 0; i < 30; ++i) {
    for (bool replayed : {false, true}) {
      const Op op = world.Do({.kind = OpKind::kAdd, .name = fmt::format("c{}", i), .token = "t", .delta = 1});
      ASSERT_EQ(op.replayed, replayed) << i;
    }
  }
  world.loop().RunFor(200'000);
  for (uint32_t home = 0; home < 3; ++home) {
    const StoreInfo info = world.engine()->store(home)->Info();
    EXPECT_EQ(info.adds, 30u) << home;
    EXPECT_EQ(info.replays, 30u) << home;
    EXPECT_EQ(info.tokens_in_memory, 30u) << home;
    EXPECT_EQ(info.counters, 30u) << home;
  }
}

TEST(Shards, TheirNumberMayChangeAtARestart) {
  ShardsWorld world(3);
  ASSERT_TRUE(world.Start().ok());
  std::vector<std::string> names = Names(60);
  int64_t value = 0;
  int round = 0;
  for (size_t shards : {1u, 4u, 2u, 3u, 1u}) {
    std::string token = fmt::format("token-{}", ++round);
    auto ops = AddToMany(names, 7);
    world.DoAll(&ops, false);
    value += 7;
    Op token_add = world.Add("name-1", 0, token);
    EXPECT_FALSE(token_add.replayed);
    world.Kill(shards % 2 == 0);
    world.set_shards(shards);
    Status s = world.Start();
    ASSERT_TRUE(s.ok()) << s.ToString();
    for (const std::string& name : names) ASSERT_EQ(world.Get(name), value) << name << " on " << shards;
    EXPECT_EQ(world.store()->CountCounters(0), 60u);
    EXPECT_TRUE(world.Add("name-1", 0, token).replayed);
  }
}

TEST(Shards, AnAllOrNothingStepFailsOnAllOfThem) {
  ShardsWorld world(4);
  ASSERT_TRUE(world.Start().ok());
  const std::vector<std::string> names = Names(12);
  auto ops = AddToMany(names, 5);
  ops[7].bounded = true;
  ops[7].ceiling = 4;
  Batch batch = world.DoAll(&ops, true, true);
  EXPECT_EQ(batch.code, Code::kConditionNotMet);
  EXPECT_EQ(batch.failed_index, 7u);
  for (const std::string& name : names) EXPECT_EQ(world.Get(name), 0);
}

// The step runs while its home's thread goes on: a `decided` that is set by the step lets the home read half a result.
TEST(Shards, AStepIsNotDecidedBeforeItsHomeIsTold) {
  ShardsWorld world(4);
  ASSERT_TRUE(world.Start().ok());
  const std::vector<std::string> names = Names(12);
  auto ops = AddToMany(names, 5);
  for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
  bool done = false;
  Batch batch;
  batch.ops = ops;
  batch.atomic = true;
  batch.owner = &done;
  batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = b->decided; };
  world.store()->Submit(&batch);
  EXPECT_TRUE(world.loop().RunUntil([&] { return batch.decided; }, world.clock().MonoMicros() + 10'000'000));
  EXPECT_TRUE(done);
}

// A batch of counters of the home alone could be decided before what others that came first still do there.
TEST(Shards, BatchesOfOneSubmitterAreDecidedInTheOrderOfTheirSubmission) {
  constexpr uint32_t kShards = 3;
  ShardsWorld world(kShards);
  ASSERT_TRUE(world.Start().ok());
  const std::vector<std::string> names = Names(12);
  sim::SimRandom random(5, "order");
  struct Sent {
    Batch batch;
    std::vector<Op> ops;
    size_t number = 0;
    std::vector<size_t>* done = nullptr;
  };
  for (uint32_t home = 0; home < kShards; ++home) {
    std::vector<std::unique_ptr<Sent>> all;
    std::vector<size_t> done;
    std::map<std::string_view, int64_t> values;
    for (const std::string& name : names) values[name] = world.Get(name);
    for (size_t i = 0; i < 300; ++i) {
      auto sent = std::make_unique<Sent>();
      const bool local = random.Below(2) == 0;
      for (const std::string& name : names) {
        const uint64_t hash = HashCounter(0, name);
        if (local ? ShardOf(hash, kShards) != home : random.Below(3) != 0) continue;
        sent->ops.push_back({.kind = OpKind::kAdd, .hash = hash, .name = name, .delta = 1});
      }
      sent->number = i;
      sent->done = &done;
      sent->batch.ops = sent->ops;
      sent->batch.atomic = random.Below(8) == 0;
      sent->batch.owner = sent.get();
      sent->batch.on_done = [](Batch* b) {
        const auto* s = static_cast<Sent*>(b->owner);
        s->done->push_back(s->number);
      };
      all.push_back(std::move(sent));
    }
    for (size_t i = 0; i < all.size(); ++i) {
      world.engine()->store(home)->Submit(&all[i]->batch);
      if (random.Below(4) == 0) world.loop().RunFor(static_cast<int64_t>(random.Below(200)));
    }
    world.loop().RunUntil([&] { return done.size() == all.size(); }, world.clock().MonoMicros() + 10'000'000);
    ASSERT_EQ(done.size(), all.size()) << "home " << home;
    for (const auto& sent : all) {
      for (const Op& op : sent->ops) {
        ASSERT_EQ(op.value, ++values[op.name]) << op.name << " of batch " << sent->number << ", home " << home;
      }
    }
  }
}

// Power goes at every disk call of a life of steps over four shards: each step is there on all of them or on none.
TEST(Shards, AStepIsThereAsAWholeOrNotAtAllWheneverThePowerGoes) {
  std::vector<std::string> names = Names(16);
  int cut = 0, kept = 0;
  for (uint64_t call = 1; call < 400; ++call) {
    ShardsWorld world(4, call);  // the seed decides what of the unsynced writes stays
    ASSERT_TRUE(world.Start().ok());
    auto first = AddToMany(names, 1);
    world.DoAll(&first, true);
    world.disk().CrashAt(world.disk().calls() + call);
    int acknowledged = 1;
    bool crashed = false;
    for (int step = 0; step < 4 && !crashed; ++step) {
      auto ops = AddToMany(names, 1);
      for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
      auto done = std::make_unique<bool>(false);
      Batch batch;
      batch.ops = ops;
      batch.atomic = true;
      batch.owner = done.get();
      batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
      world.store()->Submit(&batch);
      world.loop().RunUntil([&] { return *done || world.disk().off(); }, world.clock().MonoMicros() + 1'000'000);
      if (*done && batch.status.ok() && !world.disk().off()) {
        ++acknowledged;
      } else {
        crashed = true;
        world.Kill(true);
      }
    }
    if (!crashed) break;
    Status s = world.Start();
    ASSERT_TRUE(s.ok()) << "call " << call << ": " << s.ToString();
    int64_t value = world.Get(names[0]);
    for (const std::string& name : names) ASSERT_EQ(world.Get(name), value) << name << " after call " << call;
    ASSERT_GE(value, acknowledged) << call;
    ASSERT_LE(value, acknowledged + 1) << call;
    (value == acknowledged ? cut : kept) += 1;
    world.Kill(true);
    ASSERT_TRUE(world.Start().ok()) << call;
    for (const std::string& name : names) ASSERT_EQ(world.Get(name), value) << name << " after call " << call;
  }
  EXPECT_GT(cut, 0);
  EXPECT_GT(kept, 0);
}

// A step is cut with one that came before it on any of its shards, and takes along what came after it: that must not be
// shown before both are safe, although the later one is on the medium of all its shards.
TEST(Shards, NothingIsShownAfterAStepThatMayBeCutWithAnEarlierOne) {
  std::array<std::string, 3> of_shard;
  for (const std::string& name : Names(60)) of_shard[ShardOf(HashCounter(0, name), 3)] = name;
  ShardsWorld world(3);
  ASSERT_TRUE(world.Start().ok());
  struct Sent {
    Batch batch;
    std::vector<Op> ops;
    bool done = false;
  };
  std::deque<Sent> all;
  const auto add = [&](std::vector<size_t> shards) {
    Sent& sent = all.emplace_back();
    for (size_t s : shards) {
      sent.ops.push_back({.kind = OpKind::kAdd, .hash = HashCounter(0, of_shard[s]), .name = of_shard[s], .delta = 1});
    }
    sent.batch.ops = sent.ops;
    sent.batch.atomic = shards.size() > 1;
    sent.batch.owner = &sent;
    sent.batch.on_done = [](Batch* b) { static_cast<Sent*>(b->owner)->done = true; };
    world.store()->Submit(&sent.batch);
    world.loop().RunFor(1000);
  };
  // What shard 0 writes next waits for these.
  world.disk().plan().log_write.min_us = world.disk().plan().log_write.max_us = 100'000;
  for (int i = 0; i < 4; ++i) add({0});
  world.disk().plan().log_write.min_us = world.disk().plan().log_write.max_us = 100;
  add({0, 1});
  add({1, 2});
  add({2});
  EXPECT_FALSE(all.back().done);
  ASSERT_TRUE(world.loop().RunUntil([&] { return all.back().done; }, world.clock().MonoMicros() + 1'000'000));
  for (const Sent& sent : all) EXPECT_TRUE(sent.done);
  world.Stop();
}

}  // namespace
}  // namespace quipu::store
