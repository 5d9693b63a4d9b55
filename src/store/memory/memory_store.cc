#include "store/memory/memory_store.h"

#include <optional>

#include "model/name.h"
#include "store/group.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

void Repeat(const Op& first, Op* op) {
  ResetAnswer(op);
  op->outcome = first.outcome;
  op->original_kind = first.kind;
  op->replayed = true;
  op->existed = first.existed;
  op->exists = first.exists;
  op->is_protected = first.is_protected;
  op->value = first.value;
  op->old_value = first.old_value;
  op->applied = first.applied;
  op->expiry_ms = first.expiry_ms;
  op->position = first.position;
  op->event_us = first.event_us;
  op->last_write_us = first.last_write_us;
}

// Modulo 2^64, so that the events' amounts add up to the value even where one alone does not fit.
int64_t SignedDifference(int64_t after, int64_t before) {
  return static_cast<int64_t>(static_cast<uint64_t>(after) - static_cast<uint64_t>(before));
}

void FailBatch(Batch* batch, Code code) {
  batch->code = code;
  for (Op& op : batch->ops) FailOp(&op, code);
}

// True if this op's result means that nothing of its batch may happen.
bool UndoesBatch(const Batch& batch, const Op& op) {
  bool failed = op.code != Code::kOk;
  bool refused = IsMutation(op.kind) && op.outcome == Outcome::kRefused;
  if (batch.all_or_nothing) return failed || refused;
  if (batch.source != nullptr && UndoesSourceStep(op.code)) return true;
  bool atomic = batch.atomic || batch.source != nullptr;
  return atomic && op.kind == OpKind::kCheckVersion && failed;
}

}  // namespace

MemoryStore::MemoryStore(rt::Loop* loop) : loop_(loop) {
  namespaces_ = std::make_shared<NamespaceTable>(std::vector<Namespace>{{.name = "default"}});
}

void MemoryStore::Submit(Batch* batch) {
  now_us_ = std::max(now_us_, loop_->WallMicros());
  batch->judged_us = now_us_;
  batch->code = Code::kOk;
  batch->failed_index = 0;
  batch->source_offset = 0;
  batch->commit_bytes = 0;
  DecideBatch(batch);
  batch->decided = true;
  batch->status = OkStatus();
  loop_->Post([batch] { batch->on_done(batch); });
}

void MemoryStore::DecideBatch(Batch* batch) {
  if (closed_) return FailBatch(batch, Code::kUnavailable);
  if (batch->ops.size() > kBatchOpsMax) return FailBatch(batch, Code::kTooLarge);
  if (batch->source != nullptr) {
    auto known = state_.sources.find(batch->source->id);
    batch->source_offset = known == state_.sources.end() ? 0 : known->second.offset;
    if (batch->source_offset != batch->source->from) return FailBatch(batch, Code::kConditionNotMet);
    for (Op& op : batch->ops) op.in_source_step = true;
  }

  bool may_be_undone = batch->atomic || batch->all_or_nothing || batch->source != nullptr;
  std::optional<State> before;
  if (may_be_undone) before = state_;
  for (size_t i = 0; i < batch->ops.size(); i++) {
    if (const size_t end = RunEnd(batch->ops, i); may_be_undone && !batch->all_or_nothing && end > i + 1) {
      DecideRun(batch->ops.subspan(i, end - i));
      i = end - 1;
      continue;
    }
    Op* op = &batch->ops[i];
    DecideOp(op);
    if (!UndoesBatch(*batch, *op)) continue;
    Code own = op->code == Code::kOk ? Code::kConditionNotMet : op->code;
    state_ = std::move(*before);
    FailBatch(batch, Code::kConditionNotMet);
    FailOp(op, own);
    batch->failed_index = i;
    return;
  }
  if (batch->source != nullptr) {
    TakeSourceStep(*batch->source, batch->ops, now_us_, &state_.sources[batch->source->id]);
    batch->source_offset = batch->source->to;
  }
}

