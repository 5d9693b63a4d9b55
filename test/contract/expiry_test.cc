// Counters that end at a time: set, kept, lifted, reached.
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Expiry : public StoreContract {};
QUIPU_CONTRACT_ON_ALL_ENGINES(Expiry);

TEST_P(Expiry, AnExpiredCounterIsMissingEverywhere) {
  Do(Expiring(Add("c", 5), ExpireRule::kSet, NowMs() + 1000));
  Do(Add("stays", 1));
  EXPECT_TRUE(Exists("c"));
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 2u);
  Pass(1100 * kMs);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 1u);
  EXPECT_EQ(store().Info().counters, 1u);
  for (auto order : {ScanOp::Order::kHash, ScanOp::Order::kName, ScanOp::Order::kTop}) {
    EXPECT_EQ(NamesOf(EntriesBy(order)), std::vector<std::string>{"stays"});
  }
  Op read = Do(Get("c"));
  EXPECT_FALSE(read.existed || read.exists);
  EXPECT_EQ(read.value, 0);
  EXPECT_EQ(read.expiry_ms, 0);
  EXPECT_EQ(read.version, 0u);
  EXPECT_EQ(read.last_write_us, kNoTime);
}

TEST_P(Expiry, AnExpiredCounterDoesNotComeBackWhenTheClockDoes) {
  if (!GetParam().troubles.empty()) GTEST_SKIP() << "a start goes by the clock and the last commit";
  Do(Expiring(Add("c", 5), ExpireRule::kSet, NowMs() + 1000));
  machine_.clock.JumpWall(kHour);
  EXPECT_FALSE(Exists("c"));
  machine_.clock.JumpWall(-kHour);
  EXPECT_FALSE(Exists("c"));
}

