#include "store/token_rules.h"

#include <gtest/gtest.h>

#include <set>

namespace quipu::store {
namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kHour = 3600 * kSecond;
constexpr Micros kNow = 1'700'000'000 * kSecond;

Namespace Default() { return {.name = "default"}; }

TEST(TokenTime, OfTheTokenItselfWinsOverTheGivenOneOverReceipt) {
  Op op{.token = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", .token_time_us = 5};
  EXPECT_EQ(ClaimedTokenTime(op, kNow), 1645557742000'000);
  op.token = "plain";
  EXPECT_EQ(ClaimedTokenTime(op, kNow), 5);
  op.token_time_us = kNoTime;
  EXPECT_EQ(ClaimedTokenTime(op, kNow), kNow);
}

Code CheckOwn(const Namespace& ns, Micros own_us, Micros now_us) { return CheckTokenTime(ns, own_us, own_us, now_us); }
Code CheckGiven(const Namespace& ns, Micros given_us, Micros now_us) {
  return CheckTokenTime(ns, kNoTime, given_us, now_us);
}

TEST(TokenTime, IsAcceptedFromTheHorizonToTheSkewBothIncluded) {
  Namespace ns = Default();
  EXPECT_EQ(CheckOwn(ns, kNow - 24 * kHour, kNow), Code::kOk);
  EXPECT_EQ(CheckOwn(ns, kNow - 24 * kHour - 1, kNow), Code::kTokenExpired);
  EXPECT_EQ(CheckOwn(ns, kNow + 60 * kSecond, kNow), Code::kOk);
  EXPECT_EQ(CheckOwn(ns, kNow + 60 * kSecond + 1, kNow), Code::kTokenInFuture);
  EXPECT_EQ(CheckOwn(ns, std::numeric_limits<int64_t>::max(), kNow), Code::kTokenInFuture);
  EXPECT_EQ(CheckOwn(ns, std::numeric_limits<int64_t>::min() + 1, kNow), Code::kTokenExpired);
}

TEST(TokenTime, ThatWasGivenIsTakenForTheWholeHorizon) {
  Namespace ns = Default();
  EXPECT_EQ(CheckGiven(ns, kNow - 24 * kHour, kNow), Code::kOk);
  EXPECT_EQ(CheckGiven(ns, kNow - 24 * kHour - 1, kNow), Code::kTokenExpired);
  EXPECT_EQ(CheckGiven(ns, kNow + 60 * kSecond, kNow), Code::kOk);
  EXPECT_EQ(CheckGiven(ns, kNow + 60 * kSecond + 1, kNow), Code::kTokenInFuture);
}

TEST(TokenTime, ThatWasGivenMustLieASkewBehindTheMomentFromWhichTokensAreKnown) {
  Namespace ns = Default();
  ns.tokens_known_since_us = kNow - kHour;
  EXPECT_EQ(CheckOwn(ns, kNow - kHour, kNow), Code::kOk);
  EXPECT_EQ(CheckGiven(ns, kNow - kHour + 60 * kSecond, kNow), Code::kOk);
  EXPECT_EQ(CheckGiven(ns, kNow - kHour + 60 * kSecond - 1, kNow), Code::kTokenExpired);
}

TEST(TokenTime, OfReceiptAloneIsAlwaysAccepted) {
  Namespace ns = Default();
  ns.settings.token_horizon_ms = 1000;
  ns.tokens_known_since_us = kNow;
  EXPECT_EQ(CheckGiven(ns, kNow, kNow), Code::kOk);
}

TEST(TokenTime, ThatMayBeAskedAgainIsStillKept) {
  Namespace ns = Default();
  for (Micros claimed : {kNow - kHour, kNow - 1, kNow, kNow + 60 * kSecond}) {
    for (Micros own : {claimed, kNoTime}) {
      Micros kept_from = TokenKeptFrom(own, kNow);
      for (Micros later = kNow; later < kNow + 25 * kHour; later += 10 * kSecond) {
        bool may_be_asked = CheckTokenTime(ns, own, claimed, later) == Code::kOk;
        ASSERT_TRUE(!may_be_asked || IsTokenKept(ns, kept_from, later)) << claimed - kNow << " " << later - kNow;
      }
      EXPECT_TRUE(IsTokenKept(ns, kept_from, TokenExpires(ns, kept_from)));
      EXPECT_FALSE(IsTokenKept(ns, kept_from, TokenExpires(ns, kept_from) + 1));
    }
  }
}

TEST(TokensKnownSince, ALongerHorizonDoesNotReachBehindWhatTheShorterOneGaveUp) {
  Namespace ns = Default();
  ns.settings.token_horizon_ms = 3600'000;
  NamespaceSettings longer = ns.settings;
  longer.token_horizon_ms = 24 * 3600'000;
  ns.tokens_known_since_us = TokensKnownSince(ns, longer, kNow);
  ns.settings = longer;
  const Micros known = kNow - kHour - 60 * kSecond;
  EXPECT_EQ(ns.tokens_known_since_us, known);
  EXPECT_EQ(CheckOwn(ns, known - 1, kNow), Code::kTokenExpired);
  EXPECT_EQ(CheckOwn(ns, known, kNow + 22 * kHour), Code::kOk);
  EXPECT_FALSE(IsTokenKept(ns, known - 1, kNow));
  EXPECT_TRUE(IsTokenKept(ns, known, kNow));
}

TEST(TokensKnownSince, ALongerSkewDoesNeither) {
  Namespace ns = Default();
  NamespaceSettings longer = ns.settings;
  longer.token_skew_ms = 600'000;
  EXPECT_EQ(TokensKnownSince(ns, longer, kNow), kNow - 24 * kHour - 60 * kSecond);
  NamespaceSettings traded = ns.settings;
  traded.token_horizon_ms += 10'000;
  traded.token_skew_ms -= 10'000;
  EXPECT_EQ(TokensKnownSince(ns, traded, kNow), kNow - 24 * kHour - 60 * kSecond);
}

TEST(TokensKnownSince, AShorterHorizonLeavesItAlone) {
  Namespace ns = Default();
  ns.tokens_known_since_us = 7;
  NamespaceSettings shorter = ns.settings;
  shorter.token_horizon_ms = 1000;
  EXPECT_EQ(TokensKnownSince(ns, shorter, kNow), 7);
}

TEST(TokensKnownSince, ANamespaceThatKeptNoneKnowsNone) {
  Namespace ns = Default();
  ns.settings.durability = Durability::kMemory;
  NamespaceSettings sync = ns.settings;
  sync.durability = Durability::kSync;
  EXPECT_EQ(TokensKnownSince(ns, sync, kNow), kNow);
  EXPECT_EQ(TokensKnownSince(ns, ns.settings, kNow), kNoTime);
}

// The digest is on disk with each token: a changed value turns every replay into a conflict.
TEST(ContentDigest, NeverChanges) {
  EXPECT_EQ(ContentDigest({.kind = OpKind::kAdd, .delta = 1}), 0x3fbcd11ea5d683e5u);
  EXPECT_EQ(
      ContentDigest({.kind = OpKind::kAdd, .saturate = true, .bounded = true, .delta = -5, .floor = -7, .ceiling = 9}),
      0x6538e3a4aace7157u);
  EXPECT_EQ(ContentDigest({.kind = OpKind::kSet,
                           .condition = Condition::kIfMissing,
                           .expire_rule = ExpireRule::kSet,
                           .delta = 3,
                           .expire_at_ms = 1}),
            0x708c63f4111a7f50u);
  EXPECT_EQ(ContentDigest({.kind = OpKind::kClear, .remove = true}), 0xb795d8c83e748970u);
}

TEST(ContentDigest, TellsEveryFieldOfTheContentApart) {
  Op base{.kind = OpKind::kAdd, .bounded = true, .delta = 1, .floor = 0, .ceiling = 10};
  std::set<uint64_t> seen{ContentDigest(base)};
  auto differs = [&](auto change) {
    Op op = base;
    change(op);
    EXPECT_TRUE(seen.insert(ContentDigest(op)).second);
  };
  differs([](Op& o) { o.kind = OpKind::kSet; });
  differs([](Op& o) { o.kind = OpKind::kClear; });
  differs([](Op& o) { o.kind = OpKind::kClear, o.remove = true; });
  differs([](Op& o) { o.kind = OpKind::kDelete; });
  differs([](Op& o) { o.delta = 2; });
  differs([](Op& o) { o.floor = 1; });
  differs([](Op& o) { o.ceiling = 11; });
  differs([](Op& o) { o.saturate = true; });
  differs([](Op& o) { o.bounded = false; });
  differs([](Op& o) { o.condition = Condition::kIfExists; });
  differs([](Op& o) { o.expire_rule = ExpireRule::kClear; });
  differs([](Op& o) { o.expire_rule = ExpireRule::kSet, o.expire_at_ms = 1; });
  differs([](Op& o) { o.expire_rule = ExpireRule::kSet, o.expire_at_ms = 2; });
}

TEST(ContentDigest, LeavesOutTimesNamesAndFieldsWithoutMeaning) {
  Op base{.kind = OpKind::kAdd, .delta = 1};
  uint64_t digest = ContentDigest(base);
  auto same = [&](auto change) {
    Op op = base;
    change(op);
    EXPECT_EQ(ContentDigest(op), digest);
  };
  same([](Op& o) { o.token_time_us = 5; });
  same([](Op& o) { o.event_time_us = 5; });
  same([](Op& o) { o.token = "t", o.name = "n", o.hash = 4, o.ns = 3; });
  same([](Op& o) { o.floor = 5, o.ceiling = 6; });
  same([](Op& o) { o.expire_at_ms = 5; });
  same([](Op& o) { o.remove = true; });
  same([](Op& o) { o.value = 9, o.replayed = true; });
}

TEST(TokenRules, ThePlainAddsDigestIsThatOfAnOpWithNothingButItsDelta) {
  for (int64_t delta : {int64_t{1}, int64_t{-1}, int64_t{0}, INT64_MAX, INT64_MIN}) {
    Op op;
    op.kind = OpKind::kAdd;
    op.delta = delta;
    EXPECT_EQ(PlainAddDigest(delta), ContentDigest(op)) << delta;
    op.condition = Condition::kIfExists;
    EXPECT_NE(PlainAddDigest(delta), ContentDigest(op)) << delta;
  }
}

}  // namespace
}  // namespace quipu::store
