#include "gateway/resp/glob.h"

#include <gtest/gtest.h>

namespace quipu::resp {
namespace {

TEST(Glob, MatchesAsRedisDoes) {
  EXPECT_TRUE(GlobMatch("*", ""));
  EXPECT_TRUE(GlobMatch("a*c", "abbc"));
  EXPECT_FALSE(GlobMatch("a*c", "abcd"));
  EXPECT_TRUE(GlobMatch("h?llo", "hello"));
  EXPECT_FALSE(GlobMatch("h?llo", "hllo"));
  EXPECT_TRUE(GlobMatch("h[ae]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[ae]llo", "hillo"));
  EXPECT_TRUE(GlobMatch("h[^e]llo", "hallo"));
  EXPECT_FALSE(GlobMatch("h[^e]llo", "hello"));
  EXPECT_TRUE(GlobMatch("[a-c]x", "bx"));
  EXPECT_TRUE(GlobMatch("[c-a]x", "bx"));
  EXPECT_TRUE(GlobMatch("a\\*b", "a*b"));
  EXPECT_FALSE(GlobMatch("a\\*b", "axb"));
  EXPECT_TRUE(GlobMatch("a\\", "a\\"));
  EXPECT_FALSE(GlobMatch("", "a"));
  EXPECT_FALSE(GlobMatch("MAX*", "maxmemory"));
  EXPECT_TRUE(GlobMatch("MAX*", "maxmemory", LetterCase::kIgnore));
}

TEST(Glob, NoPatternIsWorseThanItsLengthTimesTheText) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatch(pattern + "b", std::string(1024, 'a')));
}

TEST(Glob, KnowsWhatEveryMatchStartsWith) {
  EXPECT_EQ(GlobPrefix("abc*d"), "abc");
  EXPECT_EQ(GlobPrefix("a\\*b?"), "a*b");
  EXPECT_EQ(GlobPrefix("[ab]c"), "");
  EXPECT_EQ(GlobPrefix("whole"), "whole");
}

}  // namespace
}  // namespace quipu::resp
