// Batches sent, judged and answered.
#include <algorithm>

#include "base/assert.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

constexpr int64_t kSecond = 1'000'000;
// What a commit may take beside its ops, at most: a record to spare, and a source with its marks.
constexpr size_t kCommitBytesBeside = 8192;

}  // namespace

void Run::NotePressure(size_t bytes) {
  sent_.emplace_back(clock_.MonoMicros(), bytes);
  sent_bytes_ += bytes;
  for (; sent_.front().first < clock_.MonoMicros() - kSecond; sent_.pop_front()) sent_bytes_ -= sent_.front().second;
  const store::StoreInfo info = store_->Info();
  pressed_ |= info.memory_bytes > limits_.memory_bytes_free || info.unsettled_bytes > limits_.unsettled_bytes_free;
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
  size_t bytes = 0;
  for (const Op& op : c->ops) bytes += 500 + 2 * op.name.size() + op.token.size();
  NotePressure(bytes);
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
  // An atomic batch beyond half a frame is refused as too large.
  if (bytes + kCommitBytesBeside > limits_.frame_bytes / 8 * 3) allowed |= SetOf(Code::kTooLarge);
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
      if (clock_.MonoMicros() > acked_at_us_) acked_before_ = std::exchange(acked_prior_, acked_);
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

}  // namespace quipu::simulation
