#include "store/embedded/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "model/name.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "store/embedded/golden_testing.h"
#include "store/embedded/shards_testing.h"

namespace quipu::store {
namespace {

TEST(StoreIdentity, TheFileIsByteForByteTheGoldenOneAndAnyChangeIsRefused) {
  const std::string bytes = EncodeStoreIdentity({.store_id = {0x0123456789abcdef, 0xfedcba9876543210},
                                                 .token_seed = 0x1122334455667788,
                                                 .shards = 3,
                                                 .generation = 2});
  EXPECT_EQ(ReadSource("test/golden/store_identity.txt"), fmt::format("store\n  {}\n", Hex(bytes)));
  auto id = DecodeStoreIdentity(bytes);
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(id->store_id[0], 0x0123456789abcdefu);
  EXPECT_EQ(id->store_id[1], 0xfedcba9876543210u);
  EXPECT_EQ(id->token_seed, 0x1122334455667788u);
  EXPECT_EQ(id->shards, 3u);
  EXPECT_EQ(id->generation, 2u);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << at % 8));
    EXPECT_EQ(DecodeStoreIdentity(changed).code(), Code::kDataLoss) << at;
  }
  EXPECT_EQ(DecodeStoreIdentity(bytes.substr(1)).code(), Code::kDataLoss);
  EXPECT_EQ(DecodeStoreIdentity(bytes + '\0').code(), Code::kDataLoss);
}

TEST(Engine, CountsAndRepliesTheFirstResultAfterEveryKindOfEnd) {
  ShardsWorld world;
  ASSERT_TRUE(world.Start().ok());
  EXPECT_EQ(world.Add("a", 5, "t1").value, 5);
  EXPECT_EQ(world.Add("a", 7).value, 12);
  EXPECT_EQ(world.Add("b", -3, "t1").value, -3);
  for (int end = 0; end < 4; ++end) {
    if (end == 0) world.Stop();
    if (end == 1) world.Kill(false);
    if (end == 2) world.Kill(true);
    if (end == 3) {
      world.Settle();
      world.Kill(true);
    }
    Status s = world.Start();
    ASSERT_TRUE(s.ok()) << s.ToString();
    EXPECT_EQ(world.Get("a"), 12);
    EXPECT_EQ(world.Get("b"), -3);
    Op again = world.Add("a", 5, "t1");
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.value, 5);
    EXPECT_EQ(world.Add("a", 6, "t1").code, Code::kTokenConflict);
    EXPECT_EQ(world.store()->CountCounters(0), 2u);
  }
}

// Adds without a token share a record while the frame is open; what a reader was told must still tell them apart.
TEST(Engine, AVersionThatWasReadDoesNotOutliveTheNextAdd) {
  ShardsWorld w;
  ASSERT_TRUE(w.Start().ok());
  std::vector<Op> ops(6);
  for (size_t i = 0; i < ops.size(); ++i) {
    ops[i].kind = i % 2 == 0 ? OpKind::kAdd : OpKind::kGet;
    ops[i].name = "c";
    ops[i].delta = 1;
    ops[i].hash = HashCounter(ops[i].ns, ops[i].name);
  }
  Batch batch;
  bool done = false;
  batch.ops = ops;
  batch.owner = &done;
  batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
  w.store()->Submit(&batch);
  EXPECT_TRUE(w.loop().RunUntil([&] { return done; }, w.clock().MonoMicros() + 10'000'000));
  EXPECT_EQ(ops[5].value, 3);
  EXPECT_NE(ops[1].version, ops[3].version);
  EXPECT_NE(ops[3].version, ops[5].version);
  w.Stop();
}

