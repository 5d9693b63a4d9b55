// The arithmetic against a version in 128 bits that follows the words of the contract, one sentence a line.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "store/decide.h"

namespace quipu::store {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

rc::Gen<int64_t> EdgyNumber() {
  return rc::gen::oneOf(rc::gen::inRange<int64_t>(-20, 20), rc::gen::arbitrary<int64_t>(),
                        rc::gen::map(rc::gen::inRange<int64_t>(0, 20), [](int64_t i) { return kMax - i; }),
                        rc::gen::map(rc::gen::inRange<int64_t>(0, 20), [](int64_t i) { return kMin + i; }));
}

RC_GTEST_PROP(Decide, AddsAsTheContractSaysIn128Bits, (bool bounded, bool saturate)) {
  int64_t value = *EdgyNumber(), delta = *EdgyNumber();
  int64_t a = *EdgyNumber(), b = *EdgyNumber();
  Op op{.kind = OpKind::kAdd,
        .saturate = saturate,
        .bounded = bounded,
        .delta = delta,
        .floor = std::min(a, b),
        .ceiling = std::max(a, b)};
  CounterState before{.value = value, .exists = true}, after;

  __int128 low = bounded ? op.floor : kMin, high = bounded ? op.ceiling : kMax;
  __int128 result = static_cast<__int128>(value) + delta;
  bool inside = result >= low && result <= high;
  __int128 reached = result < low ? low : result > high ? high : result;
  __int128 applied = reached - value;
  bool fits = applied >= kMin && applied <= kMax;

  Effect effect = Decide(before, 1, 1, &op, &after);
  if (inside || (saturate && fits)) {
    RC_ASSERT(op.code == Code::kOk);
    RC_ASSERT(op.outcome == (inside ? Outcome::kApplied : Outcome::kSaturated));
    RC_ASSERT(op.value == static_cast<int64_t>(reached));
    RC_ASSERT(op.applied == static_cast<int64_t>(applied));
    RC_ASSERT(after.value == op.value);
    RC_ASSERT(effect == Effect::kChanged);
    return;
  }
  RC_ASSERT(effect == Effect::kNone);
  RC_ASSERT(after == before);
  if (saturate || !bounded) {
    RC_ASSERT(op.code == Code::kOverflow);
  } else {
    RC_ASSERT(op.code == Code::kOk);
    RC_ASSERT(op.outcome == Outcome::kRefused);
    RC_ASSERT(op.value == value);
    RC_ASSERT(op.applied == 0);
  }
}

RC_GTEST_PROP(Decide, TheInlinePathAndTheGeneralOneAgreeOnPlainAdds, ()) {
  bool exists = *rc::gen::arbitrary<bool>();
  CounterState before;
  if (exists)
    before = {.value = *EdgyNumber(),
              .expiry_ms = *rc::gen::element<int64_t>(0, 5000),
              .last_write_us = *rc::gen::inRange<int64_t>(0, 9),
              .exists = true};
  Op fast{.kind = OpKind::kAdd, .delta = *EdgyNumber()};
  Op slow = fast;
  CounterState after_fast, after_slow;
  Effect effect_fast = Decide(before, 1000, 4, &fast, &after_fast);
  Effect effect_slow = internal::DecideGeneral(before, 1000, 4, &slow, &after_slow);
  RC_ASSERT(effect_fast == effect_slow);
  RC_ASSERT(after_fast == after_slow);
  RC_ASSERT(fast.code == slow.code);
  RC_ASSERT(fast.outcome == slow.outcome);
  RC_ASSERT(fast.existed == slow.existed);
  RC_ASSERT(fast.exists == slow.exists);
  RC_ASSERT(fast.value == slow.value);
  RC_ASSERT(fast.old_value == slow.old_value);
  RC_ASSERT(fast.applied == slow.applied);
  RC_ASSERT(fast.expiry_ms == slow.expiry_ms);
  RC_ASSERT(fast.event_us == slow.event_us);
  RC_ASSERT(fast.last_write_us == slow.last_write_us);
}

}  // namespace
}  // namespace quipu::store
