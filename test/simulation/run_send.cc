// Batches sent, judged and answered.
#include <algorithm>

#include "base/assert.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

constexpr int64_t kSecond = 1'000'000;
// What a commit may take beside its ops, at most: a record to spare, and a source with its marks.
constexpr size_t kCommitBytesBeside = 8192;

bool IsStep(const store::Batch& batch) { return batch.atomic || batch.all_or_nothing || batch.source != nullptr; }

}  // namespace

void Run::NoteSent(size_t bytes) {
  sent_.emplace_back(clock_.MonoMicros(), bytes);
  sent_bytes_ += bytes;
  for (; sent_.front().first < clock_.MonoMicros() - kSecond; sent_.pop_front()) sent_bytes_ -= sent_.front().second;
}

void Run::NotePressure() {
  const store::StoreInfo info = store_->Info();
  pressed_ |= info.memory_bytes > limits_.memory_bytes_free || info.unsettled_bytes > limits_.unsettled_bytes_free;
}

void Run::NoteWall() { walls_.emplace_back(clock_.MonoMicros(), clock_.WallMicros()); }

// A shard judges by the time of its open commit: one that the wall clock has shown a moment ago, or the latest that it
// has ever acted by. Empty if it is.
std::string Run::CheckTime(uint32_t shard, Micros judged_us) {
  const Micros wall_us = loop_.WallMicros();
  Micros lowest_us = wall_us;
  while (!walls_.empty() && walls_.front().first < clock_.MonoMicros() - Lag()) walls_.pop_front();
  for (const auto& [mono_us, shown_us] : walls_) {
    lowest_us = std::min(lowest_us, shown_us);
    wall_highest_us_ = std::max(wall_highest_us_, shown_us);
  }
  wall_highest_us_ = std::max(wall_highest_us_, wall_us);
  ShardView& view = shards_[shard];
  const Micros before_us = std::max(view.judged_us, view.committed_us);
  if (judged_us < before_us) return fmt::format("the store's time goes back from {} to {}", before_us, judged_us);
  if (judged_us < lowest_us - Lag() || judged_us > wall_highest_us_) {
    return fmt::format("the store judges by {}, the wall clock has shown {} to {}", judged_us, lowest_us,
                       wall_highest_us_);
  }
  view.judged_us = judged_us;
  return "";
}

Micros Run::JudgedLast() const {
  Micros last_us = kNoTime;
  for (const ShardView& shard : shards_) last_us = std::max(last_us, shard.judged_us);
  return last_us;
}

// All of it lives on the shard that it is submitted to.
bool Run::IsOfHome(const ClientBatch& client) const {
  if (client.batch.source != nullptr && model_.ShardOfSource(client.batch.source->id) != opened_.home) return false;
  return std::ranges::all_of(client.requests, [this](const Request& r) {
    return model_.counters()[static_cast<size_t>(r.counter)].shard == opened_.home;
  });
}

void Run::Send(std::unique_ptr<ClientBatch> client) {
  ClientBatch* c = client.get();
  const bool one_shard = shards_.size() == 1;
  const bool at_once = one_shard || (steps_undecided_ == 0 && IsOfHome(*c));
  in_flight_[c->number] = std::move(client);
  c->batch.on_done = &Run::OnDone;
  c->run = this;
  for (const Op& op : c->ops) c->bytes += 500 + 2 * op.name.size() + op.token.size();
  NoteSent(c->bytes);
  if (!one_shard) c->decided.resize(c->ops.size());
  if (!one_shard && IsStep(c->batch) && !IsOfHome(*c)) ++steps_undecided_;
  store_->Submit(&c->batch);
  if (at_once && !c->batch.decided) return Fail(fmt::format("batch {} is not decided by Submit", c->number));
  if (one_shard) JudgePart(c, 0, c->batch, {});
}

void Run::OnPart(const store::Batch& whole, uint32_t shard, const store::Batch& part, std::span<const uint32_t> index) {
  if (ok()) JudgePart(static_cast<ClientBatch*>(whole.owner), shard, part, index);
}