void MemoryStore::DecideRun(std::span<Op> run) {
  State before = state_;
  for (Op& op : run) {
    DecideOp(&op);
    if (op.code == Code::kOk) continue;
    const Code code = op.code;
    state_ = std::move(before);
    for (Op& each : run) FailOp(&each, code);
    return;
  }
}

void MemoryStore::DecideOp(Op* op) {
  QUIPU_DASSERT(op->hash == HashCounter(op->ns, op->name), "hash={}", op->hash);
  ResetAnswer(op);
  const Namespace* ns = FindNamespace(op->ns);
  if (ns == nullptr) return FailOp(op, Code::kNamespaceNotFound);
  Key key{.ns = op->ns, .hash = op->hash, .name = std::string(op->name)};
  switch (op->kind) {
    case OpKind::kGet:
      return Read(key, op);
    case OpKind::kCheckVersion:
      return CheckVersion(key, op);
    case OpKind::kTokenOutcome:
      return FindTokenOutcome(*ns, key, op);
    case OpKind::kAdd:
    case OpKind::kSet:
    case OpKind::kClear:
    case OpKind::kDelete:
    case OpKind::kExpire:
      return op->group == GroupRole::kWhole ? MutateWhole(*ns, key, op) : Mutate(*ns, key, op);
  }
  QUIPU_ASSERT(false, "kind={}", static_cast<int>(op->kind));
}

void MemoryStore::Read(const Key& key, Op* op) {
  const Counter* counter = FindLive(key);
  CounterState state = counter != nullptr ? counter->state : CounterState();
  CounterState after;
  Decide(state, now_ms(), kNoTime, op, &after);
  op->position = op->version = counter != nullptr ? counter->changed : 0;
  if (op->group == GroupRole::kWhole) {
    auto created = state_.created.find(key);
    op->created = created == state_.created.end() ? 0 : created->second;
  }
  if (op->group == GroupRole::kNone || (op->group == GroupRole::kElseGroup && counter != nullptr)) return;
  GroupAnswer answer(*op);
  for (const Key& member : MembersOf(key.ns, key.name)) {
    const Counter& live = *FindLive(member);
    answer.Add(member.name, member.hash, live.state, live.changed);
  }
  answer.Finish(op);
}

std::vector<MemoryStore::Key> MemoryStore::MembersOf(NamespaceId ns, std::string_view group) {
  std::vector<Key> members;
  for (const auto& [key, counter] : state_.counters) {
    const bool live = !IsExpired(counter.state.expiry_ms, now_ms());
    if (live && key.ns == ns && MayBeGroup(group) && IsMember(key.name, group)) members.push_back(key);
  }
  return members;
}

void MemoryStore::MutateWhole(const Namespace& ns, const Key& key, Op* op) {
  std::vector<Key> keys = MembersOf(key.ns, key.name);
  if (keys.empty()) return Mutate(ns, key, op);
  if (FindLive(key) != nullptr) keys.insert(keys.begin(), key);
  const Op asked = *op;
  bool exists = false;
  for (const Key& each : keys) {
    Op one = asked;
    one.group = GroupRole::kNone;
    one.name = each.name;
    one.hash = each.hash;
    Mutate(ns, each, &one);
    if (one.code != Code::kOk) return FailOp(op, one.code);
    exists |= one.exists;
    if (&each == &keys.front() || one.outcome != Outcome::kRefused) {
      op->outcome = one.outcome;
      op->expiry_ms = one.expiry_ms;
      op->position = one.position;
      op->event_us = one.event_us;
    }
  }
  op->existed = true;
  op->exists = exists;
}

void MemoryStore::CheckVersion(const Key& key, Op* op) {
  Read(key, op);
  const bool as_created = op->expected_created == kAnyCreated || op->expected_created == op->created;
  if (op->version != op->expected_version || !as_created) FailOp(op, Code::kConditionNotMet);
}

