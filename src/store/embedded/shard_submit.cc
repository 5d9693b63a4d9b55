// The request path: how a batch of ops is decided, logged and gated.
#include "base/plant.h"
#include "model/name.h"
#include "store/embedded/shard.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

int64_t WrappedDifference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

}  // namespace

void FailBatch(Batch* batch, Code code) {
  batch->code = code;
  for (Op& op : batch->ops) FailOp(&op, code);
}

void Shard::PrepareToken(const Op& op, Prepared* prepared) const {
  prepared->token = PackToken(op.token);
  prepared->own_us = TokenOwnTime(prepared->token);
  prepared->print = MakeTokenPrint(context_.token_seed, op.hash, op.ns, op.name, prepared->token);
}

CounterState Shard::StateOf(const CounterSlot* slot) const {
  if (!slot || !slot->exists) return CounterState();
  CounterState s;
  s.value = slot->value;
  s.expiry_ms = static_cast<int64_t>(slot->expiry_ms);
  s.last_write_us = slot->last_write_us();
  s.exists = true;
  return s;
}

Result<CounterSlot*> Shard::FindOrLoad(uint64_t hash, NamespaceId ns, std::string_view name) {
  CounterSlot* slot = counters_.Find(hash, ns, name);
  if (slot) {
    slot->referenced = 1;
    return slot;
  }
  if (all_resident_) return slot;
  auto found = context_.settled->GetCounter({.ns = ns, .hash = hash, .name = name});
  if (!found.ok()) return found.status();
  if (!found->has_value()) return slot;
  const Checkpoint& c = **found;
  slot = counters_.Insert(hash, ns, name);
  slot->value = c.value;
  slot->position = c.position & ((uint64_t{1} << 56) - 1);
  slot->exists = 1;
  slot->referenced = 1;
  slot->SetLastWrite(c.last_write_us);
  slot->expiry_ms = static_cast<uint64_t>(c.expiry_ms) & uint64_t{kExpiryMsMax};
  slot->in_heap = c.expiry_ms != 0;  // the expiry index was loaded at the start and entries stay until they are due
  return slot;
}

void Shard::SetSlot(CounterSlot* slot, const CounterState& state, Position position) {
  bool was_deleted = slot->position != 0 && !slot->exists;
  deleted_slots_ += (state.exists ? 0 : 1) - (was_deleted ? 1 : 0);
  slot->value = state.value;
  slot->position = position & ((uint64_t{1} << 56) - 1);
  slot->exists = state.exists;
  slot->referenced = 1;
  slot->SetLastWrite(state.last_write_us);
  int64_t expiry = state.exists ? state.expiry_ms : 0;
  if (static_cast<int64_t>(slot->expiry_ms) != expiry) {
    bool earlier = expiry != 0 && (slot->expiry_ms == 0 || expiry < static_cast<int64_t>(slot->expiry_ms));
    slot->expiry_ms = static_cast<uint64_t>(expiry) & uint64_t{kExpiryMsMax};
    if (expiry != 0 && (!slot->in_heap || earlier)) PushExpiry(slot);
  }
}

void Shard::AppendExpiredDelete(CounterSlot* slot, bool urgent) {
  CounterRecord r;
  r.kind = OpKind::kDelete;
  r.existed = true;
  r.exists = false;
  r.expired = true;
  r.ns = slot->ns;
  r.name = slot->name();
  r.applied = static_cast<int64_t>(-static_cast<uint64_t>(slot->value));
  r.delta = r.applied;
  char* at = journal_->Reserve(kRecordBytesMax);
  Position position = journal_->Append(EncodeCounter(r, journal_->frame_us(), at), 1, urgent);
  counts_.Add(static_cast<NamespaceId>(slot->ns), ~uint64_t{0});
  ++info_.expired_counters;
  SetSlot(slot, CounterState(), position);
}

