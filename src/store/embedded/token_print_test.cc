#include <gtest/gtest.h>

#include <set>

#include "model/name.h"
#include "store/embedded/settler.h"

namespace quipu::store {
namespace {

// A token protects one counter. Short names in neighbouring namespaces are where hashes with a seed come close.
TEST(TokenPrintTest, NeighbouringCountersOfNeighbouringNamespacesNeverShareAToken) {
  for (std::string_view prefix : {"", "c", "c1", "counter-1", "a counter with a rather long name 1"}) {
    std::set<TokenPrint> seen;
    for (NamespaceId ns = 0; ns < 16; ++ns) {
      for (char c = '0'; c <= 'z'; ++c) {
        const std::string name = std::string(prefix) + c;
        EXPECT_TRUE(seen.insert(MakeTokenPrint(12345, HashCounter(ns, name), ns, name, "t")).second)
            << ns << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace quipu::store
