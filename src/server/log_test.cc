#include "server/log.h"

#include <gtest/gtest.h>

namespace quipu::server {
namespace {

// 2024-02-29T23:59:59.000123Z, from `date -u -d @1709251199`.
constexpr int64_t kLeapDayUs = 1'709'251'199'000'123;

TEST(LogLine, JsonHasItsFieldsInOrder) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, kLeapDayUs, LogLevel::kWarn, "resp.connection_closed",
                          "a connection was closed", {{"peer", "127.0.0.1:5"}, {"reason", "a \"b\"\n"}}),
            "{\"ts\":\"2024-02-29T23:59:59.000123Z\",\"level\":\"warn\",\"msg\":\"a connection was closed\","
            "\"event\":\"resp.connection_closed\",\"module\":\"resp\",\"peer\":\"127.0.0.1:5\","
            "\"reason\":\"a \\\"b\\\"\\u000a\"}");
}

TEST(LogLine, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, 0, LogLevel::kInfo, "server.stopped", "it ended",
                          {{"a", "plain"}, {"b", "two words"}, {"c", ""}, {"d", "\x1b[31m"}}),
            "1970-01-01 00:00:00.000 info  it ended  a=plain  b=\"two words\"  c=\"\"  d=\"\\u001b[31m\"");
}

TEST(LogLine, KnowsTheCalendar) {
  const auto date = [](int64_t seconds) {
    return FormatLogLine(LogFormat::kText, seconds * 1'000'000, LogLevel::kInfo, "e", "", {}).substr(0, 10);
  };
  EXPECT_EQ(date(-1), "1970-01-01") << "a clock that was never set";
  EXPECT_EQ(date(951'868'800), "2000-03-01");
  EXPECT_EQ(date(4'107'542'400), "2100-03-01");
}

TEST(LogLimit, OneLineASecondAndTheRestIsCounted) {
  LogLimit limit;
  uint64_t suppressed = 7;
  EXPECT_TRUE(limit.Allow(0, &suppressed));
  EXPECT_EQ(suppressed, 0u);
  EXPECT_FALSE(limit.Allow(1, &suppressed));
  EXPECT_FALSE(limit.Allow(999'999, &suppressed));
  EXPECT_TRUE(limit.Allow(1'000'000, &suppressed));
  EXPECT_EQ(suppressed, 2u);
  EXPECT_TRUE(limit.Allow(2'000'000, &suppressed));
  EXPECT_EQ(suppressed, 0u);
}

}  // namespace
}  // namespace quipu::server