// An error tells of the state that it was decided on as an answer does.
TEST(Engine, AnErrorIsShownOnlyWhenWhatItRevealsIsDurable) {
  struct Case {
    Op first, second;
    Code code;
  };
  Case cases[] = {
      {.first = {.kind = OpKind::kAdd, .name = "c", .delta = INT64_MAX},
       .second = {.kind = OpKind::kAdd, .name = "c", .delta = 1},
       .code = Code::kOverflow},
      {.first = {.kind = OpKind::kAdd, .ns = 1, .name = "c", .delta = 1},
       .second = {.kind = OpKind::kAdd, .ns = 1, .name = "d", .delta = 1},
       .code = Code::kQuotaExceeded},
  };
  for (Case& c : cases) {
    ShardsWorld w;
    ASSERT_TRUE(w.Start().ok());
    NamespaceSettings one;
    one.counters_max = 1;
    bool made = false;
    w.store()->PutNamespace("one", 0, one, [&](const Result<Namespace>& ns) { made = ns.ok() && ns->id == 1; });
    ASSERT_TRUE(w.loop().RunUntil([&] { return made; }, w.clock().MonoMicros() + 10'000'000));
    const uint64_t before = w.store()->Info().durable_position;
    bool done[2] = {};
    Batch batches[2];
    Op* ops[2] = {&c.first, &c.second};
    for (int i = 0; i < 2; ++i) {
      ops[i]->hash = HashCounter(ops[i]->ns, ops[i]->name);
      batches[i].ops = std::span<Op>(ops[i], 1);
      batches[i].owner = &done[i];
      batches[i].on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
      w.store()->Submit(&batches[i]);
    }
    ASSERT_TRUE(w.loop().RunUntil([&] { return done[1]; }, w.clock().MonoMicros() + 10'000'000));
    EXPECT_EQ(c.second.code, c.code);
    EXPECT_GT(w.store()->Info().durable_position, before) << CodeName(c.code);
    w.Stop();
  }
}

TEST(Engine, SettlesInTheBackgroundAndForgetsNothing) {
  ShardsWorld world;
  ASSERT_TRUE(world.Start().ok());
  std::map<std::string, int64_t> model;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 200; ++i) {
      std::string name = fmt::format("counter-{}", (i * 7 + round) % 150);
      std::string token = fmt::format("token-{}-{}", round, i);
      world.Add(name, i - 50, token);
      model[name] += i - 50;
    }
    world.Settle();
    if (round % 2 == 1) {
      world.Kill(true);
      Status s = world.Start();
      ASSERT_TRUE(s.ok()) << s.ToString();
    }
    for (const auto& [name, value] : model) ASSERT_EQ(world.Get(name), value) << name;
    EXPECT_EQ(world.store()->CountCounters(0), model.size());
    Op again = world.Add("counter-0", -50, "token-0-0");
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.value, -50);
  }
}

TEST(Engine, RefusesAJournalWhoseFilesAreGone) {
  for (bool settle : {false, true}) {
    ShardsWorld world;
    ASSERT_TRUE(world.Start().ok());
    for (int i = 0; i < 20; ++i) world.Add("a", 1);
    if (settle) world.Settle();
    world.Add("a", 1);
    world.Kill(true);
    std::string first = "data/journal/0001/0000/0000000000000001.log";
    ASSERT_TRUE(world.disk().Exists(first));
    ASSERT_TRUE(world.disk().Remove(first).ok());
    ASSERT_TRUE(world.disk().Exists("data/journal/0001/0000/0000000000000002.log")) << "laid out ahead";
    EXPECT_EQ(world.Start().code(), Code::kDataLoss) << "settled: " << settle;
  }
}

TEST(Engine, IsClosedOnlyWhenItsWorkersAreDone) {
  ShardsWorld world;
  ASSERT_TRUE(world.Start().ok());
  world.Add("a", 1);
  bool settled = false, closed = false;
  world.engine()->shard()->SettleNow([&](Status s) { settled = s.ok(); });
  world.store()->Close([&](Status) {
    EXPECT_TRUE(settled);
    closed = true;
  });
  EXPECT_TRUE(world.loop().RunUntil([&] { return closed; }, world.clock().MonoMicros() + 10'000'000));
}

}  // namespace
}  // namespace quipu::store
