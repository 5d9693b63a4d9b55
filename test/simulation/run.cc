#include "test/simulation/run.h"

#include <algorithm>

#include "base/assert.h"
#include "base/plant.h"

namespace quipu::simulation {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int kStartsMax = 30;
constexpr double kLooksBeforeCrash = 0.25;
// While memory is short or the settler behind, each of the journal's writes waits up to a second, and others queue.
constexpr int64_t kPacedSeconds = 600;
// Within this the store must answer once nothing is wrong any more.
constexpr int64_t kHealthyWithin = 10 * kSecond;

CodeSet EnvironmentCodes() {
  return SetOf(Code::kReadOnly) | SetOf(Code::kUnavailable) | SetOf(Code::kStorageFull) | SetOf(Code::kOverloaded);
}

}  // namespace

Run::Run(uint64_t seed, const Scenario& scenario, const Engine& engine, int plant, bool verbose)
    : seed_(seed),
      scenario_(scenario),
      engine_(engine),
      plant_(plant),
      verbose_(verbose),
      loop_(&clock_, &trace_, seed),
      disk_(&clock_, &trace_, seed, size_t{512} << sim::SimRandom(seed, "swarm.alignment").Below(4)),
      planted_disk_(std::make_unique<PlantedDisk>(&disk_, plant)),
      random_(seed, "run"),
      store_random_(seed, "store"),
      tuning_(seed, "tuning"),
      workload_(seed, scenario, &model_) {
#ifdef QUIPU_PLANTS
  planted_bug = plant;
#endif
  if (verbose) disk_.SetLog([this](const std::string& line) { Log("{}", line); });
  disk_.TraceOnlySizesOf("/settled/");  // RocksDB stamps its files with ids of its own making
  sim::SimRandom swarm(seed, "swarm.faults");
  plan_.open_error = scenario.DrawProbability("open_error", &swarm);
  plan_.read_spares = "/settled/run-";  // RocksDB aborts where it cannot read a file that it takes in
  plan_.read_error = scenario.DrawProbability("read_error", &swarm);
  plan_.write_error = scenario.DrawProbability("write_error", &swarm);
  plan_.write_partial = scenario.DrawProbability("write_partial", &swarm);
  plan_.log_write_error = scenario.DrawProbability("log_write_error", &swarm);
  plan_.sync_error = scenario.DrawProbability("sync_error", &swarm);
  plan_.sync_dir_error = scenario.DrawProbability("sync_dir_error", &swarm);
  plan_.rename_error = scenario.DrawProbability("rename_error", &swarm);
  plan_.no_space = scenario.DrawProbability("no_space", &swarm);
  plan_.write_back = scenario.Draw("write_back", &swarm);
  plan_.log_write.stall = plan_.sync.stall = scenario.DrawProbability("stall", &swarm);
  plan_.log_write.max_us = std::max<int64_t>(plan_.log_write.min_us, scenario.DrawInt("log_latency_us", &swarm));
  const int64_t capacity_mb = scenario.DrawInt("capacity_mb", &swarm);
  if (capacity_mb > 0) plan_.capacity_bytes = static_cast<uint64_t>(capacity_mb) << 20;
  clock_jump_ = scenario.DrawProbability("clock_jump", &swarm);
  clock_.SetDrift(scenario.DrawInt("drift_ppm", &swarm));
  sim::SimRandom shards(seed, "swarm.shards");
  shard_count_ = static_cast<uint32_t>(scenario.DrawInt("shards", &shards));
  shards_.resize(shard_count_);
  model_.SetShards(shard_count_);
}

Run::~Run() {
  disk_.PowerOff();
  loop_.Abandon();
  store_.reset();
}

void Run::Fail(std::string what) {
  if (ok())
    result_.failure = fmt::format("{} (virtual time {} us, disk call {})", what, clock_.MonoMicros(), disk_.calls());
}

