// The life of a script: no fault but a crash before one call of the disk, and before another in the recovery.
#include "test/simulation/run.h"

namespace quipu::simulation {

RunResult Run::ExecuteScript(const Script& script) {
  disk_.CrashAt(script.crash_at);
  Live();
  result_.counts["script_calls"] = static_cast<double>(disk_.calls());
  if (!ok()) return TakeResult();
  Destroy();
  script.power ? disk_.PowerLoss() : disk_.Restart();
  for (uint32_t s = 0; s < shards_.size(); ++s) {
    Log("{}: shard {} at step {}, {} shown", script.power ? "power loss" : "death", s, model_.last_step(s),
        shards_[s].acked);
  }
  const uint64_t before = disk_.calls();
  disk_.CrashAt(script.recovery_crash_at == 0 ? 0 : before + script.recovery_crash_at);
  if (!StartOnce() && disk_.off()) {
    Destroy();
    script.power ? disk_.PowerLoss() : disk_.Restart();
    disk_.CrashAt(0);
    StartOnce();
  }
  disk_.CrashAt(0);
  result_.counts["recovery_calls"] = static_cast<double>(disk_.calls() - before);
  if (ok() && model_.counters().empty()) SetUpNamespaces();
  if (ok()) VerifyRecovery();
  if (ok()) CloseOrderly();
  if (ok()) CheckData();
  if (ok() && StartOnce()) VerifyRecovery();
  return TakeResult();
}

void Run::Live() {
  if (!StartOnce()) return;
  SetUpNamespaces();
  if (!ok()) return;
  batches_left_ = static_cast<uint64_t>(scenario_.DrawInt("steps", &random_));
  const auto off = [this] { return !ok() || disk_.off(); };
  loop_.Post([this] { Tick(); });
  loop_.RunUntil([&] { return off() || batches_left_ == 0; }, std::numeric_limits<int64_t>::max());
  // Time for it to settle and to merge.
  loop_.RunUntil(off, clock_.MonoMicros() + 180'000'000);
  if (off()) return;
  bool closed = false;
  closing_ = true;
  store_->Close([&](Status status) {
    closed = true;
    if (!disk_.off() && !status.ok()) Fail("close: " + status.ToString());
    if (status.ok() && in_flight_.empty()) AllShown();
  });
  loop_.RunUntil([&] { return off() || closed; }, std::numeric_limits<int64_t>::max());
  disk_.PowerOff();
}

}  // namespace quipu::simulation