Position Shard::Commit(Op* op, const TokenBytes& token, CounterSlot** slot, const CounterState& before,
                       const CounterState& after, bool urgent) {
  if (*slot && (*slot)->exists && !before.exists && !QUIPU_PLANTED(137)) AppendExpiredDelete(*slot, urgent);
  char* at = journal_->Reserve(kRecordBytesMax);
  Micros frame_us = journal_->frame_us();
  bool with_token = op->is_protected;
  bool plain = IsPlainAdd(*op) && op->outcome == Outcome::kApplied;
  if (plain && !with_token && *slot && after.last_write_us == frame_us && op->event_us == frame_us) {
    // Joins the counter's last record if that is a sum in the open frame.
    OpenSum& sum = open_sums_[op->hash & (open_sums_.size() - 1)];
    if (sum.frame_serial == journal_->frame_serial() && sum.position == (*slot)->position) {
      uint32_t events;
      int64_t applied;
      std::memcpy(&events, sum.record + sum.slots.events_at, 4);
      std::memcpy(&applied, sum.record + sum.slots.applied_at, 8);
      if (events != UINT32_MAX && !__builtin_add_overflow(applied, op->delta, &applied)) {
        ++events;
        std::memcpy(sum.record + sum.slots.events_at, &events, 4);
        std::memcpy(sum.record + sum.slots.applied_at, &applied, 8);
        std::memcpy(sum.record + sum.slots.value_at, &after.value, 8);
        (*slot)->value = after.value;
        if (urgent) journal_->Hurry();
        return sum.position;
      }
    }
  }
  CounterRecord r;
  r.kind = op->kind;
  r.outcome = op->outcome;
  r.existed = before.exists;
  r.exists = after.exists;
  r.ns = op->ns;
  r.name = op->name;
  r.applied = WrappedDifference(op->value, op->old_value);
  r.delta = op->kind == OpKind::kAdd || op->kind == OpKind::kSet ? op->delta : r.applied;
  r.value = op->value;
  r.expiry_ms = after.exists ? after.expiry_ms : 0;
  r.event_us = op->event_us;
  r.last_write_us = after.last_write_us;
  if (with_token) {
    r.token_form = token.form;
    r.token = token.bytes();
    if (!plain) r.content = ContentDigest(*op);
  }
  SumSlots slots;
  size_t bytes = EncodeCounter(r, frame_us, at, &slots);
  Position position = journal_->Append(bytes, 1, urgent);
  if (op->outcome == Outcome::kRefused) {
    // Kept for its token; the counter is as it was. The record says so: no later add may join a sum before it.
    if (!QUIPU_PLANTED(141)) open_sums_[op->hash & (open_sums_.size() - 1)] = {};
    return position;
  }
  if (!*slot && after.exists) *slot = counters_.Insert(op->hash, op->ns, op->name);
  if (*slot) SetSlot(*slot, after, position);
  if (after.exists != before.exists) counts_.Add(op->ns, after.exists ? 1 : ~uint64_t{0});
  if (after.exists && !before.exists) NoteCreated(*op, position);
  if (slots.events_at != 0 && plain && op->event_us == frame_us && after.last_write_us == frame_us) {
    open_sums_[op->hash & (open_sums_.size() - 1)] = {
        .position = position, .frame_serial = journal_->frame_serial(), .record = at, .slots = slots};
  }
  return position;
}

bool Shard::MayBeSettled(const Prepared& prepared, const Namespace& ns, Micros* since_commit_us) const {
  const Micros in_memory_since = tokens_.complete_since_us();
  if (in_memory_since == INT64_MIN || (prepared.own_us != kNoTime && prepared.own_us > tokens_.newest_dropped_own_us()))
    return false;
  // The earliest commit that can still protect. A token with a time of its own is protected from that time on, and may
  // have been committed up to the skew of that moment before it.
  Micros& from = *since_commit_us;
  from = TokenFloor(ns, now_us_);
  if (prepared.own_us != kNoTime && prepared.own_us >= from) {
    from = prepared.own_us - kTokenSkewMsMax * 1000;
  }
  return in_memory_since >= from && !QUIPU_PLANTED(122);
}

