// Several ops as one: what a batch would do, worked out on copies before any of it is done, and the room that its
// records need.
#include <map>
#include <optional>

#include "model/name.h"
#include "store/embedded/shard.h"
#include "store/group.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

// Neither a name nor a token has a line end in it.
std::string TokenKey(std::string_view counter, std::string_view token) { return fmt::format("{}\n{}", counter, token); }

}  // namespace

// Whether this op's result means that nothing of its batch may happen.
bool UndoesBatch(const Batch& batch, const Op& op) {
  bool failed = op.code != Code::kOk;
  if (batch.all_or_nothing) return failed || (IsMutation(op.kind) && op.outcome == Outcome::kRefused);
  if (batch.source != nullptr && UndoesSourceStep(op.code)) return true;
  return op.kind == OpKind::kCheckVersion && failed;
}

void UndoBatch(Batch* batch, size_t failed, Code code) {
  for (Op& op : batch->ops) FailOp(&op, Code::kConditionNotMet);
  FailOp(&batch->ops[failed], code == Code::kOk ? Code::kConditionNotMet : code);
  batch->failed_index = failed;
  batch->code = Code::kConditionNotMet;
}

Code Shard::DecideOnPaper(const Op& given, Paper* paper, Op* op) {
  *op = given;
  ResetAnswer(op);
  if (op->ns >= namespaces_->all().size() || namespaces_->Get(op->ns).deleted) return Code::kNamespaceNotFound;
  const Namespace& ns = namespaces_->Get(op->ns);
  op->listing = nullptr;
  if (op->kind == OpKind::kGet) {
    if (op->group != GroupRole::kNone) DecideRead(op, ns);
    return op->group != GroupRole::kNone ? op->code : FindOrLoad(op->hash, op->ns, op->name).status().code();
  }
  if (op->group == GroupRole::kWhole && IsMutation(op->kind)) return WholeOnPaper(given, paper, op);
  std::string key = fmt::format("{}/{}", op->ns, op->name);
  if (op->kind == OpKind::kTokenOutcome) {
    if (paper->tokens.contains(TokenKey(key, op->token))) return Code::kOk;
    Prepared prepared;
    PrepareToken(*op, &prepared);
    bool found = false;
    TokenResult known;
    if (Code code = FindToken(prepared, ns, &found, &known); code != Code::kOk) return code;
    return found ? Code::kOk : Code::kNotFound;
  }
  auto it = paper->states.find(key);
  if (op->kind == OpKind::kCheckVersion) {
    if (op->group == GroupRole::kWhole) return CheckWholeOnPaper(*op, ns, *paper);
    if (it != paper->states.end() && it->second.changed) {
      bool still_missing = !it->second.state.exists && op->expected_version == 0;
      return still_missing ? Code::kOk : Code::kConditionNotMet;
    }
    DecideRead(op, ns);
    return op->code;
  }
  if (op->token.empty() && ns.settings.token_required && !op->in_source_step) return Code::kTokenRequired;
  if (!op->token.empty() && ns.settings.durability != Durability::kMemory) {
    Prepared prepared;
    PrepareToken(*op, &prepared);
    Micros claimed_us = ClaimedTokenTime(*op, now_us_);
    if (Code code = CheckTokenTime(ns, prepared.own_us, claimed_us, now_us_); code != Code::kOk) return code;
    bool found = false;
    TokenResult known;
    if (Code code = FindToken(prepared, ns, &found, &known); code != Code::kOk) return code;
    uint64_t content = ContentDigest(*op);
    auto [token, fresh] = paper->tokens.emplace(TokenKey(key, op->token), std::pair(content, Outcome::kApplied));
    if (found) token->second = {known.content, known.outcome};
    if ((found || !fresh) && static_cast<uint32_t>(token->second.first) != static_cast<uint32_t>(content)) {
      return Code::kTokenConflict;
    }
    if (found || !fresh) {
      op->outcome = token->second.second;
      return Code::kOk;
    }
  }
  if (Code refuse = RefuseWrites(); refuse != Code::kOk) return refuse;
  if (Code time = CheckEventTime(EventTime(*op, ClaimedTokenTime(*op, now_us_))); time != Code::kOk) return time;
  if (it == paper->states.end()) {
    auto slot = FindOrLoad(op->hash, op->ns, op->name);
    if (!slot.ok()) return slot.code();
    it = paper->states.emplace(key, Paper::State{LiveState(StateOf(*slot), now_ms_), false}).first;
  }
  CounterState before = LiveState(it->second.state, now_ms_);
  CounterState after;
  Effect effect = Decide(before, now_ms_, now_us_, op, &after);
  if (op->code != Code::kOk) return op->code;
  bool creates = !before.exists && after.exists;
  if (creates && ns.settings.counters_max > 0) {
    if (Code room = CheckRoom(ns, paper->created[op->ns]); room != Code::kOk) return room;
  }
  if (creates) {
    paper->born.insert(key);
    const std::string_view group = SplitGrouped(op->name).group;
    if (!group.empty()) paper->born.insert(fmt::format("{}/{}", op->ns, group));
  }
  paper->created[op->ns] += (after.exists ? 1 : 0) - (before.exists ? 1 : 0);
  if (creates && op->group == GroupRole::kMember && !all_resident_) {
    if (Status group = ExpiryOfGroup(*op).status(); !group.ok()) return group.code();
  }
  it->second = {after, it->second.changed || effect == Effect::kChanged};
  if (op->token.empty()) return Code::kOk;
  if (auto token = paper->tokens.find(TokenKey(key, op->token)); token != paper->tokens.end()) {
    token->second.second = op->outcome;
  }
  return Code::kOk;
}

