// Adds, reads, bounds, clears, sets, deletes: one counter at a time.
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Counting : public StoreContract {};
QUIPU_CONTRACT_ON_ALL_ENGINES(Counting);

TEST_P(Counting, ACounterNeverWrittenReadsZeroAndDoesNotExist) {
  Op op = Do(Get("c"));
  EXPECT_EQ(op.code, Code::kOk);
  EXPECT_EQ(op.value, 0);
  EXPECT_FALSE(op.existed || op.exists);
  EXPECT_EQ(op.last_write_us, kNoTime);
  EXPECT_EQ(op.version, 0u);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
}

TEST_P(Counting, AnAddSaysWhatItDid) {
  Micros before = NowUs();
  Op first = Do(Add("c", 40));
  EXPECT_EQ(first.outcome, Outcome::kApplied);
  EXPECT_FALSE(first.existed);
  EXPECT_TRUE(first.exists);
  Op second = Do(Add("c", -2));
  EXPECT_TRUE(second.existed);
  EXPECT_EQ(second.old_value, 40);
  EXPECT_EQ(second.value, 38);
  EXPECT_EQ(second.applied, -2);
  EXPECT_FALSE(second.replayed || second.is_protected);
  EXPECT_GE(second.event_us, before);
  EXPECT_EQ(second.last_write_us, second.event_us);
  EXPECT_GT(second.position, 0u);
}

TEST_P(Counting, AReadSeesEveryWriteBeforeIt) {
  for (int i = 1; i <= 50; i++) {
    ASSERT_EQ(Do(Add("c", 1)).value, i);
    ASSERT_EQ(Value("c"), i);
  }
}

TEST_P(Counting, OpsOfABatchRunInOrderAndSeeEachOther) {
  RanBatch ran = Run({Add("a", 1), Get("a"), Add("b", 5), Add("a", 2), Get("a"), Delete("a"), Get("a"), Get("b")});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_EQ(ran.ops[1].value, 1);
  EXPECT_EQ(ran.ops[4].value, 3);
  EXPECT_FALSE(ran.ops[6].exists);
  EXPECT_EQ(ran.ops[7].value, 5);
}

TEST_P(Counting, AnEmptyBatchIsDone) { EXPECT_EQ(Run({}).code, Code::kOk); }

TEST_P(Counting, ABatchMayBeAsLargeAsTheLimit) {
  std::vector<Op> ops(kBatchOpsMax, Add("c", 1));
  RanBatch ran = Run(ops);
  EXPECT_EQ(ran.ops.front().value, 1);
  EXPECT_EQ(ran.ops.back().value, static_cast<int64_t>(kBatchOpsMax));
}

TEST_P(Counting, ABatchBeyondTheLimitIsRefusedAsAWhole) {
  RanBatch ran = Run(std::vector<Op>(kBatchOpsMax + 1, Add("c", 1)));
  EXPECT_EQ(ran.code, Code::kTooLarge);
  EXPECT_EQ(ran.ops.front().code, Code::kTooLarge);
  EXPECT_EQ(ran.ops.back().code, Code::kTooLarge);
  EXPECT_FALSE(Run({Get("c")}).ops[0].exists);
}

TEST_P(Counting, AnErrorOfOneOpLeavesTheOthersOfItsBatchAlone) {
  RanBatch ran = Run({Set("c", kInt64Max), Add("c", 1), Add("d", 1), In(77, Add("e", 1))});
  EXPECT_EQ(ran.ops[1].code, Code::kOverflow);
  EXPECT_EQ(ran.ops[3].code, Code::kNamespaceNotFound);
  EXPECT_EQ(Value("c"), kInt64Max);
  EXPECT_EQ(Value("d"), 1);
}

TEST_P(Counting, ValuesBeyondTwoToThe53AreExact) {
  Do(Add("c", (int64_t{1} << 53) + 1));
  EXPECT_EQ(Do(Add("c", 2)).value, (int64_t{1} << 53) + 3);
  EXPECT_EQ(Value("c"), (int64_t{1} << 53) + 3);
}