TEST_P(Expiry, CountersWithAnExpiryAreCounted) {
  Do(Expiring(Add("a", 5), ExpireRule::kSet, NowMs() + 2000));
  Do(Expiring(Add("b", 5), ExpireRule::kSet, NowMs() + 900'000));
  Do(Add("stays", 1));
  Pass(kFiguresLag);
  EXPECT_EQ(store().Info().counters_with_expiry, 2u);
  Pass(2100 * kMs);
  EXPECT_EQ(store().Info().counters_with_expiry, 1u);
  Do(Expire("b", ExpireRule::kClear, 0));
  Pass(kFiguresLag);
  EXPECT_LE(store().Info().counters_with_expiry, 1u);
  Pass(900 * kSecond);
  EXPECT_EQ(store().Info().counters_with_expiry, 0u) << "one that was taken back counts until it would have come";
  EXPECT_TRUE(Exists("b"));
}

TEST_P(Expiry, AnAddAfterItStartsANewCounterWithoutExpiry) {
  Do(Expiring(Add("c", 5), ExpireRule::kSet, NowMs() + 1000));
  Pass(2 * kSecond);
  Op op = Do(Add("c", 1));
  EXPECT_FALSE(op.existed);
  EXPECT_EQ(op.old_value, 0);
  EXPECT_EQ(op.value, 1);
  EXPECT_EQ(op.expiry_ms, 0);
  Pass(kHour);
  EXPECT_EQ(Value("c"), 1);
}

TEST_P(Expiry, ADecrementAfterItNeedNotMakeANegativeCounterThatLivesForEver) {
  Do(Expiring(Add("slots", 1), ExpireRule::kSet, NowMs() + 1000));
  Pass(2 * kSecond);
  EXPECT_EQ(Do(If(Condition::kIfExists, Add("slots", -1))).outcome, Outcome::kRefused);
  EXPECT_EQ(Do(Bounded(Add("slots", -1), 0, 10)).outcome, Outcome::kRefused);
  EXPECT_FALSE(Exists("slots"));
}

TEST_P(Expiry, IsKeptByAddsSetsAndClears) {
  int64_t at_ms = NowMs() + 100'000;
  Do(Expiring(Add("c", 5), ExpireRule::kSet, at_ms));
  EXPECT_EQ(Do(Add("c", 1)).expiry_ms, at_ms);
  EXPECT_EQ(Do(Set("c", 1)).expiry_ms, at_ms);
  EXPECT_EQ(Do(Clear("c")).expiry_ms, at_ms);
  EXPECT_EQ(Do(Get("c")).expiry_ms, at_ms);
  Pass(101 * kSecond);
  EXPECT_FALSE(Exists("c"));
}

TEST_P(Expiry, EndsWithTheCounter) {
  int64_t at_ms = NowMs() + 10'000;
  Do(Expiring(Add("c", 5), ExpireRule::kSet, at_ms));
  Do(Delete("c"));
  Do(Add("c", 7));
  Pass(20 * kSecond);
  EXPECT_EQ(Value("c"), 7);
}

TEST_P(Expiry, IsSetOnlyWhereThereIsNone) {
  int64_t first_ms = NowMs() + 100'000;
  EXPECT_EQ(Do(Expiring(Add("c", 1), ExpireRule::kSetIfNone, first_ms)).expiry_ms, first_ms);
  EXPECT_EQ(Do(Expiring(Add("c", 1), ExpireRule::kSetIfNone, first_ms + 500)).expiry_ms, first_ms);
  EXPECT_EQ(Do(Expire("c", ExpireRule::kSetIfNone, first_ms + 500)).outcome, Outcome::kRefused);
}

TEST_P(Expiry, FollowsEveryRuleOfExpire) {
  int64_t soon_ms = NowMs() + 100'000, late_ms = NowMs() + 200'000;
  auto run = [&](ExpireRule rule, int64_t at_ms) { return Do(Expire("c", rule, at_ms)); };
  EXPECT_EQ(run(ExpireRule::kSet, soon_ms).outcome, Outcome::kRefused) << "the counter is missing";
  Do(Add("c", 9));
  EXPECT_EQ(run(ExpireRule::kClear, 0).outcome, Outcome::kRefused) << "there is none";
  EXPECT_EQ(run(ExpireRule::kSetIfAny, soon_ms).outcome, Outcome::kRefused);
  EXPECT_EQ(run(ExpireRule::kSetIfLater, soon_ms).outcome, Outcome::kRefused) << "none counts as infinitely late";
  EXPECT_EQ(run(ExpireRule::kSetIfAnyEarlier, soon_ms).outcome, Outcome::kRefused);
  EXPECT_EQ(run(ExpireRule::kSetIfEarlier, late_ms).expiry_ms, late_ms);
  EXPECT_EQ(run(ExpireRule::kSetIfAnyEarlier, soon_ms).expiry_ms, soon_ms);
  EXPECT_EQ(run(ExpireRule::kSetIfLater, soon_ms).outcome, Outcome::kRefused);
  EXPECT_EQ(run(ExpireRule::kSetIfLater, late_ms).expiry_ms, late_ms);
  EXPECT_EQ(run(ExpireRule::kSetIfAny, soon_ms).expiry_ms, soon_ms);
  EXPECT_EQ(run(ExpireRule::kSet, late_ms).expiry_ms, late_ms);
  Op op = run(ExpireRule::kClear, 0);
  EXPECT_EQ(op.outcome, Outcome::kApplied);
  EXPECT_EQ(op.expiry_ms, 0);
  EXPECT_EQ(op.value, 9);
}

TEST_P(Expiry, ExpireIsNoWriteOfTheValue) {
  Op add = Do(Add("c", 9));
  Pass(kSecond);
  EXPECT_EQ(Do(Expire("c", ExpireRule::kSet, NowMs() + 1000)).last_write_us, add.last_write_us);
}

TEST_P(Expiry, ATimeThatHasComeDeletesAndTheAnswerIsAsComputed) {
  Do(Add("c", 40));
  Op op = Do(Expiring(Add("c", 2), ExpireRule::kSet, NowMs()));
  EXPECT_EQ(op.outcome, Outcome::kApplied);
  EXPECT_EQ(op.value, 42);
  EXPECT_EQ(op.applied, 2);
  EXPECT_FALSE(op.exists);
  EXPECT_FALSE(Exists("c"));
  Do(Add("c", 40));
  EXPECT_EQ(Do(Expire("c", ExpireRule::kSet, 1)).outcome, Outcome::kApplied);
  EXPECT_FALSE(Exists("c"));
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
}

TEST_P(Expiry, ATimeThatHasComeIsIgnoredUnderEnxWhereThereIsAnExpiry) {
  int64_t at_ms = NowMs() + 100'000;
  Do(Expiring(Add("c", 40), ExpireRule::kSet, at_ms));
  Op op = Do(Expiring(Add("c", 2), ExpireRule::kSetIfNone, 1));
  EXPECT_TRUE(op.exists);
  EXPECT_EQ(op.expiry_ms, at_ms);
  EXPECT_EQ(Value("c"), 42);
}

TEST_P(Expiry, ARefusedAddDoesNotTouchIt) {
  int64_t at_ms = NowMs() + 100'000;
  Do(Expiring(Add("c", 10), ExpireRule::kSet, at_ms));
  Do(Expiring(Bounded(Add("c", 1), 0, 10), ExpireRule::kSet, at_ms + 1));
  Do(Expiring(Bounded(Add("c", 1), 0, 10), ExpireRule::kSet, 1));
  EXPECT_EQ(Do(Get("c")).expiry_ms, at_ms);
}

TEST_P(Expiry, ASaturatedAddSetsIt) {
  int64_t at_ms = NowMs() + 100'000;
  EXPECT_EQ(Do(Expiring(Saturating(Add("c", 99), 0, 10), ExpireRule::kSet, at_ms)).expiry_ms, at_ms);
}

TEST_P(Expiry, AMissingConditionHoldsOnceTheCounterExpired) {
  Do(Expiring(Set("lock", 1), ExpireRule::kSet, NowMs() + 1000));
  EXPECT_EQ(Do(If(Condition::kIfMissing, Set("lock", 2))).outcome, Outcome::kRefused);
  Pass(2 * kSecond);
  EXPECT_EQ(Do(If(Condition::kIfMissing, Set("lock", 2))).outcome, Outcome::kApplied);
}

TEST_P(Expiry, FailsAVersionCheckOfTheCounterThatEnded) {
  Do(Expiring(Add("c", 1), ExpireRule::kSet, NowMs() + 1000));
  uint64_t version = Do(Get("c")).version;
  Pass(2 * kSecond);
  EXPECT_EQ(Do(CheckVersion("c", version)).code, Code::kConditionNotMet);
  EXPECT_EQ(Do(CheckVersion("c", 0)).code, Code::kOk);
}

// An engine may take half a second to notice that nobody's counter ended; who asks for the counter itself is told at
// once.
TEST_P(Expiry, EndsManyCountersEachAtItsTime) {
  constexpr int kCounters = 1000;
  int64_t start_ms = NowMs();
  std::vector<Op> ops;
  for (int i = 0; i < kCounters; i++) {
    ops.push_back(Expiring(Add(Keep(fmt::format("c{}", i)), 1), ExpireRule::kSet, start_ms + (10 + i % 100) * 1000));
  }
  Run(ops);
  Pass((start_ms + 600 - NowMs()) * kMs);
  for (int step = 0; step < 20; step++) {
    uint64_t over = 0;
    for (const Op& op : ops) over += op.expire_at_ms <= NowMs() ? 1 : 0;
    ASSERT_EQ(store().CountCounters(kDefaultNamespace), kCounters - over) << "after " << NowMs() - start_ms << " ms";
    Pass(7 * kSecond);
  }
}

}  // namespace
}  // namespace quipu::store
