#include "gateway/resp/number.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

#include <limits>
#include <string>

namespace quipu::resp {
namespace {

TEST(Number, TakesWhatRedisTakesAndNothingElse) {
  int64_t v = 0;
  EXPECT_TRUE(ParseInt64("9223372036854775807", &v));
  EXPECT_EQ(v, std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(ParseInt64("-9223372036854775808", &v));
  EXPECT_EQ(v, std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(ParseInt64("0", &v));
  EXPECT_EQ(v, 0);
  for (std::string_view bad : {"", "-", "+1", " 1", "1 ", "01", "-0", "00", "1.0", "1e3", "0x1", "9223372036854775808",
                               "-9223372036854775809", "99999999999999999999999"}) {
    EXPECT_FALSE(ParseInt64(bad, &v)) << bad;
  }
}

RC_GTEST_PROP(Number, EveryIntegerComesBack, (int64_t x)) {
  int64_t v = 0;
  RC_ASSERT(ParseInt64(std::to_string(x), &v));
  RC_ASSERT(v == x);
}

TEST(Number, ReadsUnsignedAndHexadecimal) {
  uint64_t hi = 0, lo = 0;
  EXPECT_TRUE(ParseUint64("18446744073709551615", &lo));
  EXPECT_EQ(lo, std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(ParseUint64("18446744073709551616", &lo));
  EXPECT_FALSE(ParseUint64("-1", &lo));
  EXPECT_TRUE(ParseHex128("000102030405060708090a0b0c0D0E0F", &hi, &lo));
  EXPECT_EQ(hi, 0x0001020304050607u);
  EXPECT_EQ(lo, 0x08090a0b0c0d0e0fu);
  EXPECT_FALSE(ParseHex128("000102030405060708090a0b0c0d0e0g", &hi, &lo));
  EXPECT_FALSE(ParseHex128("00", &hi, &lo));
}

// What redis-server 7.0 does with SCAN and these.
TEST(Number, ReadsCursorsAsRedisDoes) {
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  const std::pair<const char*, uint64_t> kTaken[] = {{"", 0},
                                                     {"0", 0},
                                                     {"-0", 0},
                                                     {"007", 7},
                                                     {"+1", 1},
                                                     {"-1", kMax},
                                                     {"-000002", kMax - 1},
                                                     {"18446744073709551615", kMax},
                                                     {"-18446744073709551615", 1}};
  for (const auto& [text, cursor] : kTaken) {
    uint64_t v = 99;
    EXPECT_TRUE(ParseCursor(text, &v)) << text;
    EXPECT_EQ(v, cursor) << text;
  }
  for (const char* refused : {"-", "+", " 1", "1 ", "--1", "+-1", "x", "1x", "0x10", "18446744073709551616",
                              "-18446744073709551616", "99999999999999999999999"}) {
    uint64_t v = 99;
    EXPECT_FALSE(ParseCursor(refused, &v)) << refused;
    EXPECT_EQ(v, 99u) << refused;
  }
}

TEST(Number, ComparesLettersWithoutCase) {
  EXPECT_TRUE(EqualsIgnoreCase("aZ1", "Az1"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
  EXPECT_FALSE(EqualsIgnoreCase("@", "`"));
}

}  // namespace
}  // namespace quipu::resp