TEST_P(Counting, AnAddThatWouldOverflowIsAnErrorAndChangesNothing) {
  Do(Set("high", kInt64Max));
  Do(Set("low", kInt64Min));
  Op before = Do(Get("high"));
  EXPECT_EQ(Do(Add("high", 1)).code, Code::kOverflow);
  EXPECT_EQ(Do(Add("low", -1)).code, Code::kOverflow);
  EXPECT_EQ(Do(Add("low", kInt64Min)).code, Code::kOverflow);
  EXPECT_EQ(ResultText(Do(Get("high"))), ResultText(before));
  EXPECT_EQ(Do(Get("high")).version, before.version);
  EXPECT_EQ(Value("low"), kInt64Min);
}

TEST_P(Counting, NamesAreComparedByteByByte) {
  Do(Add("\xC3\xA9", 1));   // é as one character
  Do(Add("e\xCC\x81", 2));  // e and an accent: looks alike
  Do(Add("Key", 3));
  Do(Add("key", 4));
  Do(Add("key ", 5));
  EXPECT_EQ(Value("\xC3\xA9"), 1);
  EXPECT_EQ(Value("e\xCC\x81"), 2);
  EXPECT_EQ(Value("Key"), 3);
  EXPECT_EQ(Value("key"), 4);
  EXPECT_EQ(Value("key "), 5);
}

TEST_P(Counting, NamesOfEveryLengthAreKeptWhole) {
  for (size_t size : {1u, 7u, 8u, 15u, 16u, 17u, 20u, 31u, 32u, 64u, 255u, 256u, 1023u, 1024u}) {
    std::string name(size, 'n');
    Do(Add(Keep(name), static_cast<int64_t>(size)));
    EXPECT_EQ(Value(name), static_cast<int64_t>(size));
  }
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 14u);
}

TEST_P(Counting, AGroupAndItsKeyAreDifferentCounters) {
  Do(Add("k", 1));
  Do(Add("k[f]", 2));
  Do(Add("k[g]", 3));
  EXPECT_EQ(Value("k"), 1);
  EXPECT_EQ(Value("k[f]"), 2);
  EXPECT_EQ(Value("k[g]"), 3);
}

TEST_P(Counting, AManyTimesLargerDeltaThanTheCeilingIsRefusedToo) {
  Op op = Do(Bounded(Add("c", 1000), 0, 10));
  EXPECT_EQ(op.code, Code::kOk);
  EXPECT_EQ(op.outcome, Outcome::kRefused);
  EXPECT_EQ(op.value, 0);
  EXPECT_EQ(op.applied, 0);
  EXPECT_FALSE(op.exists);
  EXPECT_FALSE(Exists("c"));
}

TEST_P(Counting, AResultExactlyOnABoundIsIn) {
  EXPECT_EQ(Do(Bounded(Add("c", 10), 0, 10)).outcome, Outcome::kApplied);
  EXPECT_EQ(Do(Bounded(Add("c", 1), 0, 10)).outcome, Outcome::kRefused);
  EXPECT_EQ(Do(Bounded(Add("c", -10), 0, 10)).outcome, Outcome::kApplied);
  EXPECT_EQ(Do(Bounded(Add("c", -1), 0, 10)).outcome, Outcome::kRefused);
  EXPECT_EQ(Value("c"), 0);
}

TEST_P(Counting, AStoredValueOutsideTheBoundsIsFineIfTheResultIsInside) {
  Do(Set("c", 50));
  EXPECT_EQ(Do(Bounded(Add("c", -1), 0, 10)).outcome, Outcome::kRefused);
  EXPECT_EQ(Do(Bounded(Add("c", -45), 0, 10)).value, 5);
}

TEST_P(Counting, SaturationReachesTheBoundEvenBackwards) {
  Do(Set("c", 50));
  Op op = Do(Saturating(Add("c", 5), kInt64Min, 30));
  EXPECT_EQ(op.outcome, Outcome::kSaturated);
  EXPECT_EQ(op.value, 30);
  EXPECT_EQ(op.applied, -20);
  EXPECT_EQ(Do(Saturating(Add("c", 5), kInt64Min, 30)).applied, 0);
}