void Shard::LookUpTokens(std::span<const Op> ops, std::span<Prepared> prepared, std::vector<TokenLookup>* lookups) {
  lookups->clear();
  lookups->reserve(ops.size());  // pointers into it stay
  for (size_t i = 0; i < ops.size(); ++i) {
    Micros since = 0;
    TokenResult known;
    if (ops[i].token.empty() || ops[i].ns >= namespaces_->all().size()) continue;
    if (!MayBeSettled(prepared[i], namespaces_->Get(ops[i].ns), &since)) continue;
    if (tokens_.Find(prepared[i].print, prepared[i].own_us, &known)) continue;
    prepared[i].lookup = &lookups->emplace_back(prepared[i].print, since);
  }
  if (lookups->size() > 1 && context_.settled->FindTokens(*lookups).ok()) return;
  for (Prepared& p : prepared) p.lookup = nullptr;  // each finds its own error
}

Code Shard::FindToken(const Prepared& prepared, const Namespace& ns, bool* found, TokenResult* result) {
  *found = tokens_.Find(prepared.print, prepared.own_us, result);
  if (*found) {
    *found = IsTokenKept(ns, result->kept_from_us, now_us_) && !(QUIPU_PLANTED(129) && result->position > Visible());
    return Code::kOk;
  }
  Micros from = 0;
  if (!MayBeSettled(prepared, ns, &from)) return Code::kOk;
  std::optional<SettledEvent> event;
  if (prepared.lookup) {
    event = prepared.lookup->event;
  } else {
    auto asked = context_.settled->FindToken(prepared.print, from);
    if (!asked.ok()) return asked.code();
    event = *asked;
  }
  if (!event) return Code::kOk;
  const SettledEvent& e = *event;
  CounterRecord r;
  r.kind = e.kind;
  r.outcome = e.outcome;
  r.existed = e.existed;
  r.exists = e.exists;
  r.delta = e.delta;
  r.applied = e.applied;
  r.value = e.value;
  r.expiry_ms = e.expiry_ms;
  r.event_us = e.event_us;
  r.last_write_us = e.last_write_us;
  r.content = e.content;
  r.token_form = TokenForm::kText;
  *result = ResultOf(r, e.position, prepared.own_us, e.commit_us);
  *found = IsTokenKept(ns, result->kept_from_us, now_us_);
  return Code::kOk;
}

void Shard::FillReplay(Op* op, const Namespace& ns, const TokenResult& r) {
  ResetAnswer(op);
  op->replayed = true;
  op->is_protected = true;
  op->outcome = r.outcome;
  op->original_kind = r.kind;
  op->existed = r.existed;
  op->exists = r.exists;
  op->value = r.value;
  op->old_value = WrappedDifference(r.value, r.applied);
  op->applied = r.kind == OpKind::kAdd ? r.applied : 0;
  op->expiry_ms = r.expiry_ms;
  op->position = r.position;
  op->event_us = r.event_us;
  op->last_write_us = r.exists ? r.last_write_us : kNoTime;  // a record without one stands for its event time
  if (ns.settings.durability == Durability::kSync) Gate(r.position);
}

Code Shard::RefuseWrites() const {
  if (Fenced()) return Code::kReadOnly;
  if (!journal_->blocked().ok()) return journal_->blocked().code();
  if (memory_exhausted_) return Code::kStorageFull;
  if (journal_->overloaded()) return Code::kOverloaded;
  return Code::kOk;
}

