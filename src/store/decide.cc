#include "store/decide.h"

#include <algorithm>

namespace quipu::store::internal {
namespace {

// One step's verdict, before it is written into the op.
struct Step {
  Code code = Code::kOk;
  Outcome outcome = Outcome::kApplied;
  int64_t applied = 0;
};

Step AddToValue(const Op& op, CounterState* s) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
  int64_t floor = op.bounded ? op.floor : kLowest;
  int64_t ceiling = op.bounded ? op.ceiling : kHighest;

  int64_t sum = 0;
  bool overflows = __builtin_add_overflow(s->value, op.delta, &sum);
  // An overflowing sum lies beyond the bound on the delta's side.
  bool above = overflows ? op.delta > 0 : sum > ceiling;
  bool below = overflows ? op.delta < 0 : sum < floor;
  Step step;
  if (!above && !below) {
    step.applied = op.delta;
  } else if (op.saturate) {
    sum = above ? ceiling : floor;
    step.outcome = Outcome::kSaturated;
    if (__builtin_sub_overflow(sum, s->value, &step.applied)) return {.code = Code::kOverflow};
  } else {
    return op.bounded ? Step{.outcome = Outcome::kRefused} : Step{.code = Code::kOverflow};
  }
  s->value = sum;
  s->exists = true;
  return step;
}

bool ConditionHolds(Condition condition, bool exists) {
  switch (condition) {
    case Condition::kNone:
      return true;
    case Condition::kIfMissing:
      return !exists;
    case Condition::kIfExists:
      return exists;
  }
  QUIPU_ASSERT(false, "condition={}", static_cast<int>(condition));
}

// True if the rule has something to do on a counter with this expiry.
bool RuleApplies(const Op& op, int64_t expiry_ms) {
  bool has = expiry_ms != 0;
  switch (op.expire_rule) {
    case ExpireRule::kKeep:
      return false;
    case ExpireRule::kClear:
      return has;
    case ExpireRule::kSet:
      return true;
    case ExpireRule::kSetIfNone:
      return !has;
    case ExpireRule::kSetIfAny:
      return has;
    case ExpireRule::kSetIfLater:
      return has && op.expire_at_ms > expiry_ms;
    case ExpireRule::kSetIfEarlier:
      return !has || op.expire_at_ms < expiry_ms;
    case ExpireRule::kSetIfAnyEarlier:
      return has && op.expire_at_ms < expiry_ms;
  }
  QUIPU_ASSERT(false, "expire_rule={}", static_cast<int>(op.expire_rule));
}

Step ChangeValue(const Op& op, Micros event_us, CounterState* s) {
  if (!ConditionHolds(op.condition, s->exists)) return {.outcome = Outcome::kRefused};
  Step step;
  switch (op.kind) {
    case OpKind::kAdd:
      step = AddToValue(op, s);
      break;
    case OpKind::kSet:
      s->value = op.delta;
      s->exists = true;
      break;
    case OpKind::kClear:
      s->value = 0;
      if (op.remove) s->exists = false;
      break;
    case OpKind::kDelete:
      s->exists = false;
      break;
    case OpKind::kExpire:
      if (!s->exists || !RuleApplies(op, s->expiry_ms)) return {.outcome = Outcome::kRefused};
      return step;
    default:
      QUIPU_ASSERT(false, "kind={} is no mutation", static_cast<int>(op.kind));
  }
  s->last_write_us = std::max(s->last_write_us, event_us);
  return step;
}

void ChangeExpiry(const Op& op, int64_t now_ms, CounterState* s) {
  if (!s->exists || !RuleApplies(op, s->expiry_ms)) return;
  s->expiry_ms = op.expire_rule == ExpireRule::kClear ? 0 : std::min(op.expire_at_ms, kExpiryMsMax);
  if (IsExpired(s->expiry_ms, now_ms)) s->exists = false;
}

}  // namespace

Effect DecideGeneral(const CounterState& before, int64_t now_ms, Micros event_us, Op* op, CounterState* after) {
  QUIPU_DASSERT(!IsExpired(before.expiry_ms, now_ms), "expiry_ms={} now_ms={}", before.expiry_ms, now_ms);
  bool is_read = !IsMutation(op->kind);
  CounterState s = before;
  Step step;
  if (!is_read) step = ChangeValue(*op, event_us, &s);
  bool changed = !is_read && step.code == Code::kOk && step.outcome != Outcome::kRefused;
  if (changed) {
    ChangeExpiry(*op, now_ms, &s);
  } else {
    s = before;
  }
  bool deleted = op->kind == OpKind::kDelete || (op->kind == OpKind::kClear && op->remove);
  op->code = step.code;
  op->outcome = step.outcome;
  op->existed = before.exists;
  op->exists = s.exists;
  op->value = deleted && changed ? 0 : s.value;
  op->old_value = before.value;
  op->applied = step.applied;
  op->event_us = is_read ? kNoTime : event_us;
  if (!s.exists) s = CounterState();
  op->expiry_ms = s.expiry_ms;
  op->last_write_us = s.last_write_us;
  *after = s;
  return changed ? Effect::kChanged : Effect::kNone;
}

}  // namespace quipu::store::internal