void FailLargeBatch(Batch* batch, size_t bytes) {
  FailBatch(batch, Code::kTooLarge);
  batch->commit_bytes = bytes;
}

size_t AtomicBound(const Batch& batch, const ShardOfOp& shard_of, const Shard& shard) {
  struct Group {
    std::optional<size_t> standing;  // of its counters from before the batch, once that matters
    size_t added = 0;                // of those that the batch may have made so far
  };
  std::map<std::pair<NamespaceId, std::string_view>, Group> groups;
  const bool wholes = std::any_of(batch.ops.begin(), batch.ops.end(),
                                  [](const Op& op) { return op.group == GroupRole::kWhole && IsMutation(op.kind); });
  size_t bytes = kRecordBytesMax + (batch.source != nullptr ? kSourceRecordBytesMax : 0);
  for (const Op& op : batch.ops) {
    if (!IsMutation(op.kind) || shard_of(op) != &shard) continue;
    bytes += shard.RecordsBound(op);
    if (!wholes) continue;
    if (op.group == GroupRole::kWhole) {
      Group& group = groups[{op.ns, op.name}];
      if (!group.standing) group.standing = shard.GroupBound(op);
      bytes += *group.standing + group.added;
      if (op.kind == OpKind::kDelete) group = {.standing = 0, .added = 0};
    } else if (const std::string_view group = SplitGrouped(op.name).group; !group.empty()) {
      groups[{op.ns, group}].added += CounterRecordBound(op.name.size(), 0);
    }
  }
  return bytes;
}

size_t Shard::RecordsBound(const Op& op) const {
  const CounterSlot* slot = counters_.Find(op.hash, op.ns, op.name);
  const bool may_have_expired = slot != nullptr ? slot->exists && slot->expiry_ms != 0 : !all_resident_;
  return CounterRecordBound(op.name.size(), op.token.size()) +
         (may_have_expired ? ExpiredRecordBound(op.name.size()) : 0);
}

size_t OpsOnPaper(const Batch& batch, const ShardOfOp& shard_of) {
  if (batch.all_or_nothing) return batch.ops.size();
  const auto may_undo = [&](const Op& op) {
    return op.kind == OpKind::kCheckVersion || (batch.source != nullptr && shard_of(op)->MayUndoSourceStep(op));
  };
  size_t n = batch.ops.size();
  while (n > 0 && !may_undo(batch.ops[n - 1])) --n;
  return n;
}

bool Shard::MayUndoSourceStep(const Op& op) const {
  if (!all_resident_ || op.ns >= namespaces_->all().size()) return true;
  if (!op.token.empty() && tokens_.complete_since_us() != INT64_MIN) return true;  // may be looked up on the disk
  const Namespace& ns = namespaces_->Get(op.ns);
  return ns.deleted || ns.settings.counters_max > 0;
}

Code Shard::RunOnPaper(std::span<const Op> run, const ShardOfOp& shard_of, Paper* paper) {
  for (const Op& given : run) {
    Op op;
    if (Code code = shard_of(given)->DecideOnPaper(given, paper, &op); code != Code::kOk) return code;
  }
  return Code::kOk;
}

// The same decisions on copies of the states first: what would fail anywhere then happens nowhere.
bool Shard::HoldsOnPaper(Batch* batch, size_t n, const ShardOfOp& shard_of) {
  Paper paper;
  const std::span<const Op> ops = batch->ops;
  for (size_t i = 0; i < n; ++i) {
    if (const size_t end = RunEnd(ops, i); end > i + 1 && !batch->all_or_nothing) {
      Paper with = paper;
      if (RunOnPaper(ops.subspan(i, end - i), shard_of, &with) == Code::kOk) paper = std::move(with);
      i = end - 1;
      continue;
    }
    Op op;
    op.code = shard_of(ops[i])->DecideOnPaper(ops[i], &paper, &op);
    if (!UndoesBatch(*batch, op)) continue;
    UndoBatch(batch, i, op.code);
    // That it failed says how the counters stand, and how many there are.
    for (const Op& each : ops.first(i + 1)) shard_of(each)->GateAll();
    return false;
  }
  return true;
}

void Shard::DecideRuns(std::span<Op> ops, const ShardOfOp& shard_of) {
  for (size_t i = 0; i < ops.size();) {
    size_t end = RunEnd(ops, i);
    if (end > i + 1) {
      std::span<Op> run = ops.subspan(i, end - i);
      Paper paper;
      Code code = RunOnPaper(run, shard_of, &paper);
      for (Op& op : run) {
        if (code == Code::kOk) {
          shard_of(op)->DecideOps({&op, 1});
        } else {
          FailOp(&op, code);
          shard_of(op)->GateAll();
        }
      }
    } else {
      // As many as are of one shard and of no run.
      Shard* shard = shard_of(ops[i]);
      while (end < ops.size() && shard_of(ops[end]) == shard && RunEnd(ops, end) == end + 1) ++end;
      shard->DecideOps(ops.subspan(i, end - i));
    }
    i = end;
  }
}

}  // namespace quipu::store