// Judged as one, by the time of each shard.
void Run::OnStep(const store::Batch& whole) {
  auto* client = static_cast<ClientBatch*>(whole.owner);
  --steps_undecided_;
  if (!ok()) return;
  NotePressure();
  std::set<uint32_t> shards;
  if (whole.source != nullptr) shards.insert(model_.ShardOfSource(whole.source->id));
  for (const Request& r : client->requests) shards.insert(model_.counters()[static_cast<size_t>(r.counter)].shard);
  // What is refused as a whole, or is a source's that stands elsewhere, is not judged by time.
  const bool elsewhere = whole.source != nullptr && whole.source_offset != whole.source->from;
  const bool by_time = whole.code == Code::kOk || (whole.code == Code::kConditionNotMet && !elsewhere);
  for (const uint32_t shard : shards) {
    const Micros judged_us = by_time ? opened_.judged_us(shard) : kNoTime;
    if (!NoteDecided(client, shard, judged_us, whole.code)) return;
  }
  std::copy(whole.ops.begin(), whole.ops.end(), client->decided.begin());
  client->ops_decided = whole.ops.size();
  Judge(client, client->requests, whole);
}

void Run::JudgePart(ClientBatch* client, uint32_t shard, const store::Batch& part, std::span<const uint32_t> index) {
  NotePressure();
  if (!NoteDecided(client, shard, part.judged_us, part.code)) return;
  std::vector<Request> requests;
  for (size_t i = 0; i < part.ops.size(); ++i) {
    const size_t at = index.empty() ? i : index[i];
    if (shards_.size() == 1) break;
    client->decided[at] = part.ops[i];
    requests.push_back(client->requests[at]);
  }
  client->ops_decided += part.ops.size();
  Judge(client, shards_.size() == 1 ? client->requests : requests, part);
}

// A shard has decided something of the batch: at a time that it may, and after everything that was submitted before.
bool Run::NoteDecided(ClientBatch* client, uint32_t shard, Micros judged_us, Code code) {
  uint64_t& newest = shards_[shard].newest_decided;
  if (client->number <= newest) {
    Fail(fmt::format("batch {} is decided on shard {} after batch {}", client->number, shard, newest));
    return false;
  }
  newest = client->number;
  client->parts.push_back({.shard = shard, .judged_us = judged_us, .code = code});
  if (judged_us == kNoTime) return true;
  if (std::string wrong = CheckTime(shard, judged_us); !wrong.empty()) {
    Fail(fmt::format("batch {}, shard {}: {}", client->number, shard, wrong));
    return false;
  }
  model_.SetNow(shard, judged_us, loop_.WallMicros());
  return true;
}

void Run::Judge(ClientBatch* client, const std::vector<Request>& requests, const store::Batch& decided) {
  for (const Op& op : decided.ops) {
    trace_.Mix(static_cast<uint64_t>(op.code));
    trace_.Mix(static_cast<uint64_t>(op.value));
    trace_.Mix(op.position);
    if (op.code == Code::kReadOnly) fenced_ = true;
  }
  if (decided.code == Code::kReadOnly) fenced_ = true;
  if (client->unjudged) return;
  if (verbose_) LogBatch(*client, decided);
  CodeSet allowed = AllowedCodes();
  // An atomic batch beyond half a frame is refused as too large.
  if (client->bytes + kCommitBytesBeside > limits_.frame_bytes / 8 * 3) allowed |= SetOf(Code::kTooLarge);
  if (std::string wrong = model_.Decide(requests, decided, allowed); !wrong.empty()) {
    return Fail(fmt::format("batch {}: {}", client->number, wrong));
  }
  if (decided.code != Code::kOk) return;
  workload_.SawVersions();
  for (ClientBatch::Part& part : client->parts) {
    part.must_survive = std::max(part.must_survive, model_.revealed()[part.shard]);
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const Op& op = decided.ops[i];
    const int counter = requests[i].counter;
    const bool is_sync = model_.settings(op.ns).durability == Durability::kSync;
    if (is_sync && IsMutating(op.kind) && op.code == Code::kOk && !op.replayed && op.position != 0) {
      const uint32_t shard = model_.counters()[static_cast<size_t>(counter)].shard;
      std::ranges::find(client->parts, shard, &ClientBatch::Part::shard)->commits = true;
    }
    if (InLedger(counter) && op.kind == OpKind::kAdd && op.code == Code::kOk && op.token.empty()) {
      ledger_.Sent(counter, op.applied);
    }
  }
}

