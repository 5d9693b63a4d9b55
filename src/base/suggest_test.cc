#include "base/suggest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace quipu {
namespace {

constexpr std::array<std::string_view, 3> kKnown = {"token_horizon", "token_skew", "durability"};

TEST(NearestWord, FindsTheWordBehindATypingError) {
  EXPECT_EQ(NearestWord("token_horzion", kKnown), "token_horizon");
  EXPECT_EQ(NearestWord("durabilty", kKnown), "durability");
  EXPECT_EQ(NearestWord("token-skew", kKnown), "token_skew");
}

TEST(NearestWord, FindsWhatAWordIsTheBeginningOf) {
  EXPECT_EQ(NearestWord("tok", kKnown), "token_horizon");
  EXPECT_EQ(NearestWord("dur", kKnown), "durability");
  EXPECT_EQ(NearestWord("du", kKnown), "");
}

TEST(NearestWord, SuggestsNothingForAWordThatResemblesNone) {
  EXPECT_EQ(NearestWord("shards", kKnown), "");
  EXPECT_EQ(NearestWord("", kKnown), "");
  EXPECT_EQ(NearestWord(std::string(100000, 'd'), kKnown), "");
}

}  // namespace
}  // namespace quipu
