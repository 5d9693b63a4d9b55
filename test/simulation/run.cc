#include "test/simulation/run.h"

#include <algorithm>

#include "base/assert.h"
#include "base/plant.h"

namespace quipu::simulation {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int kStartsMax = 30;
// What a commit may take beside its ops, at most: a record to spare, and a source with its marks.
constexpr size_t kCommitBytesBeside = 8192;
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
  // A write that stalled before may still be on its way.
  const int64_t within = kHealthyWithin + (plan_.log_write.stall > 0 ? Lag() : 0);
  if (loop_.RunUntil([&] { return done() || !ok(); }, clock_.MonoMicros() + within)) return ok();
  Fail(fmt::format("nothing is wrong with the disk, yet after {} s {}", within / kSecond, what));
  return false;
}

void Run::SetFaults(bool on) {
  quiet_ = !on;
  disk_.plan() = on ? plan_ : sim::FaultPlan{};
  disk_.plan().read_spares = plan_.read_spares;
  disk_.plan().write_back = plan_.write_back;
}

// How long a commit stays open: while the one before it is being written.
Micros Run::Lag() const { return engine_.survives_crashes ? (plan_.log_write.stall > 0 ? 120 : 2) * kSecond : 0; }

CodeSet Run::AllowedCodes() const {
  CodeSet allowed = 0;
  if (disk_.off() || disk_.counts().Faults() > faults_before_ || plan_.log_write.stall > 0)
    allowed |= EnvironmentCodes();
  if (damaged_) allowed |= SetOf(Code::kDataLoss) | SetOf(Code::kReadOnly);
  const bool is_bounded = memory_bytes_enough_ != std::numeric_limits<uint64_t>::max();
  if (is_bounded && store_->Info().memory_bytes > memory_bytes_enough_) allowed |= SetOf(Code::kStorageFull);
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
      acked_ = model_.last_step();
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
  Result<std::unique_ptr<store::EventStore>> opened = engine_.open({.loop = &loop_,
                                                                    .disk = planted_disk_.get(),
                                                                    .random = &store_random_,
                                                                    .tuning = &tuning_,
                                                                    .memory_bytes_enough = &memory_bytes_enough_,
                                                                    .small_segments =
                                                                        scenario_.knobs.at("small_segments").low,
                                                                    .frame_bytes = &frame_bytes_,
                                                                    .seed = seed_});
  if (opened.ok() && !disk_.off()) {
    store_ = PlantInStore(std::move(opened).value(), plant_, seed_);
    fenced_ = false;
    tokens_at_start_ = model_.tokens().size();
    next_done_ = 0;
    judged_us_ = kNoTime;
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

void Run::NoteWall() { walls_.emplace_back(clock_.MonoMicros(), clock_.WallMicros()); }

// The store judges by the time of its open commit: one that the wall clock has shown a moment ago, or the latest that
// it has ever acted by. Empty if it is.
std::string Run::CheckTime(Micros judged_us) {
  const Micros wall_us = loop_.WallMicros();
  Micros lowest_us = wall_us;
  while (!walls_.empty() && walls_.front().first < clock_.MonoMicros() - Lag()) walls_.pop_front();
  for (const auto& [mono_us, shown_us] : walls_) {
    lowest_us = std::min(lowest_us, shown_us);
    wall_highest_us_ = std::max(wall_highest_us_, shown_us);
  }
  wall_highest_us_ = std::max(wall_highest_us_, wall_us);
  const Micros before_us = std::max(judged_us_, committed_us_);
  if (judged_us < before_us) return fmt::format("the store's time goes back from {} to {}", before_us, judged_us);
  if (judged_us < lowest_us - Lag() || judged_us > wall_highest_us_) {
    return fmt::format("the store judges by {}, the wall clock has shown {} to {}", judged_us, lowest_us,
                       wall_highest_us_);
  }
  judged_us_ = judged_us;
  return "";
}

void Run::Send(std::unique_ptr<ClientBatch> client) {
  ClientBatch* c = client.get();
  in_flight_[c->number] = std::move(client);
  c->batch.on_done = &Run::OnDone;
  c->run = this;
  store_->Submit(&c->batch);
  if (!c->batch.decided) return Fail(fmt::format("batch {} is not decided by Submit", c->number));
  if (std::string wrong = CheckTime(c->batch.judged_us); !wrong.empty()) {
    return Fail(fmt::format("batch {}: {}", c->number, wrong));
  }
  model_.SetNow(c->batch.judged_us, loop_.WallMicros());
  for (const Op& op : c->ops) {
    trace_.Mix(static_cast<uint64_t>(op.code));
    trace_.Mix(static_cast<uint64_t>(op.value));
    trace_.Mix(op.position);
    if (op.code == Code::kReadOnly) fenced_ = true;
  }
  if (c->batch.code == Code::kReadOnly) fenced_ = true;
  if (c->unjudged) return;
  if (verbose_) LogBatch(*c);
  CodeSet allowed = AllowedCodes();
  size_t bytes = 0;
  for (const Op& op : c->ops) bytes += 500 + 2 * op.name.size() + op.token.size();
  // An atomic batch beyond half a frame is refused as too large.
  if (bytes + kCommitBytesBeside > frame_bytes_ / 8 * 3) allowed |= SetOf(Code::kTooLarge);
  if (std::string wrong = model_.Decide(c->requests, c->batch, allowed); !wrong.empty()) {
    return Fail(fmt::format("batch {}: {}", c->number, wrong));
  }
  if (c->batch.code != Code::kOk) return;
  workload_.SawVersions();
  c->must_survive = model_.revealed();
  for (size_t i = 0; i < c->ops.size(); ++i) {
    const Op& op = c->ops[i];
    const bool is_sync = model_.settings(op.ns).durability == Durability::kSync;
    c->commits |= is_sync && IsMutating(op.kind) && op.code == Code::kOk && !op.replayed && op.position != 0;
    if (InLedger(c->requests[i].counter) && op.kind == OpKind::kAdd && op.code == Code::kOk && op.token.empty()) {
      ledger_.Sent(c->requests[i].counter, op.applied);
    }
  }
}

void Run::LogBatch(const ClientBatch& client) const {
  Log("batch {} atomic={} all={} source={}: {}", client.number, client.batch.atomic, client.batch.all_or_nothing,
      client.batch.source != nullptr, CodeName(client.batch.code));
  for (size_t i = 0; i < client.ops.size(); ++i) {
    const Op& op = client.ops[i];
    Log("    {} kind={} ns={} '{}' delta={} token={} -> {} {}position={} version={} {}", i, static_cast<int>(op.kind),
        op.ns, op.name, op.delta, op.token, CodeName(op.code), op.replayed ? "replayed " : "", op.position, op.version,
        Describe(AnswerOf(op)));
  }
}

void Run::OnDone(store::Batch* batch) {
  auto* client = static_cast<ClientBatch*>(batch->owner);
  static_cast<Run*>(client->run)->Done(client);
}

void Run::Done(ClientBatch* client) {
  const auto it = in_flight_.find(client->number);
  if (it == in_flight_.end()) return Fail("on_done ran twice");
  if (engine_.done_in_order && client->number < next_done_)
    return Fail(fmt::format("batch {} is done after {}", client->number, next_done_ - 1));
  next_done_ = std::max(next_done_, client->number + 1);
  trace_.Mix(client->number);
  Log("batch {} is done: {}", client->number, client->batch.status.ToString());
  const Code code = client->batch.status.code();
  if (code == Code::kOk) {
    if (client->must_survive > acked_) {
      if (clock_.MonoMicros() > acked_at_us_) acked_before_ = acked_;
      acked_at_us_ = clock_.MonoMicros();
      acked_ = client->must_survive;
    }
    if (client->commits) committed_us_ = std::max(committed_us_, client->batch.judged_us);
    NoteInLedger(*client);
  } else if (code == Code::kUnknownOutcome) {
    fenced_ = true;
    NoteUnanswered(*client);
    result_.counts["unknown"] += 1;
    if ((AllowedCodes() & SetOf(Code::kReadOnly)) == 0)
      Fail("unknown outcome, yet no fault: " + client->batch.status.ToString());
  } else {
    Fail("on_done with " + client->batch.status.ToString());
  }
  if (client->unjudged) collected_.push_back(std::move(it->second));
  in_flight_.erase(it);
}

bool Run::InLedger(int counter) const {
  const Counter& c = model_.counters()[static_cast<size_t>(counter)];
  const bool may_change = c.ns % 2 == 1;  // Workload::ChangedSettings
  return c.adds_only && !may_change && model_.settings(c.ns).durability == Durability::kSync;
}

void Run::ChangeNamespaces() {
  for (NamespaceId id = 0; id < model_.namespaces().size() && ok(); ++id) {
    const std::optional<NamespaceSettings> settings = workload_.ChangedSettings(id);
    if (!settings) continue;
    Send(workload_.Reads(0, 1));  // says by which time the store judges
    if (!ok()) return;
    const Namespace before = model_.namespaces()[id];
    const uint64_t step = model_.last_step() + 1;
    store_->PutNamespace(
        before.name, before.version, *settings, [this, step, version = before.version + 1](auto result) {
          if (result.ok()) {
            if (result->version != version)
              Fail(fmt::format("namespace: version {}, should be {}", result->version, version));
            acked_ = std::max(acked_, step);
            return;
          }
          const Code code = result.status().code();
          const bool unknown = code == Code::kUnknownOutcome && (AllowedCodes() & SetOf(Code::kReadOnly)) != 0;
          if (!unknown && (AllowedCodes() & SetOf(code)) == 0) Fail("namespace: " + result.status().ToString());
        });
    const Namespace& now = store_->Namespaces()->Get(id);
    if (now.version == before.version) continue;  // refused; the code is judged when it comes
    const Namespace& want = model_.ChangeNamespace(id, *settings);
    result_.counts["ns_changes"] += 1;
    int64_t& least_ms = horizon_ms_least_.try_emplace(id, before.settings.token_horizon_ms).first->second;
    least_ms = std::min(least_ms, settings->token_horizon_ms);
    Log("namespace {} has version {}: {}", id, now.version, NamespaceSettingsToJson(now.settings));
    if (!SameNamespace(now, want)) {
      Fail(fmt::format("namespace {}: {} known since {}, should be {} known since {}", id, NamespaceToJson(now),
                       now.tokens_known_since_us, NamespaceToJson(want), want.tokens_known_since_us));
    }
  }
}

void Run::NoteUnanswered(const ClientBatch& client) {
  for (const Request& request : client.requests) {
    if (request.token < 0) continue;
    std::vector<Unanswered>& requests = unanswered_[request.token];
    if (request.kind == OpKind::kAdd) requests.push_back({request.content.delta, client.batch.judged_us});
  }
}

void Run::NoteInLedger(const ClientBatch& client) {
  if (client.batch.code != Code::kOk || client.unjudged) return;
  for (size_t i = 0; i < client.ops.size(); ++i) {
    const Op& op = client.ops[i];
    const Request& request = client.requests[i];
    const OpKind kind = op.kind == OpKind::kTokenOutcome ? op.original_kind : op.kind;
    if (!InLedger(request.counter) || kind != OpKind::kAdd || op.code != Code::kOk) continue;
    if (request.token < 0) {
      ledger_.Applied(request.counter, op.applied);
    } else if (std::string wrong = ledger_.TokenApplied(request.counter, request.token, op.position, op.applied);
               !wrong.empty()) {
      Fail(std::move(wrong));
    }
  }
}

bool Run::SendAndWait(std::vector<std::unique_ptr<ClientBatch>> batches) {
  // All in one turn, so that all see one moment.
  bool sent = false;
  loop_.Post([&] {
    for (auto& batch : batches) {
      if (ok()) Send(std::move(batch));
    }
    sent = true;
  });
  return WaitFor([&] { return sent && in_flight_.empty(); }, "batches are not answered");
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
  Log("{} at step {}, {} shown", power ? "power loss" : "death", model_.last_step(), acked_);
  power ? disk_.PowerLoss() : disk_.Restart();
  clock_.AdvanceTo(clock_.MonoMicros() + static_cast<int64_t>(random_.Skewed(3600)) * 1000);
}

void Run::CloseOrderly() {
  disk_.CrashAt(0);
  SetFaults(false);
  const bool healthy = disk_.counts().Faults() == faults_before_;
  bool closed = false;
  store_->Close([&](Status status) {
    closed = true;
    if (healthy && !status.ok()) Fail("close: " + status.ToString());
    if (status.ok() && in_flight_.empty()) acked_ = model_.last_step();
  });
  if (!WaitFor([&] { return closed && in_flight_.empty(); }, "the store is not closed")) return;
  disk_.PowerOff();
  Destroy();
  disk_.PowerLoss();
  result_.counts["closes"] += 1;
}

void Run::Destroy() {
  loop_.Abandon();
  store_.reset();
  for (const auto& [number, client] : in_flight_) NoteUnanswered(*client);
  in_flight_.clear();
  ledger_.Crash();
  workload_.ForgetVersions();
}

}  // namespace quipu::simulation
