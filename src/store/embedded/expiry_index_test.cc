#include "store/embedded/expiry_index.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/sim_random.h"

namespace quipu::store {
namespace {

TEST(ExpiryIndex, GivesTheEarliestOfAllAndOfEachNamespace) {
  ExpiryIndex index;
  EXPECT_FALSE(index.IsDue(INT64_MAX));
  index.Push({.due_ms = 30, .ns = 1, .hash = 3});
  index.Push({.due_ms = 20, .ns = 2, .hash = 2});
  index.Push({.due_ms = 10, .ns = 1, .hash = 1});
  EXPECT_FALSE(index.IsDue(9));
  EXPECT_TRUE(index.IsDue(10));
  EXPECT_TRUE(index.IsDue(1, 10));
  EXPECT_FALSE(index.IsDue(2, 19));
  EXPECT_TRUE(index.IsDue(2, 20));
  EXPECT_FALSE(index.IsDue(3, INT64_MAX));
  EXPECT_EQ(index.Pop(2).hash, 2u);
  EXPECT_FALSE(index.IsDue(2, INT64_MAX));
  EXPECT_EQ(index.Pop().hash, 1u);
  EXPECT_FALSE(index.IsDue(29));
  EXPECT_EQ(index.Pop().hash, 3u);
  EXPECT_EQ(index.size(), 0u);
  EXPECT_FALSE(index.IsDue(INT64_MAX));
}

TEST(ExpiryIndex, AgreesWithASortedList) {
  sim::SimRandom random(11, "expiries");
  ExpiryIndex index;
  std::vector<std::pair<int64_t, NamespaceId>> list;
  for (int step = 0; step < 20'000; ++step) {
    const auto ns = static_cast<NamespaceId>(random.Below(4));
    const auto earliest = [&](bool any) {
      return std::ranges::min_element(list, {},
                                      [&](const auto& e) { return std::pair(!any && e.second != ns, e.first); });
    };
    const bool any = random.Below(2) == 0;
    const auto next = earliest(any);
    const bool there = next != list.end() && (any || next->second == ns);
    ASSERT_EQ(any ? index.IsDue(INT64_MAX) : index.IsDue(ns, INT64_MAX), there);
    if (random.Below(2) == 0 || !there) {
      const auto due = static_cast<int64_t>(random.Below(50));
      index.Push({.due_ms = due, .ns = ns, .hash = 0});
      list.emplace_back(due, ns);
      continue;
    }
    const ExpiryIndex::Entry popped = any ? index.Pop() : index.Pop(ns);
    ASSERT_EQ(popped.due_ms, next->first);
    const auto same = std::ranges::find(list, std::pair(popped.due_ms, popped.ns));
    ASSERT_NE(same, list.end());
    list.erase(same);
    ASSERT_EQ(index.size(), list.size());
  }
}

}  // namespace
}  // namespace quipu::store
