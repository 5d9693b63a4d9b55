#include "ingest/record_parser.h"

#include <gtest/gtest.h>

namespace quipu::ingest {
namespace {

TEST(RecordParser, RefusesATimeThatCannotBeStored) {
  auto made = RecordParser::Make({.format = "csv", .key = "{k}", .time = "t"});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  RecordParser& parser = **made;
  ASSERT_TRUE(parser.Begin("k,t").ok());
  Aggregator sums;
  const std::string refused = "its time is outside what an import takes, 1970-01-01 to 2112-09-17 (UTC)";
  EXPECT_EQ(parser.Parse("a,2026-01-02", &sums), nullptr);
  EXPECT_EQ(parser.Parse("a,1970-01-01", &sums), nullptr);
  EXPECT_EQ(parser.Parse("a,2112-09-17 23:53:47", &sums), nullptr);
  for (const char* line : {"a,2112-09-17 23:53:48", "a,9999-12-31", "a,1969-12-31 23:59:59"}) {
    const char* why = parser.Parse(line, &sums);
    EXPECT_EQ(std::string(why == nullptr ? "" : why), refused) << line;
  }
  const char* unread = parser.Parse("a,yesterday", &sums);
  EXPECT_EQ(std::string(unread == nullptr ? "" : unread), "its time cannot be read");
}

}  // namespace
}  // namespace quipu::ingest