bool Run::WaitFor(const std::function<bool()>& done, const char* what) {
  const int64_t since_us = clock_.MonoMicros();
  const auto over = [&] { return done() || !ok(); };
  if (loop_.RunUntil(over, since_us + kHealthyWithin)) return ok();
  // A write that stalled before may still be on its way, and paced ones wait in turn.
  const bool excused = plan_.log_write.stall > 0 || pressed_;
  if (excused && loop_.RunUntil(over, since_us + kHealthyWithin + Lag())) return ok();
  Fail(fmt::format("nothing is wrong with the disk, yet after {} s {}", (clock_.MonoMicros() - since_us) / kSecond,
                   what));
  return false;
}

void Run::SetFaults(bool on) {
  quiet_ = !on;
  disk_.plan() = on ? plan_ : sim::FaultPlan{};
  disk_.plan().read_spares = plan_.read_spares;
  disk_.plan().write_back = plan_.write_back;
}

// How long a commit stays open: while the one before it is being written.
Micros Run::Lag() const {
  if (!engine_.survives_crashes) return 0;
  return ((plan_.log_write.stall > 0 ? 120 : 2) + (pressed_ ? kPacedSeconds : 0)) * kSecond;
}

CodeSet Run::AllowedCodes() const {
  CodeSet allowed = 0;
  if (disk_.off() || disk_.counts().Faults() > faults_before_ || plan_.log_write.stall > 0)
    allowed |= EnvironmentCodes();
  if (pressed_ || sent_bytes_ > limits_.pending_bytes) allowed |= SetOf(Code::kOverloaded);
  if (closing_ && shards_.size() > 1) allowed |= SetOf(Code::kUnavailable);  // a part that arrives late
  if (damaged_) allowed |= SetOf(Code::kDataLoss) | SetOf(Code::kReadOnly);
  if (pressed_ && store_->Info().memory_bytes > limits_.memory_bytes_enough) allowed |= SetOf(Code::kStorageFull);
  return allowed;
}

RunResult Run::Execute() {
  const int64_t lives = engine_.survives_crashes ? scenario_.DrawInt("lives", &random_) : 1;
  for (int64_t life = 0; life <= lives && ok(); ++life) {
    if (life > 0 && random_.Chance(scenario_.Draw("damage", &random_))) VerifyDamaged();
    if (!ok() || !Start()) break;
    if (life == 0) {
      SetUpNamespaces();
    } else {
      VerifyRecovery();
    }
    if (!ok()) break;
    if (life < lives) {
      Work();
      if (!ok()) break;
      if (!engine_.survives_crashes) {
        SetFaults(false);
        if (WaitFor([this] { return in_flight_.empty(); }, "batches are not answered")) CompareAll();
        break;
      }
      Crash();
    } else {
      CloseOrderly();
      if (ok()) CheckData();
      if (!ok() || !Start()) break;
      AllShown();
      VerifyRecovery();
    }
  }
  return TakeResult();
}

RunResult Run::TakeResult() {
  const Model::Tally& tally = model_.tally();
  const sim::DiskCounts& disk = disk_.counts();
  auto& counts = result_.counts;
  counts["adds"] = static_cast<double>(tally.adds);
  counts["replays"] = static_cast<double>(tally.replays);
  counts["conflicts"] = static_cast<double>(tally.conflicts);
  counts["comparisons"] += static_cast<double>(tally.comparisons);
  counts["power_losses"] = static_cast<double>(disk.power_losses);
  counts["process_deaths"] = static_cast<double>(disk.process_deaths);
  counts["faults"] = static_cast<double>(disk.Faults());
  counts["disk_calls"] = static_cast<double>(disk.Calls());
  counts["virtual_hours"] = static_cast<double>(clock_.MonoMicros()) / 3.6e9;
  result_.trace_hash = trace_.hash();
  return std::move(result_);
}