void MemoryStore::FindTokenOutcome(const Namespace& ns, const Key& key, Op* op) {
  const KeptToken* kept = FindKept(ns, key, op->token);
  if (kept == nullptr) return FailOp(op, Code::kNotFound);
  Repeat(kept->answer, op);
  const bool has_delta = op->original_kind == OpKind::kAdd || op->original_kind == OpKind::kSet;
  op->delta = has_delta ? kept->answer.delta : 0;
  op->token_expires_us = TokenExpires(ns, kept->kept_from_us);
}

void MemoryStore::Mutate(const Namespace& ns, const Key& key, Op* op) {
  bool has_token = !op->token.empty();
  if (!has_token && ns.settings.token_required && !op->in_source_step) return FailOp(op, Code::kTokenRequired);
  bool keeps_token = has_token && ns.settings.durability != Durability::kMemory;
  Micros claimed_us = has_token ? ClaimedTokenTime(*op, now_us_) : now_us_;
  uint64_t content = ContentDigest(*op);

  if (keeps_token) {
    Code time = CheckTokenTime(ns, TokenOwnTime(op->token), claimed_us, now_us_);
    if (time == Code::kTokenExpired) state_.totals.expired_tokens++;
    if (time != Code::kOk) return FailOp(op, time);
    if (const KeptToken* kept = FindKept(ns, key, op->token)) {
      if (kept->content != content) {
        state_.totals.conflicts++;
        return FailOp(op, Code::kTokenConflict);
      }
      state_.totals.replays++;
      return Repeat(kept->answer, op);
    }
  }

  const Micros event_us = EventTime(*op, claimed_us);
  if (Code code = CheckEventTime(event_us); code != Code::kOk) return FailOp(op, code);
  const Counter* counter = FindLive(key);
  CounterState before = counter != nullptr ? counter->state : CounterState();
  CounterState after;
  Effect effect = Decide(before, now_ms(), event_us, op, &after);
  if (op->code != Code::kOk) return FailOp(op, op->code);
  bool creates = !before.exists && after.exists;
  int64_t counters_max = ns.settings.counters_max;
  if (creates && counters_max > 0 && CountCounters(key.ns) >= static_cast<uint64_t>(counters_max)) {
    return FailOp(op, Code::kQuotaExceeded);
  }
  if (creates && op->group == GroupRole::kMember && op->expire_rule == ExpireRule::kKeep) {
    std::vector<Key> siblings = MembersOf(key.ns, SplitGrouped(key.name).group);
    if (!siblings.empty()) after.expiry_ms = op->expiry_ms = FindLive(siblings[0])->state.expiry_ms;
  }

  bool changed = effect == Effect::kChanged;
  op->is_protected = keeps_token;
  if (changed || keeps_token) {
    op->position = ++state_.last_position;
    RecordEvent(key, *op, op->position, keeps_token);
  }
  if (changed && after.exists) state_.counters[key] = {.state = after, .changed = op->position};
  if (changed && !after.exists) state_.counters.erase(key);
  if (creates) {
    state_.created[key] = op->position;
    const std::string group(SplitGrouped(key.name).group);
    if (!group.empty()) state_.created[{key.ns, HashCounter(key.ns, group), group}] = op->position;
  }
  if (changed && op->kind == OpKind::kAdd) state_.totals.adds++;
  if (keeps_token) {
    KeptToken& kept = state_.tokens[{key, std::string(op->token)}];
    kept = {.content = content, .kept_from_us = TokenKeptFrom(TokenOwnTime(op->token), now_us_), .answer = *op};
    kept.answer.name = kept.answer.token = {};
  }
}

void MemoryStore::RecordEvent(const Key& key, const Op& op, Position position, bool token_kept) {
  state_.events[key].push_back({.position = position,
                                .kind = op.kind,
                                .outcome = op.outcome,
                                .delta = op.delta,
                                .applied = SignedDifference(op.value, op.old_value),
                                .value = op.value,
                                .events = 1,
                                .event_us = op.event_us,
                                .token = token_kept ? std::string(op.token) : std::string()});
}

const Namespace* MemoryStore::FindNamespace(NamespaceId id) const {
  const auto& all = namespaces_->all();
  return id < all.size() && !all[id].deleted ? &all[id] : nullptr;
}

