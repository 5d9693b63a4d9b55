// A simulated machine with one data directory, for tests of engines with several shards: one engine after another on
// it, ops and batches from any shard, every kind of end.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "model/name.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "store/embedded/engine.h"

namespace quipu::store {

// One process after another on one simulated disk.
class ShardsWorld {
 public:
  explicit ShardsWorld(size_t shards = 1, uint64_t seed = 7)
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
    OnEveryShard([this](uint32_t i, auto on_done) { engine_->store(i)->Close(on_done); });
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
    OnEveryShard([this](uint32_t i, auto on_done) { engine_->shard(i)->SettleNow(on_done); });
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
  // Calls begin(shard, on_done) for each, and waits until all have ended well.
  template <class Begin>
  void OnEveryShard(Begin begin) {
    size_t ended = 0;
    for (uint32_t i = 0; i < shards_; ++i) {
      begin(i, [&](Status s) {
        EXPECT_TRUE(s.ok()) << s.ToString();
        ++ended;
      });
    }
    EXPECT_TRUE(loop_.RunUntil([&] { return ended == shards_; }, clock_.MonoMicros() + 100'000'000));
  }

  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_;
  sim::SimLoop loop_;
  sim::SimRandom random_;
  EngineOptions options_;
  size_t shards_;
  std::unique_ptr<Engine> engine_;
};

inline std::vector<Op> AddToMany(const std::vector<std::string>& names, int64_t delta) {
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

inline std::vector<std::string> Names(int n) {
  std::vector<std::string> names;
  for (int i = 0; i < n; ++i) names.push_back(fmt::format("name-{}", i));
  return names;
}

}  // namespace quipu::store
