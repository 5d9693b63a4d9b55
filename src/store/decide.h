// What an op makes of a counter: value arithmetic, bounds, conditions, expiry. The one implementation that every engine
// calls, so that they cannot disagree. A pure function: no clock, no tokens, no storage.
//
// Threads   Any; no state.
// Memory    Nothing is kept.
// Errors    In op->code: kOverflow and nothing else.
// Cost      A plain add is inline, a few instructions; everything else one call.
#pragma once
#include <algorithm>

#include "store/op.h"

namespace quipu::store {

// A counter as decisions see it. A missing one is CounterState().
struct CounterState {
  int64_t value = 0;
  int64_t expiry_ms = 0;           // unix ms; 0 = none
  Micros last_write_us = kNoTime;  // the latest event time that wrote the value
  bool exists = false;
  bool operator==(const CounterState&) const = default;
};

// Engines keep 45 bits of an expiry; what lies beyond, in the year 3084, becomes this.
inline constexpr int64_t kExpiryMsMax = (int64_t{1} << 45) - 1;
// A counter is gone from its expiry on, the millisecond itself included.
constexpr bool IsExpired(int64_t expiry_ms, int64_t now_ms) { return expiry_ms != 0 && expiry_ms <= now_ms; }
// The state that an op must be decided on: an expired counter is a missing one.
constexpr CounterState LiveState(const CounterState& s, int64_t now_ms) {
  return IsExpired(s.expiry_ms, now_ms) ? CounterState() : s;
}

// kAdd, kSet, kClear, kDelete, kExpire: what carries a token and becomes an event.
constexpr bool IsMutation(OpKind kind) {
  return kind == OpKind::kAdd || kind == OpKind::kSet || kind == OpKind::kClear || kind == OpKind::kDelete ||
         kind == OpKind::kExpire;
}

enum class Effect : uint8_t {
  kNone,     // a read, an error in op->code, or a refusal: `after` equals `before`
  kChanged,  // the mutation happened: it is an event, also where it left the state as it was (add 0, clear of a 0)
};

// An add without bounds, condition and expiry: nearly all of them.
inline bool IsPlainAdd(const Op& op) {
  return op.kind == OpKind::kAdd && op.condition == Condition::kNone && op.expire_rule == ExpireRule::kKeep &&
         !op.saturate && !op.bounded;
}

namespace internal {
Effect DecideGeneral(const CounterState& before, int64_t now_ms, Micros event_us, Op* op, CounterState* after);
}

// Decides a mutation on `before`, which must be live (LiveState), at now_ms; event_us is the op's event time. Any other
// kind of op reads it. Fills code, outcome, existed, exists, value, old_value, applied, expiry_ms, event_us,
// last_write_us, and *after (also when nothing changes). The rest (replayed, is_protected, position, version) is the
// engine's.
//
// The rules, in their order:
//   condition   kIfMissing, kIfExists not met: refused.
//   value       kAdd: within [floor, ceiling] (if `bounded`, else 64 bits) applied, the bound itself included; a stored
//               value outside is fine if the result is inside. Outside: with `saturate` the bound is reached (applied =
//               new - old, possibly of the other sign; kOverflow if that does not fit), else refused if `bounded`, else
//               kOverflow. floor <= ceiling is the caller's duty. kClear: 0; a missing counter stays missing. kSet:
//               delta.
//   expiry      op->expire_rule. A time that has come already deletes: exists is false, value remains as computed.
//               kExpire is refused where the counter is missing or the rule changes nothing (EXPIRE's reply 0).
inline Effect Decide(const CounterState& before, int64_t now_ms, Micros event_us, Op* op, CounterState* after) {
  int64_t sum;
  if (!IsPlainAdd(*op) || __builtin_add_overflow(before.value, op->delta, &sum)) [[unlikely]] {
    return internal::DecideGeneral(before, now_ms, event_us, op, after);
  }
  after->value = sum;
  after->expiry_ms = before.expiry_ms;
  after->last_write_us = std::max(before.last_write_us, event_us);
  after->exists = true;
  op->code = Code::kOk;
  op->outcome = Outcome::kApplied;
  op->existed = before.exists;
  op->exists = true;
  op->value = sum;
  op->old_value = before.value;
  op->applied = op->delta;
  op->expiry_ms = before.expiry_ms;
  op->event_us = event_us;
  op->last_write_us = after->last_write_us;
  return Effect::kChanged;
}

}  // namespace quipu::store
