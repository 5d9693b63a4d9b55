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
        EXPECT_TRUE(seen.insert(MakeTokenPrint(12345, HashCounter(ns, name), ns, name, PackToken("t"))).second)
            << ns << " " << name;
      }
    }
  }
}

// Settled tokens are found by it: another print for the same token would count a retry twice after an upgrade. If this
// fails, the format of the data directory has another number.
TEST(TokenPrintTest, StaysAsItIs) {
  const auto print = [](std::string_view token) {
    const TokenPrint p = MakeTokenPrint(12345, HashCounter(3, "visits"), 3, "visits", PackToken(token));
    return fmt::format("{:016x}{:016x}", p.hi, p.lo);
  };
  EXPECT_EQ(print("01890c24-905b-7122-b170-b60814e6ee06"), "378006f654b08ee13778aeaa20aac630");
  EXPECT_EQ(print("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "ef0d3a9bb9644e36eb3dadc30f346b41");
  EXPECT_EQ(print("4bf92f3577b34da6a3ce929d0e0e4736"), "0f24456f104b7807677790f54260d68c");
  EXPECT_EQ(print("order-4711"), "f87b2d4fded18e648c87365a46c48ce8");
}

// One token in two spellings is two tokens, as it is for the client that sent them.
TEST(TokenPrintTest, FormsOfTheSameBytesAreDifferentTokens) {
  const auto print = [](std::string_view token) {
    return MakeTokenPrint(1, HashCounter(0, "c"), 0, "c", PackToken(token));
  };
  std::set<TokenPrint> seen;
  for (std::string_view token : {"01890c24-905b-7122-b170-b60814e6ee06", "01890c24905b7122b170b60814e6ee06",
                                 "01890C24-905B-7122-B170-B60814E6EE06", "01H46294BV7AS4DMCTAJ7KGEE0"}) {
    EXPECT_TRUE(seen.insert(print(token)).second) << token;
  }
}

}  // namespace
}  // namespace quipu::store