TEST_P(Counting, SaturationWithoutBoundsStopsAt64Bits) {
  Do(Set("c", kInt64Max - 1));
  Op op = Do(Saturating(Add("c", 9), kInt64Min, kInt64Max));
  EXPECT_EQ(op.value, kInt64Max);
  EXPECT_EQ(op.applied, 1);
}

TEST_P(Counting, ASaturatingAddWhoseAppliedAmountDoesNotFitIsAnError) {
  Do(Set("c", kInt64Min));
  EXPECT_EQ(Do(Saturating(Add("c", 1), 0, 10)).code, Code::kOverflow);
  EXPECT_EQ(Value("c"), kInt64Min);
}

TEST_P(Counting, ConditionsDecideBeforeAnythingHappens) {
  Op op = Do(If(Condition::kIfExists, Add("c", 1)));
  EXPECT_EQ(op.outcome, Outcome::kRefused);
  EXPECT_FALSE(op.exists);
  EXPECT_FALSE(Exists("c"));
  EXPECT_EQ(Do(If(Condition::kIfMissing, Set("c", 5))).outcome, Outcome::kApplied);
  op = Do(If(Condition::kIfMissing, Set("c", 6)));
  EXPECT_EQ(op.outcome, Outcome::kRefused);
  EXPECT_EQ(op.value, 5);
  EXPECT_EQ(Do(If(Condition::kIfExists, Add("c", 1))).value, 6);
}

TEST_P(Counting, AClearedCounterStaysAndCountsOnFromZero) {
  Do(Add("c", 5));
  Op op = Do(Clear("c"));
  EXPECT_EQ(op.old_value, 5);
  EXPECT_EQ(op.value, 0);
  EXPECT_TRUE(op.exists);
  EXPECT_EQ(Do(Add("c", 2)).value, 2);
}

TEST_P(Counting, ClearDoesNotMakeACounter) {
  EXPECT_FALSE(Do(Clear("c")).exists);
  EXPECT_FALSE(Exists("c"));
}

TEST_P(Counting, DeleteAndClearWithRemoveEndTheCounter) {
  Op remove = Clear("a");
  remove.remove = true;
  Do(Add("a", 5));
  Do(Add("b", 6));
  EXPECT_EQ(Do(remove).old_value, 5);
  Op op = Do(Delete("b"));
  EXPECT_EQ(op.old_value, 6);
  EXPECT_EQ(op.value, 0);
  EXPECT_TRUE(op.existed);
  EXPECT_FALSE(op.exists);
  EXPECT_FALSE(Do(Delete("b")).existed);
  for (std::string_view name : {"a", "b"}) {
    Op read = Do(Get(name));
    EXPECT_FALSE(read.exists);
    EXPECT_EQ(read.value, 0);
    EXPECT_EQ(read.last_write_us, kNoTime);
  }
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
  EXPECT_EQ(Do(Add("b", 1)).value, 1);
}

TEST_P(Counting, SetReplacesTheValue) {
  Do(Add("c", 5));
  Op op = Do(Set("c", -9));
  EXPECT_EQ(op.old_value, 5);
  EXPECT_EQ(op.value, -9);
  EXPECT_EQ(Do(Add("c", 1)).value, -8);
}