// With several shards: what the client is told is what the shards have decided, each op in its place.
std::string Run::CompareWithParts(const ClientBatch& client) const {
  if (client.ops_decided != client.ops.size()) {
    return fmt::format("{} of {} ops are decided", client.ops_decided, client.ops.size());
  }
  if (!client.batch.decided) return "it is done and not decided";
  for (size_t i = 0; i < client.ops.size(); ++i) {
    const Op& told = client.ops[i];
    const Op& op = client.decided[i];
    if (told.code == op.code && told.replayed == op.replayed && told.position == op.position &&
        told.version == op.version && told.original_kind == op.original_kind &&
        told.token_expires_us == op.token_expires_us && AnswerOf(told) == AnswerOf(op)) {
      continue;
    }
    return fmt::format("op {} of {} is told {} at {}: {}, decided was {} at {}: {}", i, client.ops.size(),
                       CodeName(told.code), told.position, Describe(AnswerOf(told)), CodeName(op.code), op.position,
                       Describe(AnswerOf(op)));
  }
  const auto refused = [](const ClientBatch::Part& part) { return part.code != Code::kOk; };
  const Code code = std::ranges::all_of(client.parts, refused) ? client.parts.back().code : Code::kOk;
  if (client.batch.code != code) {
    return fmt::format("it is told {}, decided was {}", CodeName(client.batch.code), CodeName(code));
  }
  const Micros judged_us = client.parts.size() == 1 ? client.parts[0].judged_us : kNoTime;
  if (client.batch.judged_us != judged_us && code == Code::kOk) {
    return fmt::format("it is told that {} was its time, which was {}", client.batch.judged_us, judged_us);
  }
  return "";
}

void Run::LogBatch(const ClientBatch& client, const store::Batch& decided) const {
  Log("batch {} atomic={} all={} source={}: {}", client.number, client.batch.atomic, client.batch.all_or_nothing,
      client.batch.source != nullptr, CodeName(decided.code));
  for (size_t i = 0; i < decided.ops.size(); ++i) {
    const Op& op = decided.ops[i];
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
  if (shards_.size() > 1) {
    if (std::string wrong = CompareWithParts(*client); !wrong.empty()) {
      return Fail(fmt::format("batch {}: {}", client->number, wrong));
    }
  }
  if (code == Code::kOk) {
    for (const ClientBatch::Part& part : client->parts) NoteShown(part);
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

void Run::NoteShown(const ClientBatch::Part& part) {
  ShardView& shard = shards_[part.shard];
  if (part.must_survive > shard.acked) {
    if (clock_.MonoMicros() > shard.acked_at_us) shard.acked_before = std::exchange(shard.acked_prior, shard.acked);
    shard.acked_at_us = clock_.MonoMicros();
    shard.acked = part.must_survive;
  }
  if (part.commits) shard.committed_us = std::max(shard.committed_us, part.judged_us);
}

bool Run::InLedger(int counter) const {
  const Counter& c = model_.counters()[static_cast<size_t>(counter)];
  const bool may_change = c.ns % 2 == 1;  // Workload::ChangedSettings
  return c.adds_only && !may_change && model_.settings(c.ns).durability == Durability::kSync;
}

void Run::ChangeNamespaces() {
  if (shards_.size() > 1) return;  // each shard hears of a change at a moment of its own
  for (NamespaceId id = 0; id < model_.namespaces().size() && ok(); ++id) {
    const std::optional<NamespaceSettings> settings = workload_.ChangedSettings(id);
    if (!settings) continue;
    Send(workload_.Reads(0, 1));  // says by which time the store judges
    if (!ok()) return;
    const Namespace before = model_.namespaces()[id];
    const uint64_t step = model_.last_step(0) + 1;
    store_->PutNamespace(
        before.name, before.version, *settings, [this, step, version = before.version + 1](auto result) {
          if (result.ok()) {
            if (result->version != version)
              Fail(fmt::format("namespace: version {}, should be {}", result->version, version));
            shards_[0].acked = std::max(shards_[0].acked, step);
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
    const uint32_t shard = model_.counters()[static_cast<size_t>(request.counter)].shard;
    const auto part = std::ranges::find(client.parts, shard, &ClientBatch::Part::shard);
    if (part == client.parts.end()) continue;  // nothing happened: the shard never saw it
    if (request.kind == OpKind::kAdd) requests.push_back({request.content.delta, part->judged_us});
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

}  // namespace quipu::simulation
