// Namespaces: created and changed by compare-and-set, each with its own counters and limits; and the end of a store.
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Namespaces : public StoreContract {};
QUIPU_CONTRACT_ON_ALL_ENGINES(Namespaces);

TEST_P(Namespaces, DefaultAlwaysExistsWithNumberZero) {
  const Namespace* ns = store().Namespaces()->Find("default");
  ASSERT_NE(ns, nullptr);
  EXPECT_EQ(ns->id, kDefaultNamespace);
  EXPECT_EQ(ns->version, 1u);
  EXPECT_EQ(ns->settings, NamespaceSettings());
}

TEST_P(Namespaces, AreNumberedDenselyAndFoundByName) {
  EXPECT_EQ(MakeNamespace("a"), 1u);
  EXPECT_EQ(MakeNamespace("b", {.counters_max = 7}), 2u);
  auto table = store().Namespaces();
  EXPECT_EQ(table->Find("b")->id, 2u);
  EXPECT_EQ(table->Find("b")->settings.counters_max, 7);
  EXPECT_EQ(table->Find("c"), nullptr);
}

TEST_P(Namespaces, ChangeByCompareAndSet) {
  MakeNamespace("a");
  EXPECT_EQ(Put("a", 0, {}).code(), Code::kAlreadyExists);
  EXPECT_EQ(Put("a", 2, {}).code(), Code::kVersionMismatch);
  EXPECT_EQ(Put("none", 1, {}).code(), Code::kNamespaceNotFound);
  Result<Namespace> changed = Put("a", 1, {.token_required = true});
  ASSERT_TRUE(changed.ok());
  EXPECT_EQ(changed->version, 2u);
  EXPECT_TRUE(changed->settings.token_required);
  EXPECT_EQ(Put("a", 1, {}).code(), Code::kVersionMismatch);
  EXPECT_EQ(store().Namespaces()->Find("a")->version, 2u);
}

TEST_P(Namespaces, ATableOnceReadStaysAsItIs) {
  auto before = store().Namespaces();
  MakeNamespace("a");
  EXPECT_EQ(before->Find("a"), nullptr);
  EXPECT_NE(store().Namespaces()->Find("a"), nullptr);
}

TEST_P(Namespaces, WithBadNamesOrSettingsAreRefused) {
  EXPECT_EQ(Put("Bad", 0, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Put("", 0, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Put("a", 0, {.token_horizon_ms = 1}).code(), Code::kInvalidArgument);
  EXPECT_EQ(store().Namespaces()->all().size(), 1u);
}

TEST_P(Namespaces, IsolateEqualNames) {
  NamespaceId other = MakeNamespace("other");
  Do(Add("c", 1));
  Do(In(other, Add("c", 2)));
  Do(Clear("c"));
  EXPECT_EQ(Value("c"), 0);
  EXPECT_EQ(Value("c", other), 2);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 1u);
  EXPECT_EQ(store().CountCounters(other), 1u);
  EXPECT_EQ(store().Info().counters, 2u);
}

TEST_P(Namespaces, ThatDoNotExistAreAnErrorForEveryOp) {
  for (const Op& op : {Add("c", 1), Get("c"), Clear("c"), Set("c", 1), Delete("c"), Expire("c", ExpireRule::kSet, 1),
                       TokenOutcome("c", "t"), CheckVersion("c", 0)}) {
    EXPECT_EQ(Do(In(9, op)).code, Code::kNamespaceNotFound);
  }
}

TEST_P(Namespaces, RefuseMoreCountersThanTheirLimitButGoOnCounting) {
  NamespaceId small = MakeNamespace("small", {.counters_max = 2});
  Do(In(small, Add("a", 1)));
  Do(In(small, Add("b", 1)));
  Op op = Do(In(small, Add("c", 1, "t")));
  EXPECT_EQ(op.code, Code::kQuotaExceeded);
  EXPECT_EQ(Do(In(small, Add("a", 1))).value, 2);
  EXPECT_EQ(Do(In(small, Bounded(Add("d", 1), 0, 0))).outcome, Outcome::kRefused);
  Do(In(small, Delete("b")));
  op = Do(In(small, Add("c", 1, "t")));
  EXPECT_FALSE(op.replayed);
  EXPECT_EQ(op.value, 1);
  EXPECT_EQ(store().CountCounters(small), 2u);
}

TEST_P(Namespaces, GiveTheRoomOfExpiredCountersToNewOnes) {
  NamespaceId small = MakeNamespace("small", {.counters_max = 1});
  Do(In(small, Expiring(Add("a", 1), ExpireRule::kSet, NowMs() + 1000)));
  EXPECT_EQ(Do(In(small, Add("b", 1))).code, Code::kQuotaExceeded);
  Pass(2 * kSecond);
  EXPECT_EQ(Do(In(small, Add("b", 1))).code, Code::kOk);
}

TEST_P(Namespaces, GiveItAtTheVeryMomentOfTheExpiry) {
  if (GetParam().in_shards) GTEST_SKIP() << "the count of another shard trails its expiries by a tenth of a second";
  NamespaceId small = MakeNamespace("small", {.counters_max = 1});
  for (int64_t lasts_ms : {1003, 1029, 1051, 1077}) {
    std::string_view name = Keep(fmt::format("c{}", lasts_ms));
    EXPECT_EQ(Do(In(small, Expiring(Add(name, 1), ExpireRule::kSet, NowMs() + lasts_ms))).code, Code::kOk) << lasts_ms;
    Pass(lasts_ms * kMs);
  }
}

TEST_P(Namespaces, OfEveryDurabilityCount) {
  if (!GetParam().KeepsUnsynced()) GTEST_SKIP() << "what is in memory alone may be gone";
  for (Durability d : {Durability::kSync, Durability::kAsync, Durability::kMemory}) {
    NamespaceId ns = MakeNamespace(std::string(DurabilityName(d)), {.durability = d});
    Do(In(ns, Add("c", 1)));
    EXPECT_EQ(Do(In(ns, Add("c", 1, "t"))).value, 2);
    EXPECT_EQ(Do(In(ns, Get("c"))).value, 2);
  }
}

TEST_P(Namespaces, AClosedStoreRefusesEverythingAsNotDone) {
  Do(Add("c", 1));
  Close();
  RanBatch ran = Run({Add("c", 1), Get("c")});
  EXPECT_EQ(ran.code, Code::kUnavailable);
  for (const Op& op : ran.ops) EXPECT_EQ(op.code, Code::kUnavailable);
  EXPECT_EQ(Scan({}).status.code(), Code::kUnavailable);
  EXPECT_EQ(Put("a", 0, {}).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace quipu::store
