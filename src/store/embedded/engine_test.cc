#include "store/embedded/engine.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "model/name.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "store/embedded/golden_testing.h"

namespace quipu::store {
namespace {

// One process after another on one simulated disk.
class World {
 public:
  explicit World(size_t shards = 1, uint64_t seed = 7)
      : disk_(&clock_, &trace_, seed), loop_(&clock_, &trace_, seed + 1), random_(seed + 2, "engine"), shards_(shards) {
    options_.data_dir = "data";
    options_.shard.journal.segment_bytes = 1u << 20;
    options_.shard.journal.frame_bytes_max = 256u << 10;
  }
  Status Start() {
    auto engine = Engine::Open(&disk_, &random_, std::vector<rt::Loop*>(shards_, &loop_), options_);
    if (!engine.ok()) return engine.status();
    engine_ = std::move(*engine);
    return OkStatus();
  }
  void Stop() {
    size_t closed = 0;
    for (uint32_t i = 0; i < shards_; ++i) {
      engine_->store(i)->Close([&](Status s) {
        EXPECT_TRUE(s.ok()) << s.ToString();
        ++closed;
      });
    }
    EXPECT_TRUE(loop_.RunUntil([&] { return closed == shards_; }, clock_.MonoMicros() + 10'000'000));
    engine_.reset();
  }
  void Kill(bool power) {
    disk_.PowerOff();
    loop_.Abandon();
    engine_.reset();
    power ? disk_.PowerLoss() : disk_.Restart();
  }
  Op Do(Op op, bool wait = true) {
    op.hash = HashCounter(op.ns, op.name);
    Batch batch;
    bool done = false;
    batch.ops = std::span<Op>(&op, 1);
    batch.owner = &done;
    batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
    engine_->store()->Submit(&batch);
    if (wait) {
      EXPECT_TRUE(loop_.RunUntil([&] { return done; }, clock_.MonoMicros() + 10'000'000));
      EXPECT_TRUE(batch.status.ok()) << batch.status.ToString();
    }
    return op;
  }
  Op Add(std::string_view name, int64_t delta, std::string_view token = {}) {
    Op op;
    op.kind = OpKind::kAdd;
    op.name = name;
    op.delta = delta;
    op.token = token;
    return Do(op);
  }
  int64_t Get(std::string_view name) {
    Op op;
    op.name = name;
    return Do(op).value;
  }
  void Settle() {
    size_t done = 0;
    for (uint32_t i = 0; i < shards_; ++i) {
      engine_->shard(i)->SettleNow([&](Status s) {
        EXPECT_TRUE(s.ok()) << s.ToString();
        ++done;
      });
    }
    EXPECT_TRUE(loop_.RunUntil([&] { return done == shards_; }, clock_.MonoMicros() + 100'000'000));
  }
  // Several ops in one batch, from shard `home`.
  Batch DoAll(std::vector<Op>* ops, bool atomic, bool all_or_nothing = false, uint32_t home = 0) {
    for (Op& op : *ops) op.hash = HashCounter(op.ns, op.name);
    Batch batch;
    bool done = false;
    batch.ops = *ops;
    batch.atomic = atomic;
    batch.all_or_nothing = all_or_nothing;
    batch.owner = &done;
    batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
    engine_->store(home)->Submit(&batch);
    EXPECT_TRUE(loop_.RunUntil([&] { return done; }, clock_.MonoMicros() + 10'000'000));
    return batch;
  }
  EventStore* store() { return engine_->store(); }
  Engine* engine() { return engine_.get(); }
  sim::SimDisk& disk() { return disk_; }
  void set_shards(size_t n) { shards_ = n; }
  sim::SimLoop& loop() { return loop_; }
  sim::SimClock& clock() { return clock_; }

 private:
  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_;
  sim::SimLoop loop_;
  sim::SimRandom random_;
  EngineOptions options_;
  size_t shards_;
  std::unique_ptr<Engine> engine_;
};

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
  World world;
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
  World w;
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
    World w;
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
  World world;
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

std::vector<Op> AddToMany(const std::vector<std::string>& names, int64_t delta) {
  std::vector<Op> ops;
  for (const std::string& name : names) {
    Op op;
    op.kind = OpKind::kAdd;
    op.name = name;
    op.delta = delta;
    ops.push_back(op);
  }
  return ops;
}

std::vector<std::string> Names(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(fmt::format("name-{}", i));
  return names;
}

TEST(Engine, RefusesAJournalWhoseFilesAreGone) {
  for (bool settle : {false, true}) {
    World world;
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
  World world;
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

TEST(Shards, AnswerForEachOthersCountersFromEveryHome) {
  World world(4);
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
  World world(3);
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
  World world(3);
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
  World world(4);
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
  World world(4);
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
  World world(kShards);
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
    World world(4, call);  // the seed decides what of the unsynced writes stays
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
  World world(3);
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
      sent.ops.push_back(
          {.kind = OpKind::kAdd, .hash = HashCounter(0, of_shard[s]), .name = of_shard[s], .delta = 1});
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
