#include "store/embedded/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "model/name.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"

namespace quipu::store {
namespace {

// One process after another on one simulated disk.
class World {
 public:
  World() : disk_(&clock_, &trace_, 7), loop_(&clock_, &trace_, 8), random_(9, "engine") {
    options_.data_dir = "data";
    options_.shard.journal.segment_bytes = 1u << 20;
    options_.shard.journal.frame_bytes_max = 256u << 10;
  }
  Status Start() {
    auto engine = Engine::Open(&disk_, &random_, &loop_, options_);
    if (!engine.ok()) return engine.status();
    engine_ = std::move(*engine);
    return OkStatus();
  }
  void Stop() {
    bool closed = false;
    engine_->store()->Close([&](Status s) {
      EXPECT_TRUE(s.ok()) << s.ToString();
      closed = true;
    });
    EXPECT_TRUE(loop_.RunUntil([&] { return closed; }, clock_.MonoMicros() + 10'000'000));
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
    bool done = false;
    engine_->store()->SettleNow([&](Status s) {
      EXPECT_TRUE(s.ok()) << s.ToString();
      done = true;
    });
    EXPECT_TRUE(loop_.RunUntil([&] { return done; }, clock_.MonoMicros() + 100'000'000));
  }
  Shard* store() { return engine_->store(); }
  sim::SimLoop& loop() { return loop_; }
  sim::SimClock& clock() { return clock_; }

 private:
  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_;
  sim::SimLoop loop_;
  sim::SimRandom random_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

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

}  // namespace
}  // namespace quipu::store
