// All or nothing: what a batch would do, worked out on copies before any of it is done.
#include "store/embedded/shard.h"
#include "store/group.h"
#include "store/token_rules.h"

namespace quipu::store {
// Whether this op's result means that nothing of its batch may happen.
bool UndoesBatch(const Batch& batch, const Op& op) {
  bool failed = op.code != Code::kOk;
  if (batch.all_or_nothing) return failed || (IsMutation(op.kind) && op.outcome == Outcome::kRefused);
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
    if (paper->tokens.contains(fmt::format("{}/{}", key, op->token))) return Code::kOk;
    Prepared prepared{.print = PrintOf(*op), .own_us = TokenOwnTime(op->token)};
    bool found = false;
    TokenResult known;
    if (Code code = FindToken(*op, prepared, ns, &found, &known); code != Code::kOk) return code;
    return found ? Code::kOk : Code::kNotFound;
  }
  auto it = paper->states.find(key);
  if (op->kind == OpKind::kCheckVersion) {
    if (op->group == GroupRole::kWhole) {
      for (const auto& [other, state] : paper->states) {
        const std::string_view name = std::string_view(other).substr(other.find('/') + 1);
        const bool of_it = other == key || (other.starts_with(key) && IsMember(name, op->name));
        if (of_it && state.changed) return Code::kConditionNotMet;
      }
    }
    if (it != paper->states.end() && it->second.changed) {
      bool still_missing = !it->second.state.exists && op->expected_version == 0;
      return still_missing ? Code::kOk : Code::kConditionNotMet;
    }
    DecideRead(op, ns);
    return op->code;
  }
  if (op->token.empty() && ns.settings.token_required) return Code::kTokenRequired;
  if (!op->token.empty() && ns.settings.durability != Durability::kMemory) {
    Prepared prepared{.print = PrintOf(*op), .own_us = TokenOwnTime(op->token)};
    Micros claimed_us = ClaimedTokenTime(*op, now_us_);
    if (Code code = CheckTokenTime(ns, prepared.own_us, claimed_us, now_us_); code != Code::kOk) return code;
    bool found = false;
    TokenResult known;
    if (Code code = FindToken(*op, prepared, ns, &found, &known); code != Code::kOk) return code;
    uint64_t content = ContentDigest(*op);
    auto [token, fresh] =
        paper->tokens.emplace(fmt::format("{}/{}", key, op->token), std::pair(content, Outcome::kApplied));
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
  if (creates && ns.settings.counters_max > 0 &&
      CountCounters(op->ns) + static_cast<uint64_t>(paper->created[op->ns]) >=
          static_cast<uint64_t>(ns.settings.counters_max)) {
    return Code::kQuotaExceeded;
  }
  paper->created[op->ns] += (after.exists ? 1 : 0) - (before.exists ? 1 : 0);
  it->second = {after, it->second.changed || effect == Effect::kChanged};
  if (auto token = paper->tokens.find(fmt::format("{}/{}", key, op->token)); token != paper->tokens.end()) {
    token->second.second = op->outcome;
  }
  return Code::kOk;
}

// The same decisions on copies of the states first: what would fail anywhere then happens nowhere.
bool Shard::HoldsOnPaper(Batch* batch) {
  Paper paper;
  for (size_t i = 0; i < batch->ops.size(); ++i) {
    Op op;
    op.code = DecideOnPaper(batch->ops[i], &paper, &op);
    if (!UndoesBatch(*batch, op)) continue;
    UndoBatch(batch, i, op.code);
    return false;
  }
  return true;
}

}  // namespace quipu::store