void Shard::DecideMutation(Op* op, const Prepared& prepared, const Namespace& ns) {
  if (op->group == GroupRole::kWhole) [[unlikely]] {
    QUIPU_DASSERT(op->token.empty(), "a token of {} bytes on a group", op->token.size());
    Result<std::vector<Member>> members = LiveMembers(*op, ns);
    if (!members.ok()) return FailOp(op, members.code());
    if (!members->empty()) return DecideWhole(op, ns, *members);
  }
  bool urgent = ns.settings.durability == Durability::kSync;
  Micros claimed_us = now_us_;
  bool keeps_token = false;
  if (op->token.empty()) {
    if (ns.settings.token_required && !op->in_source_step) return FailOp(op, Code::kTokenRequired);
  } else {
    claimed_us = prepared.own_us != kNoTime     ? prepared.own_us
                 : op->token_time_us != kNoTime ? op->token_time_us
                                                : now_us_;
    keeps_token = ns.settings.durability != Durability::kMemory;
  }
  if (keeps_token) {
    Code time = CheckTokenTime(ns, prepared.own_us, claimed_us - (QUIPU_PLANTED(123) ? 1 : 0), now_us_);
    if (QUIPU_PLANTED(124) && time == Code::kTokenExpired) time = Code::kOk;
    if (time != Code::kOk) {
      if (time == Code::kTokenExpired) ++info_.expired_tokens;
      return FailOp(op, time);
    }
    bool found = false;
    TokenResult result;
    if (Code code = FindToken(prepared, ns, &found, &result); code != Code::kOk) return FailOp(op, code);
    if (found) {
      const bool differs = static_cast<uint32_t>(result.content) != static_cast<uint32_t>(ContentDigest(*op));
      if (differs && !QUIPU_PLANTED(125)) {
        ++info_.conflicts;
        if (urgent) Gate(result.position);  // that the token is known must not be shown before it is sure
        return FailOp(op, Code::kTokenConflict);
      }
      ++info_.replays;
      return FillReplay(op, ns, result);
    }
  }
  auto slot_result = FindOrLoad(op->hash, op->ns, op->name);
  if (!slot_result.ok()) return FailOp(op, slot_result.code());
  CounterSlot* slot = *slot_result;
  CounterState before = LiveState(StateOf(slot), now_ms_);
  if (Code refuse = RefuseWrites(); refuse != Code::kOk) [[unlikely]]
    return FailOp(op, refuse);
  const Micros event_us = EventTime(*op, claimed_us);
  if (Code time = CheckEventTime(event_us); time != Code::kOk) [[unlikely]]
    return FailOp(op, time);
  CounterState after;
  Effect effect = Decide(before, now_ms_, event_us, op, &after);
  if (op->code != Code::kOk) {
    if (urgent && slot) Gate(slot->position);  // an overflow reveals the value
    return FailOp(op, op->code);
  }
  if (!before.exists && after.exists && ns.settings.counters_max > 0) {
    if (Code room = CheckRoom(ns, 0); room != Code::kOk) {
      if (urgent) Gate(journal_->next() - 1);  // it reveals how many there are
      return FailOp(op, room);
    }
  }
  if (!before.exists && after.exists && op->group == GroupRole::kMember && op->expire_rule == ExpireRule::kKeep) {
    Result<int64_t> expiry_ms = ExpiryOfGroup(*op);
    if (!expiry_ms.ok()) return FailOp(op, expiry_ms.code());
    after.expiry_ms = op->expiry_ms = *expiry_ms;
  }
  op->is_protected = keeps_token;
  if (effect == Effect::kNone && !keeps_token) {
    // A refusal that no token keeps: nothing to log; the answer reveals the counter as it is.
    if (urgent && slot) Gate(slot->position);
    return;
  }
  op->position = Commit(op, prepared.token, &slot, before, after, urgent);
  if (urgent) Gate(op->position);
  if (op->kind == OpKind::kAdd && effect == Effect::kChanged) ++info_.adds;
  if (!keeps_token) return;
  Micros frame_us = journal_->frame_us();
  TokenResult r;
  r.content = ContentDigest(*op);
  r.kind = op->kind;
  r.outcome = op->outcome;
  r.existed = op->existed;
  r.exists = op->exists;
  r.delta = op->kind == OpKind::kAdd || op->kind == OpKind::kSet ? op->delta : 0;
  r.value = op->value;
  r.applied = WrappedDifference(op->value, op->old_value);
  r.expiry_ms = op->expiry_ms;
  r.event_us = op->event_us;
  r.last_write_us = op->last_write_us;
  r.kept_from_us = TokenKeptFrom(prepared.own_us, frame_us);
  r.position = op->position;
  tokens_.Insert(prepared.print, r, prepared.own_us, frame_us);
}