TEST_P(Counting, TheVersionChangesWithEveryChangeAndWithNothingElse) {
  std::vector<uint64_t> seen{Do(Get("c")).version};
  auto expect_new = [&](Op op) {
    RanBatch ran = Run({op, Get("c")});
    for (uint64_t v : seen) EXPECT_NE(ran.ops[1].version, v);
    seen.push_back(ran.ops[1].version);
  };
  auto expect_same = [&](Op op) {
    Do(op);
    EXPECT_EQ(Do(Get("c")).version, seen.back());
  };
  expect_new(Add("c", 1));
  expect_same(Get("c"));
  expect_same(Bounded(Add("c", 1), 0, 0));
  expect_same(Add("d", 1));
  expect_new(Add("c", 0));
  expect_new(Expire("c", ExpireRule::kSet, NowMs() + 1000'000));
  expect_same(Expire("c", ExpireRule::kSetIfNone, NowMs() + 1000'000));
  expect_new(Clear("c"));
  expect_new(Set("c", 0));
}

// Adds without a token may share a record; their versions must not.
TEST_P(Counting, TheVersionTellsTwoAddsOfOneBatchApart) {
  RanBatch ran = Run({Add("c", 1), Get("c"), Add("c", 1), Get("c"), Add("c", -1), Get("c")});
  EXPECT_NE(ran.ops[1].version, ran.ops[3].version);
  EXPECT_NE(ran.ops[3].version, ran.ops[5].version);
  EXPECT_NE(ran.ops[1].version, ran.ops[5].version);
}

TEST_P(Counting, AMissingCounterHasVersionZeroAgainAfterDelete) {
  Do(Add("c", 1));
  Do(Delete("c"));
  EXPECT_EQ(Do(Get("c")).version, 0u);
}

TEST_P(Counting, AnEventTimeBeyondWhatIsStoredIsRefused) {
  Do(At(Add("c", 1), -kEventUsMax));
  EXPECT_EQ(Do(Get("c")).last_write_us, -kEventUsMax);
  Do(At(Add("c", 1), kEventUsMax));
  EXPECT_EQ(Do(Get("c")).last_write_us, kEventUsMax);
  EXPECT_EQ(Do(At(Add("c", 1), kEventUsMax + 1)).code, Code::kEventInFuture);
  EXPECT_EQ(Do(At(Add("c", 1, "t"), kInt64Max)).code, Code::kEventInFuture);
  EXPECT_EQ(Do(At(Set("c", 1), -kEventUsMax - 1)).code, Code::kEventTooOld);
  EXPECT_EQ(Run({Add("c", 1), At(Add("c", 1), kInt64Max)}, {.all_or_nothing = true}).ops[1].code, Code::kEventInFuture);
  EXPECT_FALSE(Do(Add("c", 1, "t")).replayed) << "an error spends no token";
  EXPECT_EQ(Value("c"), 3);
}

TEST_P(Counting, CheckVersionComparesAndChangesNothing) {
  Do(Add("c", 1));
  uint64_t version = Do(Get("c")).version;
  EXPECT_EQ(Do(CheckVersion("c", version)).code, Code::kOk);
  EXPECT_EQ(Do(CheckVersion("c", version + 1)).code, Code::kConditionNotMet);
  EXPECT_EQ(Do(CheckVersion("missing", 0)).code, Code::kOk);
  EXPECT_EQ(Do(Get("c")).version, version);
}

TEST_P(Counting, PositionsOfOneCounterGrow) {
  Position last = 0;
  for (int i = 0; i < 20; i++) {
    Op op = Do(i % 3 == 2 ? Clear("c") : Add("c", 1));
    EXPECT_GT(op.position, last);
    last = op.position;
  }
}

TEST_P(Counting, TheEventTimeIsTheGivenOneOrTheServers) {
  EXPECT_EQ(Do(At(Add("c", 1), 12345)).event_us, 12345);
  Micros now = NowUs();
  Op op = Do(Add("c", 1));
  EXPECT_GE(op.event_us, now);
  EXPECT_LE(op.event_us, NowUs());
}

TEST_P(Counting, LastWriteIsTheLatestEventTimeNotTheLatestArrival) {
  Do(At(Add("c", 1), 2000));
  EXPECT_EQ(Do(At(Add("c", 1), 1000)).last_write_us, 2000);
  EXPECT_EQ(Do(Get("c")).last_write_us, 2000);
  EXPECT_EQ(Do(At(Clear("c"), 3000)).last_write_us, 3000);
}

TEST_P(Counting, CountersOfManyNamesKeepTheirCounts) {
  std::vector<Op> ops;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 3000; i++) ops.push_back(Add(Keep(fmt::format("user:{}", i)), i));
  }
  Run(ops);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 3000u);
  for (int i = 0; i < 3000; i += 97) EXPECT_EQ(Value(fmt::format("user:{}", i)), 3 * i);
}

}  // namespace
}  // namespace quipu::store