MemoryStore::Counter* MemoryStore::FindLive(const Key& key) {
  auto it = state_.counters.find(key);
  if (it == state_.counters.end()) return nullptr;
  if (!IsExpired(it->second.state.expiry_ms, now_ms())) return &it->second;
  state_.counters.erase(it);
  state_.totals.expired_counters++;
  return nullptr;
}

MemoryStore::KeptToken* MemoryStore::FindKept(const Namespace& ns, const Key& key, std::string_view token) {
  auto it = state_.tokens.find({key, std::string(token)});
  if (it == state_.tokens.end() || !IsTokenKept(ns, it->second.kept_from_us, now_us_)) return nullptr;
  return &it->second;
}

void MemoryStore::FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) {
  std::vector<SourceState> found;
  for (const auto& [id, source] : state_.sources) {
    if (source.anchor == anchor) found.push_back(source);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.offset != b.offset ? a.offset > b.offset : a.id < b.id; });
  loop_->Post([found = std::move(found), on_done = std::move(on_done)] { on_done(found); });
}

void MemoryStore::PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                               std::function<void(Result<Namespace>)> on_done) {
  now_us_ = std::max(now_us_, loop_->WallMicros());
  Result<Namespace> result = ChangeNamespace(name, expected_version, settings);
  loop_->Post([result = std::move(result), on_done = std::move(on_done)] { on_done(result); });
}

Result<Namespace> MemoryStore::ChangeNamespace(const std::string& name, uint64_t expected_version,
                                               const NamespaceSettings& settings) {
  if (closed_) return Status(Code::kUnavailable, "the store is closing");
  QUIPU_RETURN_IF_ERROR(CheckNamespaceName(name));
  QUIPU_RETURN_IF_ERROR(CheckNamespaceSettings(settings));
  const Namespace* known = namespaces_->Find(name);
  std::vector<Namespace> all = namespaces_->all();
  if (expected_version == 0) {
    if (known != nullptr) return Status(Code::kAlreadyExists, fmt::format("namespace {} exists", name));
    if (all.size() > kNamespaceIdMax) {
      return Status(Code::kQuotaExceeded, fmt::format("there are {} namespaces, no more are allowed", all.size()));
    }
    all.push_back({.id = static_cast<NamespaceId>(all.size()), .name = name, .settings = settings});
    namespaces_ = std::make_shared<NamespaceTable>(all);
    return all.back();
  }
  if (known == nullptr) return Status(Code::kNamespaceNotFound, fmt::format("no such namespace: {}", name));
  if (known->version != expected_version) {
    return Status(Code::kVersionMismatch,
                  fmt::format("namespace {} has version {}, not {}", name, known->version, expected_version));
  }
  Namespace& changed = all[known->id];
  changed.tokens_known_since_us = TokensKnownSince(*known, settings, now_us_);
  changed.settings = settings;
  changed.version++;
  namespaces_ = std::make_shared<NamespaceTable>(all);
  return changed;
}

StoreInfo MemoryStore::Info() const {
  StoreInfo info;
  info.engine = "memory";
  info.durable_position = state_.last_position;
  info.settled_position = state_.last_position;
  for (const Namespace& ns : namespaces_->all()) info.counters += CountCounters(ns.id);
  int64_t now = loop_->WallMicros() / 1000;
  for (const auto& [key, counter] : state_.counters) {
    int64_t expiry_ms = counter.state.expiry_ms;
    if (expiry_ms != 0 && !IsExpired(expiry_ms, now)) info.counters_with_expiry++;
  }
  info.tokens_in_memory = state_.tokens.size();
  info.replays = state_.totals.replays;
  info.conflicts = state_.totals.conflicts;
  info.expired_tokens = state_.totals.expired_tokens;
  info.adds = state_.totals.adds;
  info.expired_counters = state_.totals.expired_counters;
  return info;
}

void MemoryStore::Close(std::function<void(Status)> on_done) {
  closed_ = true;
  loop_->Post([on_done = std::move(on_done)] { on_done(OkStatus()); });
}

}  // namespace quipu::store