void Shard::DecideTokenOutcome(Op* op, const Prepared& prepared, const Namespace& ns) {
  bool found = false;
  TokenResult result;
  if (Code code = FindToken(prepared, ns, &found, &result); code != Code::kOk) return FailOp(op, code);
  if (!found) return FailOp(op, Code::kNotFound);
  FillReplay(op, ns, result);
  op->delta = result.kind == OpKind::kAdd || result.kind == OpKind::kSet ? result.delta : 0;
  op->token_expires_us = TokenExpires(ns, result.kept_from_us);
}

void Shard::DecideRead(Op* op, const Namespace& ns) {
  auto slot = FindOrLoad(op->hash, op->ns, op->name);
  if (!slot.ok()) return FailOp(op, slot.code());
  CounterState live = LiveState(StateOf(*slot), now_ms_);
  CounterState after;
  Decide(live, now_ms_, now_us_, op, &after);
  op->position = op->version = live.exists ? (*slot)->position : 0;
  // The version told must not outlive a change: the next add starts a record, and a position, of its own.
  if (OpenSum& sum = open_sums_[op->hash & (open_sums_.size() - 1)]; sum.position == op->version) sum = {};
  // Also where the counter is missing: that it was deleted must not be shown before it is sure.
  if (*slot && ns.settings.durability == Durability::kSync && !QUIPU_PLANTED(139)) Gate((*slot)->position);
  if (op->group != GroupRole::kNone && !(op->group == GroupRole::kElseGroup && live.exists)) {
    if (Code code = ReadGroup(op, ns); code != Code::kOk) return FailOp(op, code);
  }
  if (op->group == GroupRole::kWhole) op->created = created_[op->hash % kCreatedSlots];
  const bool as_created = op->expected_created == kAnyCreated || op->expected_created == op->created;
  if (op->kind == OpKind::kCheckVersion && (op->version != op->expected_version || !as_created)) {
    FailOp(op, Code::kConditionNotMet);
  }
}

void Shard::DecideOp(Op* op, const Prepared& prepared) {
  ResetAnswer(op);
  if (op->ns >= namespaces_->all().size() || namespaces_->Get(op->ns).deleted)
    return FailOp(op, Code::kNamespaceNotFound);
  const Namespace& ns = namespaces_->Get(op->ns);
  switch (op->kind) {
    case OpKind::kAdd:
    case OpKind::kClear:
    case OpKind::kSet:
    case OpKind::kDelete:
    case OpKind::kExpire:
      return DecideMutation(op, prepared, ns);
    case OpKind::kTokenOutcome:
      return DecideTokenOutcome(op, prepared, ns);
    case OpKind::kGet:
    case OpKind::kCheckVersion:
      return DecideRead(op, ns);
  }
}

void Shard::DecideOps(std::span<Op> ops) {
  std::span<Prepared> prepared = prepared_;
  std::vector<TokenLookup> lookups;
  while (!ops.empty()) {
    size_t n = std::min(ops.size(), kWindow);
    for (size_t i = 0; i < n; ++i) counters_.PrefetchPart(ops[i].hash);
    for (size_t i = 0; i < n; ++i) {
      const Op& op = ops[i];
      counters_.Prefetch(op.hash);
      prepared[i].lookup = nullptr;
      if (op.token.empty()) {
        prepared[i].own_us = kNoTime;
        continue;
      }
      PrepareToken(op, &prepared[i]);
      tokens_.Prefetch(prepared[i].print, prepared[i].own_us == kNoTime ? INT64_MIN : prepared[i].own_us);
    }
    if (tokens_.complete_since_us() != INT64_MIN) LookUpTokens(ops.first(n), prepared.first(n), &lookups);
    for (size_t i = 0; i < n; ++i) DecideOp(&ops[i], prepared[i]);
    ops = ops.subspan(n);
  }
}