bool Run::Start() {
  const double cut_off = scenario_.DrawProbability("crash_in_recovery", &random_);
  for (int attempt = 0; attempt < kStartsMax; ++attempt) {
    // The last attempts are left alone: once nothing is wrong the store has to come up.
    const bool alone = attempt >= kStartsMax / 2;
    SetFaults(!alone);
    faults_before_ = disk_.counts().Faults();
    if (!alone && attempt > 0 && engine_.survives_crashes && random_.Chance(0.3)) SetFaults(false);
    if (!alone && engine_.survives_crashes && random_.Chance(cut_off))
      disk_.CrashAt(disk_.calls() + random_.Skewed(2000));
    if (StartOnce()) {
      disk_.CrashAt(0);
      SetFaults(false);
      faults_before_ = disk_.counts().Faults();
      return true;
    }
    if (!ok()) return false;
    if (random_.Below(2) == 0) {
      disk_.PowerLoss();
    } else {
      disk_.Restart();
    }
    result_.counts["starts_cut_off"] += 1;
  }
  Fail("the store does not start");
  return false;
}

// False where the disk cut it off or failed: the store is gone and the power is off. Anything else fails the run.
bool Run::StartOnce() {
  Result<std::unique_ptr<store::EventStore>> opened =
      engine_.open({.loop = &loop_,
                    .disk = planted_disk_.get(),
                    .random = &store_random_,
                    .tuning = &tuning_,
                    .small_segments = scenario_.knobs.at("small_segments").low,
                    .memory_mb_least = static_cast<uint64_t>(scenario_.knobs.at("memory_mb_least").low),
                    .limits = &limits_,
                    .shards = shard_count_,
                    .observer = shard_count_ > 1 ? this : nullptr,
                    .opened = &opened_,
                    .seed = seed_});
  if (opened.ok() && !disk_.off()) {
    store_ = PlantInStore(std::move(opened).value(), plant_, seed_);
    fenced_ = false;
    closing_ = false;
    pressed_ = false;
    tokens_at_start_ = model_.tokens().size();
    next_done_ = 0;
    for (ShardView& shard : shards_) {
      shard.judged_us = kNoTime;
      shard.newest_decided = 0;
    }
    result_.counts["recoveries"] += 1;
    Log("started");
    return true;
  }
  Log("start failed: {}", opened.status().ToString());
  if (!disk_.off() && disk_.counts().Faults() == faults_before_) {
    Fail(fmt::format("the store does not start: {}", opened.status().ToString()));
    return false;
  }
  disk_.PowerOff();
  loop_.Abandon();
  return false;
}

void Run::SetUpNamespaces() {
  SetFaults(false);
  std::vector<NamespaceId> ids = {kDefaultNamespace};
  for (size_t i = 0; i < workload_.namespaces().size() && ok(); ++i) {
    bool done = false;
    store_->PutNamespace(fmt::format("ns{}", i + 1), 0, workload_.namespaces()[i], [&](Result<Namespace> result) {
      done = true;
      if (!result.ok()) return Fail("namespace: " + result.status().ToString());
      ids.push_back(result->id);
    });
    WaitFor([&] { return done; }, "a namespace is not created");
  }
  if (!ok()) return;
  model_.SetNamespaces(*store_->Namespaces());
  workload_.MakeCounters(ids);
}

