#include "ingest/event_time.h"

#include <gtest/gtest.h>

namespace quipu::ingest {
namespace {

std::optional<int64_t> Parse(std::string_view text, std::string format = "") {
  EventTimeParser parser = EventTimeParser::Make(std::move(format)).value();
  return parser.ParseMs(text);
}

// 2000-10-10T13:55:36Z, from `date -u -d ... +%s`.
constexpr int64_t kSecond = 971'186'136;

TEST(EventTime, RecognisesTheUsualForms) {
  EXPECT_EQ(Parse("971186136"), kSecond * 1000);
  EXPECT_EQ(Parse("971186136.25"), kSecond * 1000 + 250);
  EXPECT_EQ(Parse("971186136250"), kSecond * 1000 + 250);
  EXPECT_EQ(Parse("971186136250999"), kSecond * 1000 + 250);
  EXPECT_EQ(Parse("10/Oct/2000:13:55:36 +0000"), kSecond * 1000);
  EXPECT_EQ(Parse("10/Oct/2000:06:55:36 -0700"), kSecond * 1000);
  EXPECT_EQ(Parse("2000-10-10T13:55:36Z"), kSecond * 1000);
  EXPECT_EQ(Parse("2000-10-10T15:55:36.7891+02:00"), kSecond * 1000 + 789);
  EXPECT_EQ(Parse("2000-10-10 13:55:36"), kSecond * 1000);
  EXPECT_EQ(Parse("2000-10-10 13:55"), (kSecond - 36) * 1000);
  EXPECT_EQ(Parse("2000-10-10"), (kSecond / 86400 * 86400) * 1000);
}

TEST(EventTime, KnowsTheCalendar) {
  EXPECT_EQ(Parse("1970-01-01"), 0);
  EXPECT_EQ(Parse("1969-12-31 23:59:59"), -1000);
  EXPECT_EQ(Parse("2000-02-29"), 951'782'400'000);
  EXPECT_EQ(Parse("2000-03-01"), 951'868'800'000);
  EXPECT_EQ(Parse("2100-03-01"), 4'107'542'400'000);
  EXPECT_EQ(Parse("1900-02-29"), std::nullopt);
  EXPECT_EQ(Parse("2015-02-29"), std::nullopt);
  EXPECT_EQ(Parse("2015-04-31"), std::nullopt);
}

TEST(EventTime, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "-", "yesterday", "2000-13-01", "2000-10-10T24:00:00Z", "2000-10-10T13:60:00Z", "2000-10-10T13:55:36Zx",
        "2000-10-10 13", "10/Okt/2000:13:55:36 +0000", "12.", "1e9", "2000-10-10T13:55:36+25:00"}) {
    EXPECT_EQ(Parse(text), std::nullopt) << text;
  }
}

TEST(EventTime, AFormatIsTakenToTheLetter) {
  EXPECT_EQ(Parse("10/10/2000 13:55", "%d/%m/%Y %H:%M"), (kSecond - 36) * 1000);
  EXPECT_EQ(Parse("3/8/2019 20:25", "%d/%m/%Y %H:%M"), 1'564'863'900'000);
  EXPECT_EQ(Parse("3/8/2019 20:25", "%m/%d/%Y %H:%M"), 1'552'076'700'000);
  EXPECT_EQ(Parse("1/1/18 2:06", "%m/%d/%y %H:%M"), 1'514'772'360'000);
  EXPECT_EQ(Parse("12:30 AM, Jan  5 2020", "%I:%M %p, %b %e %Y"), 1'578'184'200'000);
  EXPECT_EQ(Parse("12:30 PM, Jan 05 2020", "%I:%M %p, %b %e %Y"), 1'578'227'400'000);
  EXPECT_EQ(Parse("100% 971186136", "100%% %s"), kSecond * 1000);
  EXPECT_EQ(Parse("2000-10-10", "%d/%m/%Y"), std::nullopt);
  EXPECT_EQ(Parse("10/10/2000 ", "%d/%m/%Y"), std::nullopt);
}

TEST(EventTime, AnUnknownConversionIsNamed) {
  EXPECT_EQ(EventTimeParser::Make("%Y %Q").code(), Code::kInvalidArgument);
  EXPECT_EQ(EventTimeParser::Make("%").code(), Code::kInvalidArgument);
}

TEST(EventTime, RepeatsAreAnsweredAlike) {
  EventTimeParser parser = EventTimeParser::Make("").value();
  EXPECT_EQ(parser.ParseMs("bad"), std::nullopt);
  EXPECT_EQ(parser.ParseMs("bad"), std::nullopt);
  EXPECT_EQ(parser.ParseMs("1970-01-02"), 86'400'000);
  EXPECT_EQ(parser.ParseMs("1970-01-02"), 86'400'000);
}

}  // namespace
}  // namespace quipu::ingest