Code Shard::RefuseSource(Batch* batch) const {
  const auto known = sources_.find(batch->source->id);
  batch->source_offset = known == sources_.end() ? 0 : known->second.offset;
  if (batch->source_offset != batch->source->from) return Code::kConditionNotMet;
  return known == sources_.end() && sources_.size() >= options_.sources_max ? Code::kQuotaExceeded : Code::kOk;
}

void Shard::Submit(Batch* batch) {
  batch->decided = true;
  batch->code = Code::kOk;
  batch->status = OkStatus();
  batch->failed_index = 0;
  batch->source_offset = 0;
  batch->commit_bytes = 0;
  batch->next = nullptr;
  gate_ = 0;
  SetJudgeTime();
  batch->judged_us = now_us_;

  if (closing_ || batch->ops.size() > kBatchOpsMax) {
    FailBatch(batch, closing_ ? Code::kUnavailable : Code::kTooLarge);
    return Finish(batch);
  }
  // What has expired does not count against a limit. The deletes must not come between the records of a step.
  if (counts_are_limited_ && expiries_.IsDue(now_ms_) && !QUIPU_PLANTED(142)) MakeRoom(*batch);
  bool atomic = batch->atomic || batch->all_or_nothing || batch->source;
  const ShardOfOp here = [this](const Op&) { return this; };
  if (atomic) {
    // One frame holds the whole step, and a frame is on the medium as a whole or not at all.
    const size_t bound = AtomicBound(*batch, here, *this);
    if (!StepFits(bound)) {
      FailLargeBatch(batch, bound);
      return Finish(batch);
    }
    if (!QUIPU_PLANTED(120)) journal_->Reserve(bound);
  }
  const Position first = journal_->next();
  if (batch->source) {
    const Code stands = RefuseSource(batch);
    if (Code refuse = RefuseWrites(); refuse != Code::kOk) {
      FailBatch(batch, refuse);
      return Finish(batch);
    }
    if (stands != Code::kOk) {
      FailBatch(batch, stands);
      Gate(journal_->next() - 1);  // the offset told is a durable one
      return Finish(batch);
    }
    for (Op& op : batch->ops) op.in_source_step = true;
  }
  if (atomic) {
    if (!HoldsOnPaper(batch, OpsOnPaper(*batch, here), here)) return Finish(batch);
    DecideRuns(batch->ops, here);
  } else {
    DecideOps(batch->ops);
  }
  if (batch->source) ApplySource(batch);
  QUIPU_ASSERT(!atomic || InOpenFrame(first) || QUIPU_PLANTED(120),
               "positions {} to {} of one step are in several frames", first, journal_->next() - 1);
  Finish(batch);
}

void Shard::Finish(Batch* batch) {
  batch->gate = gate_;
  if (Fenced()) {
    // What is beyond the visible position can never be shown.
    if (batch->gate > Visible()) batch->status = Status(Code::kUnknownOutcome, std::string(FenceReason().message()));
    batch->gate = 0;
  }
  if (batch->gate <= Visible()) {
    (ready_tail_ ? ready_tail_->next : ready_head_) = batch;
    ready_tail_ = batch;
    return;
  }
  journal_->Hurry();
  if (!waiting_tail_ || waiting_tail_->gate <= batch->gate) {
    (waiting_tail_ ? waiting_tail_->next : waiting_head_) = batch;
    waiting_tail_ = batch;
    return;
  }
  // A read of something written a moment ago: it need not wait for what came after.
  Batch** at = &waiting_head_;
  while ((*at)->gate <= batch->gate) at = &(*at)->next;
  batch->next = *at;
  *at = batch;
}

}  // namespace quipu::store
