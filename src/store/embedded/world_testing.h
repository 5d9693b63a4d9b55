// A simulated machine with one data directory, for tests: one engine after another on it, ops one by one, every kind of
// end.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "model/name.h"
#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "store/embedded/engine.h"

namespace quipu::store {

class World {
 public:
  explicit World(uint64_t seed = 7)
      : disk_(&clock_, &trace_, seed, 512), loop_(&clock_, &trace_, seed + 1), random_(seed + 2, "engine") {
    options_.data_dir = kDir;
    options_.shard.journal.segment_bytes = 64u << 10;
    options_.shard.journal.frame_bytes_max = 16u << 10;
  }
  ~World() {
    if (engine_) Abandon();  // a write may be in flight
  }
  static constexpr char kDir[] = "data";

  Status Start() {
    auto engine = Engine::Open(&disk_, &random_, {&loop_}, options_);
    if (!engine.ok()) return engine.status();
    engine_ = std::move(*engine);
    return OkStatus();
  }
  // An orderly end.
  void Stop() {
    bool closed = false;
    store()->Close([&](Status s) {
      EXPECT_TRUE(s.ok()) << s.ToString();
      closed = true;
    });
    Wait(&closed);
    engine_.reset();
  }
  enum class End { kKill, kPowerLoss };
  void Crash(End end) {
    Abandon();
    end == End::kPowerLoss ? disk_.PowerLoss() : disk_.Restart();
  }
  // The process is gone, and the disk without power.
  void Abandon() {
    disk_.PowerOff();
    loop_.Abandon();
    engine_.reset();
  }
  Op Do(Op op) {
    DoAll(std::span<Op>(&op, 1));
    return op;
  }
  // One batch; the answers stand in the ops.
  void DoAll(std::span<Op> ops) {
    for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
    Batch batch;
    bool done = false;
    batch.ops = ops;
    batch.owner = &done;
    batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
    store()->Submit(&batch);
    Wait(&done);
    EXPECT_TRUE(batch.status.ok()) << batch.status.ToString();
  }
  Op Add(std::string_view name, int64_t delta, std::string_view token = {}, NamespaceId ns = 0) {
    return Do({.kind = OpKind::kAdd, .ns = ns, .name = name, .token = token, .delta = delta});
  }
  Op Get(std::string_view name, NamespaceId ns = 0) { return Do({.ns = ns, .name = name}); }
  void Settle() {
    bool done = false;
    store()->SettleNow([&](Status s) {
      EXPECT_TRUE(s.ok()) << s.ToString();
      done = true;
    });
    Wait(&done);
  }
  NamespaceId MakeNamespace(const std::string& name, const NamespaceSettings& settings) {
    NamespaceId id = 0;
    bool done = false;
    store()->PutNamespace(name, 0, settings, [&](Result<Namespace> r) {
      EXPECT_TRUE(r.ok()) << r.status().ToString();
      id = r->id;
      done = true;
    });
    Wait(&done);
    return id;
  }
  void Wait(const bool* done) {
    ASSERT_TRUE(loop_.RunUntil([&] { return *done; }, clock_.MonoMicros() + 100'000'000));
  }

  Shard* store() { return engine_->shard(); }
  sim::SimDisk& disk() { return disk_; }
  sim::SimLoop& loop() { return loop_; }
  sim::SimClock& clock() { return clock_; }
  EngineOptions& options() { return options_; }

 private:
  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_;
  sim::SimLoop loop_;
  sim::SimRandom random_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace quipu::store