void Run::Tick() {
  if (!ok() || batches_left_ == 0) return;
  const uint64_t group = std::min(batches_left_, random_.Skewed(8));
  for (uint64_t i = 0; i < group && ok(); ++i) Send(workload_.Next(loop_.WallMicros()));
  batches_left_ -= group;
  if (ok()) ChangeNamespaces();
  if (fenced_) batches_left_ = std::min<uint64_t>(batches_left_, 5);
  if (random_.Chance(clock_jump_)) {
    const int64_t jump =
        static_cast<int64_t>(random_.Skewed(static_cast<uint64_t>(scenario_.DrawInt("clock_jump_s", &random_)))) *
        kSecond;
    NoteWall();
    clock_.JumpWall(random_.Below(2) == 0 ? jump : -jump);
    NoteWall();
    result_.counts["clock_jumps"] += 1;
  }
  int64_t pause = static_cast<int64_t>(
      random_.Skewed(static_cast<uint64_t>(std::max<int64_t>(1, scenario_.DrawInt("pause_us", &random_)))));
  const int64_t idle_s = scenario_.DrawInt("idle_s", &random_);
  if (idle_s > 0 && random_.Below(30) == 0)
    pause = static_cast<int64_t>(random_.Skewed(static_cast<uint64_t>(idle_s))) * kSecond;
  loop_.At(loop_.MonoMicros() + pause, sim::SimLoop::Life::kProcess, [this] { Tick(); });
}

void Run::Work() {
  SetFaults(true);
  faults_before_ = disk_.counts().Faults();
  batches_left_ = static_cast<uint64_t>(scenario_.DrawInt("steps", &random_));
  if (random_.Below(3) == 0) batches_left_ = random_.Skewed(batches_left_);
  // Half of the crashes come at a call of the disk, the others at a moment.
  if (engine_.survives_crashes && random_.Below(2) == 0) {
    disk_.CrashAt(disk_.calls() + random_.Skewed(20 * batches_left_));
  }
  loop_.Post([this] { Tick(); });
  loop_.RunUntil([this] { return !ok() || disk_.off() || batches_left_ == 0; }, std::numeric_limits<int64_t>::max());
}

void Run::Crash() {
  const bool healthy = !disk_.off() && !fenced_ && disk_.counts().Faults() == faults_before_;
  if (healthy && random_.Chance(kLooksBeforeCrash)) CompareAlive();
  if (!ok()) return;
  if (!disk_.off() && !fenced_ && random_.Chance(scenario_.Draw("orderly", &random_))) {
    CloseOrderly();
    return;
  }
  if (!disk_.off()) loop_.RunFor(static_cast<int64_t>(random_.Skewed(100'000)) - 1);
  disk_.PowerOff();
  // What still runs without power must not do harm.
  if (random_.Below(4) == 0) loop_.RunFor(static_cast<int64_t>(random_.Skewed(100'000)));
  if (!ok()) return;
  Destroy();
  const bool power = random_.Chance(scenario_.Draw("power_loss", &random_));
  for (uint32_t s = 0; s < shards_.size(); ++s) {
    Log("{}: shard {} at step {}, {} shown", power ? "power loss" : "death", s, model_.last_step(s), shards_[s].acked);
  }
  power ? disk_.PowerLoss() : disk_.Restart();
  clock_.AdvanceTo(clock_.MonoMicros() + static_cast<int64_t>(random_.Skewed(3600)) * 1000);
}

void Run::CloseOrderly() {
  disk_.CrashAt(0);
  SetFaults(false);
  const bool healthy = disk_.counts().Faults() == faults_before_;
  bool closed = false;
  closing_ = true;
  store_->Close([&](Status status) {
    closed = true;
    if (healthy && !status.ok()) Fail("close: " + status.ToString());
    if (status.ok() && in_flight_.empty()) AllShown();
  });
  if (!WaitFor([&] { return closed && in_flight_.empty(); }, "the store is not closed")) return;
  disk_.PowerOff();
  Destroy();
  disk_.PowerLoss();
  result_.counts["closes"] += 1;
}

// Everything that was decided must survive from here on.
void Run::AllShown() {
  for (uint32_t s = 0; s < shards_.size(); ++s) shards_[s].acked = model_.last_step(s);
}

void Run::Destroy() {
  loop_.Abandon();
  store_.reset();
  for (const auto& [number, client] : in_flight_) NoteUnanswered(*client);
  in_flight_.clear();
  steps_undecided_ = 0;
  ledger_.Crash();
  workload_.ForgetVersions();
}

}  // namespace quipu::simulation
