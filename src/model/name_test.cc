#include "model/name.h"

#include <gtest/gtest.h>

#include <string>

namespace quipu {
namespace {

TEST(NamespaceName, FollowsItsRule) {
  EXPECT_TRUE(CheckNamespaceName("default").ok());
  EXPECT_TRUE(CheckNamespaceName("0-a_b").ok());
  EXPECT_TRUE(CheckNamespaceName(std::string(63, 'a')).ok());
}

TEST(NamespaceName, IsRefusedWithFieldSizeAndLimit) {
  EXPECT_EQ(CheckNamespaceName("").ToString(), "INVALID_ARGUMENT: namespace has 0 bytes, allowed are 1 to 63");
  EXPECT_EQ(CheckNamespaceName(std::string(64, 'a')).ToString(),
            "INVALID_ARGUMENT: namespace has 64 bytes, allowed are 1 to 63");
  EXPECT_EQ(CheckNamespaceName("aBc").ToString(),
            "INVALID_ARGUMENT: namespace: byte 1 is not allowed, the rule is [a-z0-9][a-z0-9_-]{0,62}");
  EXPECT_EQ(CheckNamespaceName("-a").code(), Code::kInvalidArgument);
  EXPECT_EQ(CheckNamespaceName("_a").code(), Code::kInvalidArgument);
  EXPECT_EQ(CheckNamespaceName(std::string_view("a\0", 2)).code(), Code::kInvalidArgument);
}

TEST(CounterName, MayBeAnyPrintableText) {
  EXPECT_TRUE(IsCounterName("a"));
  EXPECT_TRUE(IsCounterName("views:/a b?c=%20[x]"));
  EXPECT_TRUE(IsCounterName("größe 数 🪢"));
  EXPECT_TRUE(IsCounterName(std::string(1024, 'x')));
}

TEST(CounterName, IsRefusedWithFieldPlaceAndRule) {
  EXPECT_EQ(CheckCounterName("").ToString(), "INVALID_ARGUMENT: counter_name has 0 bytes, allowed are 1 to 1024");
  EXPECT_EQ(CheckCounterName(std::string(1025, 'x')).ToString(),
            "INVALID_ARGUMENT: counter_name has 1025 bytes, allowed are 1 to 1024");
  EXPECT_EQ(CheckCounterName("abc\ndefghijkl").ToString(),
            "INVALID_ARGUMENT: counter_name: byte 3 (0x0a) breaks the rule: UTF-8 without control characters");
  EXPECT_EQ(CheckCounterName("\xff").ToString(),
            "INVALID_ARGUMENT: counter_name: byte 0 (0xff) breaks the rule: UTF-8 without control characters");
}

// Placement is on disk for ever: a changed value here makes every data directory unreadable.
TEST(HashCounter, NeverChanges) {
  EXPECT_EQ(HashCounter(0, "a"), 0xe6c632b61e964e1fu);
  EXPECT_EQ(HashCounter(0, "hello"), 0x9555e8555c62dcfdu);
  EXPECT_EQ(HashCounter(1, "hello"), 0x74b07ed397a89e92u);
  EXPECT_EQ(HashCounter((1u << 20) - 1, "page:/index.html"), 0xf3659bc9661b71b6u);
  EXPECT_EQ(HashCounter(0, "cart[apple]"), 0xe0a6cacfbea8b638u);
  EXPECT_EQ(HashCounter(7, "größe"), 0x13ee5fb5a911c9f2u);
  EXPECT_EQ(HashCounter(0, std::string(100, 'x')), 0xc90984ffdf50ce42u);
  EXPECT_EQ(HashCounter(0, std::string(1024, 'x')), 0xfc56a7ce85b3164au);
  EXPECT_EQ(HashCounter(3, std::string(1024, 'x')), 0x59ed93e98768d5a7u);
}

TEST(HashCounter, KeepsAGroupInOnePartition) {
  for (int i = 0; i < 1000; i++) {
    uint64_t hash = HashCounter(3, "cart[" + std::to_string(i) + "]");
    EXPECT_EQ(PartitionOf(hash), PartitionOf(HashCounter(3, "cart")));
    EXPECT_NE(hash, HashCounter(3, "cart"));
  }
}

TEST(HashCounter, SpreadsOverAllPartitions) {
  std::vector<int> hits(kPartitions);
  constexpr int kNames = 100 * static_cast<int>(kPartitions);
  for (int i = 0; i < kNames; i++) hits[PartitionOf(HashCounter(0, "user:" + std::to_string(i)))]++;
  for (int h : hits) {
    EXPECT_GT(h, 40);  // 100 expected, deviation 10
    EXPECT_LT(h, 160);
  }
}

TEST(SplitGrouped, TakesExactlyOneBracketPairThatCloses) {
  auto expect = [](std::string_view name, std::string_view group, std::string_view field) {
    GroupedName g = SplitGrouped(name);
    EXPECT_EQ(g.group, group) << name;
    EXPECT_EQ(g.field, field) << name;
  };
  expect("k[f]", "k", "f");
  expect("k[]", "k", "");
  expect("a:b[c d]", "a:b", "c d");
  for (std::string_view plain :
       {"", "k", "]", "[]", "[f]", "k[f", "kf]", "k[f]x", "k[f][g]", "k[[f]", "k[f]]", "k][f]", "k[f[g]]"}) {
    expect(plain, "", "");
  }
}

}  // namespace
}  // namespace quipu
