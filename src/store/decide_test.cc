#include "store/decide.h"

#include <gtest/gtest.h>

namespace quipu::store {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kNowMs = 1'000'000;
constexpr Micros kEventUs = 77;

struct Decided {
  Op op;
  CounterState after;
  Effect effect;
};

Decided Do(const CounterState& before, Op op) {
  Decided d{.op = op};
  d.effect = Decide(before, kNowMs, kEventUs, &d.op, &d.after);
  return d;
}

CounterState Holding(int64_t value, int64_t expiry_ms = 0) {
  return {.value = value, .expiry_ms = expiry_ms, .last_write_us = 5, .exists = true};
}
Op Add(int64_t delta) { return {.kind = OpKind::kAdd, .delta = delta}; }
Op Bounded(int64_t delta, int64_t floor, int64_t ceiling) {
  return {.kind = OpKind::kAdd, .bounded = true, .delta = delta, .floor = floor, .ceiling = ceiling};
}
Op Saturating(int64_t delta, int64_t floor, int64_t ceiling) {
  Op op = Bounded(delta, floor, ceiling);
  op.saturate = true;
  return op;
}

void ExpectUnchanged(const Decided& d, const CounterState& before) {
  EXPECT_EQ(d.effect, Effect::kNone);
  EXPECT_EQ(d.after, before);
}

TEST(Decide, APlainAddCountsAndSaysWhatItDid) {
  Decided d = Do(Holding(40), Add(2));
  EXPECT_EQ(d.effect, Effect::kChanged);
  EXPECT_EQ(d.after, (CounterState{.value = 42, .last_write_us = kEventUs, .exists = true}));
  EXPECT_EQ(d.op.code, Code::kOk);
  EXPECT_EQ(d.op.outcome, Outcome::kApplied);
  EXPECT_TRUE(d.op.existed && d.op.exists);
  EXPECT_EQ(d.op.value, 42);
  EXPECT_EQ(d.op.old_value, 40);
  EXPECT_EQ(d.op.applied, 2);
  EXPECT_EQ(d.op.event_us, kEventUs);
  EXPECT_EQ(d.op.last_write_us, kEventUs);
}

TEST(Decide, AnAddOfZeroMakesACounter) {
  Decided d = Do(CounterState(), Add(0));
  EXPECT_EQ(d.effect, Effect::kChanged);
  EXPECT_FALSE(d.op.existed);
  EXPECT_TRUE(d.op.exists && d.after.exists);
}

TEST(Decide, AnAddThatWouldLeave64BitsIsAnErrorAtBothEnds) {
  for (auto [value, delta] : {std::pair(kMax, int64_t{1}), {kMin, int64_t{-1}}, {kMin, kMin}, {kMax, kMax}}) {
    Decided d = Do(Holding(value), Add(delta));
    EXPECT_EQ(d.op.code, Code::kOverflow);
    ExpectUnchanged(d, Holding(value));
  }
  EXPECT_EQ(Do(Holding(kMax - 1), Add(1)).op.value, kMax);
  EXPECT_EQ(Do(Holding(-1), Add(kMin + 1)).op.value, kMin);
}

TEST(Decide, AResultOnABoundIsIn) {
  EXPECT_EQ(Do(Holding(9), Bounded(1, 0, 10)).op.outcome, Outcome::kApplied);
  EXPECT_EQ(Do(Holding(1), Bounded(-1, 0, 10)).op.outcome, Outcome::kApplied);
}

TEST(Decide, AResultBeyondABoundIsRefusedWithTheCurrentValue) {
  for (int64_t delta : {int64_t{2}, int64_t{-10}, kMax, kMin}) {
    CounterState before = Holding(9, kNowMs + 5);
    Op op = Bounded(delta, 0, 10);
    op.expire_rule = ExpireRule::kSet;
    op.expire_at_ms = kNowMs + 100;
    Decided d = Do(before, op);
    EXPECT_EQ(d.op.code, Code::kOk);
    EXPECT_EQ(d.op.outcome, Outcome::kRefused);
    EXPECT_EQ(d.op.value, 9);
    EXPECT_EQ(d.op.applied, 0);
    EXPECT_EQ(d.op.expiry_ms, kNowMs + 5);
    ExpectUnchanged(d, before);
  }
}

TEST(Decide, ARefusedAddDoesNotMakeAMissingCounter) {
  Decided d = Do(CounterState(), Bounded(11, 0, 10));
  EXPECT_EQ(d.op.outcome, Outcome::kRefused);
  EXPECT_FALSE(d.op.exists);
  ExpectUnchanged(d, CounterState());
}

TEST(Decide, BoundedLeaving64BitsIsARefusalNotAnError) {
  Decided d = Do(Holding(kMax), Bounded(1, kMin, kMax));
  EXPECT_EQ(d.op.code, Code::kOk);
  EXPECT_EQ(d.op.outcome, Outcome::kRefused);
}

TEST(Decide, AStoredValueOutsideIsFineIfTheResultIsInside) {
  EXPECT_EQ(Do(Holding(50), Bounded(-45, 0, 10)).op.value, 5);
  EXPECT_EQ(Do(Holding(50), Bounded(-5, 0, 10)).op.outcome, Outcome::kRefused);
}

TEST(Decide, SaturationReachesTheBoundAndSaysHowMuchItTook) {
  Decided d = Do(Holding(7), Saturating(5, 0, 10));
  EXPECT_EQ(d.op.outcome, Outcome::kSaturated);
  EXPECT_EQ(d.op.value, 10);
  EXPECT_EQ(d.op.applied, 3);
  d = Do(Holding(7), Saturating(-9, 0, 10));
  EXPECT_EQ(d.op.value, 0);
  EXPECT_EQ(d.op.applied, -7);
  EXPECT_EQ(Do(Holding(7), Saturating(3, 0, 10)).op.outcome, Outcome::kApplied);
}

TEST(Decide, SaturationMayApplyTheOtherSign) {
  Decided d = Do(Holding(50), Saturating(5, kMin, 30));
  EXPECT_EQ(d.op.value, 30);
  EXPECT_EQ(d.op.applied, -20);
}

TEST(Decide, SaturationWithoutABoundStopsAt64Bits) {
  Op op = Add(10);
  op.saturate = true;
  Decided d = Do(Holding(kMax - 3), op);
  EXPECT_EQ(d.op.outcome, Outcome::kSaturated);
  EXPECT_EQ(d.op.value, kMax);
  EXPECT_EQ(d.op.applied, 3);
}

TEST(Decide, SaturationWhoseAppliedAmountDoesNotFitIsAnError) {
  Decided d = Do(Holding(kMin), Saturating(5, 0, 10));  // would apply 2^63
  EXPECT_EQ(d.op.code, Code::kOverflow);
  ExpectUnchanged(d, Holding(kMin));
  EXPECT_EQ(Do(Holding(-kMax), Saturating(5, 0, 10)).op.applied, kMax);
  EXPECT_EQ(Do(Holding(kMax), Saturating(5, kMin, -1)).op.applied, kMin);
  EXPECT_EQ(Do(Holding(kMax), Saturating(5, kMin, -2)).op.code, Code::kOverflow);
}

TEST(Decide, AConditionThatDoesNotHoldRefusesEveryMutation) {
  for (OpKind kind : {OpKind::kAdd, OpKind::kSet, OpKind::kClear, OpKind::kDelete, OpKind::kExpire}) {
    Op op{.kind = kind,
          .condition = Condition::kIfMissing,
          .expire_rule = ExpireRule::kSet,
          .delta = 5,
          .expire_at_ms = kNowMs + 9};
    Decided d = Do(Holding(3), op);
    EXPECT_EQ(d.op.outcome, Outcome::kRefused);
    EXPECT_EQ(d.op.value, 3);
    ExpectUnchanged(d, Holding(3));
    op.condition = Condition::kIfExists;
    d = Do(CounterState(), op);
    EXPECT_EQ(d.op.outcome, Outcome::kRefused);
    EXPECT_FALSE(d.op.exists);
    ExpectUnchanged(d, CounterState());
  }
}

TEST(Decide, AConditionThatHoldsChangesNothing) {
  Op op = Add(5);
  op.condition = Condition::kIfMissing;
  EXPECT_EQ(Do(CounterState(), op).op.value, 5);
  op.condition = Condition::kIfExists;
  EXPECT_EQ(Do(Holding(1), op).op.value, 6);
}

TEST(Decide, SetReplacesTheValueAndKeepsTheExpiryUnlessToldOtherwise) {
  Decided d = Do(Holding(3, kNowMs + 5), {.kind = OpKind::kSet, .delta = -8});
  EXPECT_EQ(d.after, (CounterState{.value = -8, .expiry_ms = kNowMs + 5, .last_write_us = kEventUs, .exists = true}));
  EXPECT_EQ(d.op.old_value, 3);
  EXPECT_EQ(d.op.applied, 0);
  d = Do(Holding(3, kNowMs + 5), {.kind = OpKind::kSet, .expire_rule = ExpireRule::kClear, .delta = -8});
  EXPECT_EQ(d.after.expiry_ms, 0);
}

TEST(Decide, ClearKeepsTheCounterAndItsExpiry) {
  Decided d = Do(Holding(3, kNowMs + 5), {.kind = OpKind::kClear});
  EXPECT_EQ(d.after, (CounterState{.value = 0, .expiry_ms = kNowMs + 5, .last_write_us = kEventUs, .exists = true}));
  EXPECT_EQ(d.op.old_value, 3);
}

TEST(Decide, ClearWithRemoveAndDeleteEndTheCounter) {
  for (Op op : {Op{.kind = OpKind::kClear, .remove = true}, Op{.kind = OpKind::kDelete}}) {
    Decided d = Do(Holding(3, kNowMs + 5), op);
    EXPECT_EQ(d.effect, Effect::kChanged);
    EXPECT_EQ(d.after, CounterState());
    EXPECT_EQ(d.op.value, 0);
    EXPECT_EQ(d.op.old_value, 3);
    EXPECT_EQ(d.op.expiry_ms, 0);
    EXPECT_TRUE(d.op.existed);
    EXPECT_FALSE(d.op.exists);
  }
}

TEST(Decide, ClearAndDeleteDoNotMakeAMissingCounter) {
  for (Op op : {Op{.kind = OpKind::kClear}, Op{.kind = OpKind::kClear, .remove = true}, Op{.kind = OpKind::kDelete}}) {
    Decided d = Do(CounterState(), op);
    EXPECT_EQ(d.op.outcome, Outcome::kApplied);
    EXPECT_FALSE(d.op.existed || d.op.exists);
    EXPECT_EQ(d.after, CounterState());
  }
}

struct ExpiryCase {
  ExpireRule rule;
  int64_t before_ms, given_ms, after_ms;
  bool applies;
};
class DecideExpiry : public testing::TestWithParam<ExpiryCase> {};

TEST_P(DecideExpiry, RuleHoldsForAddAndForExpire) {
  ExpiryCase c = GetParam();
  Decided add = Do(Holding(1, c.before_ms),
                   {.kind = OpKind::kAdd, .expire_rule = c.rule, .delta = 1, .expire_at_ms = c.given_ms});
  EXPECT_EQ(add.op.outcome, Outcome::kApplied);
  EXPECT_EQ(add.op.value, 2);
  EXPECT_EQ(add.op.expiry_ms, c.after_ms);
  EXPECT_EQ(add.after.expiry_ms, c.after_ms);
  Decided expire =
      Do(Holding(1, c.before_ms), {.kind = OpKind::kExpire, .expire_rule = c.rule, .expire_at_ms = c.given_ms});
  EXPECT_EQ(expire.op.outcome, c.applies ? Outcome::kApplied : Outcome::kRefused);
  EXPECT_EQ(expire.op.value, 1);
  EXPECT_EQ(expire.after.expiry_ms, c.after_ms);
  EXPECT_EQ(expire.after.last_write_us, 5);
}

constexpr int64_t kSoon = kNowMs + 10, kLate = kNowMs + 20;
INSTANTIATE_TEST_SUITE_P(AllRules, DecideExpiry,
                         testing::Values(ExpiryCase{ExpireRule::kKeep, kSoon, kLate, kSoon, false},
                                         ExpiryCase{ExpireRule::kKeep, 0, kLate, 0, false},
                                         ExpiryCase{ExpireRule::kClear, kSoon, 0, 0, true},
                                         ExpiryCase{ExpireRule::kClear, 0, 0, 0, false},
                                         ExpiryCase{ExpireRule::kSet, 0, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSet, kLate, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfNone, 0, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfNone, kLate, kSoon, kLate, false},
                                         ExpiryCase{ExpireRule::kSetIfAny, 0, kSoon, 0, false},
                                         ExpiryCase{ExpireRule::kSetIfAny, kLate, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfLater, 0, kSoon, 0, false},
                                         ExpiryCase{ExpireRule::kSetIfLater, kSoon, kLate, kLate, true},
                                         ExpiryCase{ExpireRule::kSetIfLater, kLate, kLate, kLate, false},
                                         ExpiryCase{ExpireRule::kSetIfEarlier, 0, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfEarlier, kSoon, kLate, kSoon, false},
                                         ExpiryCase{ExpireRule::kSetIfEarlier, kSoon, kSoon, kSoon, false},
                                         ExpiryCase{ExpireRule::kSetIfEarlier, kLate, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfAnyEarlier, 0, kSoon, 0, false},
                                         ExpiryCase{ExpireRule::kSetIfAnyEarlier, kLate, kSoon, kSoon, true},
                                         ExpiryCase{ExpireRule::kSetIfAnyEarlier, kSoon, kLate, kSoon, false}));

TEST(Decide, ATimeThatHasComeDeletesAndAnswersAsComputed) {
  for (int64_t at_ms : {int64_t{1}, kNowMs}) {
    Decided d =
        Do(Holding(40), {.kind = OpKind::kAdd, .expire_rule = ExpireRule::kSet, .delta = 2, .expire_at_ms = at_ms});
    EXPECT_EQ(d.op.outcome, Outcome::kApplied);
    EXPECT_EQ(d.op.value, 42);
    EXPECT_EQ(d.op.applied, 2);
    EXPECT_FALSE(d.op.exists);
    EXPECT_EQ(d.op.expiry_ms, 0);
    EXPECT_EQ(d.after, CounterState());
    d = Do(Holding(40), {.kind = OpKind::kExpire, .expire_rule = ExpireRule::kSet, .expire_at_ms = at_ms});
    EXPECT_EQ(d.op.outcome, Outcome::kApplied);
    EXPECT_FALSE(d.op.exists);
    EXPECT_EQ(d.after, CounterState());
  }
}

TEST(Decide, AnExpiryBeyondWhatIsKeptBecomesTheLatestKept) {
  constexpr int64_t kBeyond = kExpiryMsMax + 6;  // its low 45 bits are the year 1970
  Decided d = Do(Holding(40), {.kind = OpKind::kExpire, .expire_rule = ExpireRule::kSet, .expire_at_ms = kBeyond});
  EXPECT_TRUE(d.op.exists);
  EXPECT_EQ(d.op.expiry_ms, kExpiryMsMax);
  EXPECT_EQ(d.after.expiry_ms, kExpiryMsMax);
}

TEST(Decide, ATimeThatHasComeIsIgnoredWhereTheRuleDoesNotApply) {
  Decided d = Do(Holding(40, kSoon),
                 {.kind = OpKind::kAdd, .expire_rule = ExpireRule::kSetIfNone, .delta = 2, .expire_at_ms = 1});
  EXPECT_TRUE(d.op.exists);
  EXPECT_EQ(d.after.expiry_ms, kSoon);
}

TEST(Decide, ExpireOfAMissingCounterIsRefused) {
  Decided d = Do(CounterState(), {.kind = OpKind::kExpire, .expire_rule = ExpireRule::kSet, .expire_at_ms = kSoon});
  EXPECT_EQ(d.op.outcome, Outcome::kRefused);
  ExpectUnchanged(d, CounterState());
}

TEST(Decide, SaturatedAddsSetTheirExpiryToo) {
  Op op = Saturating(100, 0, 10);
  op.expire_rule = ExpireRule::kSet;
  op.expire_at_ms = kSoon;
  EXPECT_EQ(Do(Holding(1), op).after.expiry_ms, kSoon);
}

TEST(Decide, ACounterIsGoneFromTheMillisecondOfItsExpiry) {
  EXPECT_FALSE(IsExpired(0, kNowMs));
  EXPECT_FALSE(IsExpired(kNowMs + 1, kNowMs));
  EXPECT_TRUE(IsExpired(kNowMs, kNowMs));
  EXPECT_EQ(LiveState(Holding(3, kNowMs), kNowMs), CounterState());
  EXPECT_EQ(LiveState(Holding(3, kNowMs + 1), kNowMs), Holding(3, kNowMs + 1));
}

TEST(Decide, LastWriteIsTheLatestEventTimeEvenIfEventsComeLate) {
  CounterState before = Holding(1);
  before.last_write_us = kEventUs + 10;
  EXPECT_EQ(Do(before, Add(1)).after.last_write_us, kEventUs + 10);
  EXPECT_EQ(Do(before, {.kind = OpKind::kClear}).after.last_write_us, kEventUs + 10);
}

TEST(Decide, AGetReadsEverything) {
  Decided d = Do(Holding(3, kSoon), {.kind = OpKind::kGet});
  ExpectUnchanged(d, Holding(3, kSoon));
  EXPECT_TRUE(d.op.existed && d.op.exists);
  EXPECT_EQ(d.op.value, 3);
  EXPECT_EQ(d.op.expiry_ms, kSoon);
  EXPECT_EQ(d.op.last_write_us, 5);
  EXPECT_EQ(d.op.event_us, kNoTime);
}

}  // namespace
}  // namespace quipu::store
