#include "ingest/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quipu::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StrEq;

struct Splitter {
  explicit Splitter(std::string_view format_name, std::vector<std::string> columns, std::string_view header = "")
      : format(Format::Make(format_name).value()), values(columns.size()) {
    EXPECT_TRUE(format->ReadHeader(header).ok());
    bound = format->Bind(columns);
  }
  // The values, or the reason of the refusal.
  std::vector<std::string> operator()(std::string_view record) {
    if (const char* problem = format->Split(record, values)) return {std::string("refused: ") + problem};
    return {values.begin(), values.end()};
  }
  std::unique_ptr<Format> format;
  std::vector<std::string_view> values;
  Status bound;
};

constexpr std::string_view kCombined =
    R"(10.1.2.3 - ann [10/Oct/2000:13:55:36 -0700] "GET /a/b?x=1&y HTTP/1.1" 200 2326 "http://r/" "Agent \"Q\" 1.0")";

TEST(LogFormat, SplitsEveryField) {
  Splitter split("clf", {"host", "ident", "user", "time", "request", "method", "target", "path", "query", "protocol",
                         "status", "bytes", "referer", "agent"});
  EXPECT_THAT(split(kCombined),
              ElementsAre("10.1.2.3", "-", "ann", "10/Oct/2000:13:55:36 -0700", "GET /a/b?x=1&y HTTP/1.1", "GET",
                          "/a/b?x=1&y", "/a/b", "x=1&y", "HTTP/1.1", "200", "2326", "http://r/", R"(Agent \"Q\" 1.0)"));
}

TEST(LogFormat, TheCommonFormHasNoRefererAndADashForNoBytes) {
  constexpr std::string_view kCommon = R"(h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 304 -)";
  EXPECT_THAT(Splitter("clf", {"path", "bytes"})(kCommon), ElementsAre("/", "0"));
  EXPECT_THAT(Splitter("clf", {"agent"})(kCommon), ElementsAre("refused: no quoted referer"));
}

TEST(LogFormat, ALineIsRefusedOnlyForWhatIsAskedOfIt) {
  constexpr std::string_view kOdd = R"(h - - [10/Oct/2000:13:55:36 -0700] "\x16\x03" 400 0)";
  EXPECT_THAT(Splitter("clf", {"host", "status"})(kOdd), ElementsAre("h", "400"));
  EXPECT_THAT(Splitter("clf", {"path"})(kOdd), ElementsAre(HasSubstr("METHOD PATH PROTOCOL")));
  EXPECT_THAT(Splitter("clf", {"host"})("not a log line"), ElementsAre(HasSubstr("not the common log format")));
  EXPECT_THAT(Splitter("clf", {"status"})(R"(h - - [t] "GET / HTTP/1.0")"), ElementsAre(HasSubstr("no status")));
}

TEST(LogFormat, AnUnknownColumnListsTheKnownOnes) {
  EXPECT_THAT(std::string(Splitter("clf", {"url"}).bound.message()), HasSubstr("host, ident, user, time, request"));
}

TEST(CsvFormat, ColumnsGoByNameOrNumber) {
  Splitter split("csv", {"b", "1", "c d"}, "a,b,\"c d\"");
  EXPECT_THAT(split("1,2,3"), ElementsAre("2", "1", "3"));
  EXPECT_THAT(split("1,,"), ElementsAre("", "1", ""));
  EXPECT_THAT(std::string(Splitter("csv", {"4"}, "a,b,c").bound.message()), HasSubstr("a, b, c (or 1 to 3)"));
  EXPECT_FALSE(Splitter("csv", {"0"}, "a,b,c").bound.ok());
}

TEST(CsvFormat, QuotesFollowTheStandard) {
  Splitter split("csv", {"a", "b"}, "a,b");
  EXPECT_THAT(split(R"("x, y","say ""hi""")"), ElementsAre("x, y", R"(say "hi")"));
  EXPECT_THAT(split("\"two\nlines\",2"), ElementsAre("two\nlines", "2"));
  EXPECT_THAT(split(R"("","")"), ElementsAre("", ""));
  EXPECT_THAT(split(R"(5" disk,2)"), ElementsAre("5\" disk", "2"));
  EXPECT_THAT(split(R"("x"y,2)"), ElementsAre("refused: text after a closing quote"));
  EXPECT_THAT(split(R"("x,2)"), ElementsAre("refused: a quote that does not close"));
}

TEST(CsvFormat, ARecordHasAsManyColumnsAsTheHeader) {
  Splitter split("csv", {"a"}, "a,b");
  EXPECT_THAT(split("1"), ElementsAre(HasSubstr("not as many columns")));
  EXPECT_THAT(split("1,2,3"), ElementsAre(HasSubstr("not as many columns")));
}

TEST(CsvFormat, ARecordEndsAtALineEndOutsideQuotes) {
  const auto csv = MakeDelimitedFormat(',');
  EXPECT_EQ(csv->RecordSize("a,b\nc"), 4u);
  EXPECT_EQ(csv->RecordSize("a,\"b\nc\"\nd"), 8u);
  EXPECT_EQ(csv->RecordSize("a,\"b\nc"), kIncomplete);
  EXPECT_EQ(csv->RecordSize("\"\"\"\n\"\nx"), 6u);
  EXPECT_EQ(csv->RecordSize("a\"\"b\nc\n"), 5u) << "a quote inside a plain field means nothing";
}

TEST(CsvFormat, AQuoteThatNeverClosesCostsItsLineAlone) {
  const auto csv = MakeDelimitedFormat(',');
  std::string bytes = "a,\"b\n";
  while (bytes.size() <= kQuotedRecordBytesMax) bytes += "more,lines\n";
  EXPECT_EQ(csv->RecordSize(bytes), 5u);
}

TEST(CsvFormat, AByteOrderMarkIsNoPartOfTheFirstName) {
  EXPECT_TRUE(Splitter("csv", {"a"},
                       "\xef\xbb\xbf"
                       "a,b")
                  .bound.ok());
}

TEST(TsvFormat, QuotesMeanNothing) {
  Splitter split("tsv", {"a", "b"}, "a\tb");
  EXPECT_THAT(split("\"x\t\"y\""), ElementsAre("\"x", "\"y\""));
}

TEST(JsonFormat, FollowsDottedPaths) {
  Splitter split("ndjson", {"user.name", "n", "ok"});
  EXPECT_THAT(split(R"({"x":{"name":"no"},"user":{"id":7,"name":"ann"},"n":-12.5e3,"ok":true})"),
              ElementsAre("ann", "-12.5e3", "true"));
  EXPECT_THAT(split(R"( { "n" : 1 , "ok" : false , "user" : { "name" : "" } } )"), ElementsAre("", "1", "false"));
}

TEST(JsonFormat, UnescapesStrings) {
  Splitter split("ndjson", {"p"});
  EXPECT_THAT(split(R"({"p":"a\"b\\c\/\b\f\n\r\t"})"), ElementsAre("a\"b\\c/\b\f\n\r\t"));
  EXPECT_THAT(split(R"({"p":"\u0041\u00e9\u20ac\ud83d\ude00"})"), ElementsAre("Aé€😀"));
  EXPECT_THAT(split(R"({"\u0070":"x"})"), ElementsAre("x"));
  EXPECT_THAT(split(R"({"p":"\\"})"), ElementsAre("\\"));
  for (const char* bad : {R"({"p":"\x"})", R"({"p":"\u12"})", R"({"p":"\ud83d"})", R"({"p":"\ude00"})",
                          R"({"p":"\ud83dx"})", R"({"p":"\ud83d\u0041"})"}) {
    EXPECT_THAT(split(bad), ElementsAre("refused: a string with a bad escape")) << bad;
  }
}

TEST(JsonFormat, RefusesWhatIsMissingNullNestedOrTwice) {
  Splitter split("ndjson", {"a"});
  EXPECT_THAT(split(R"({"b":1})"), ElementsAre(HasSubstr("missing or null")));
  EXPECT_THAT(split(R"({"a":null})"), ElementsAre(HasSubstr("missing or null")));
  EXPECT_THAT(split(R"({"a":{"b":1}})"), ElementsAre(HasSubstr("is an object")));
  EXPECT_THAT(split(R"({"a":[1]})"), ElementsAre(HasSubstr("is a list")));
  EXPECT_THAT(split(R"({"a":1,"a":2})"), ElementsAre(HasSubstr("stands twice")));
}

TEST(JsonFormat, RefusesWhatIsNoJsonObject) {
  Splitter split("ndjson", {"a"});
  for (const char* bad : {"", "[]", "1", "{", R"({"a")", R"({"a":)", R"({"a":1)", R"({"a":1,})", R"({"a":x})",
                          R"({a:1})", R"({"a":"x)", R"({"b":[1,2,"a":1})", R"({"a":-})"}) {
    EXPECT_THAT(split(bad), ElementsAre("refused: not a JSON object")) << bad;
  }
  EXPECT_THAT(split(R"({"a":1} x)"), ElementsAre("refused: text after the JSON object"));
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_THAT(split(R"({"a":1,"b":)" + deep + "}"), ElementsAre(HasSubstr("64 deep")));
}

TEST(LineFormat, HasOneColumn) {
  EXPECT_THAT(Splitter("lines", {"line"})("as it is"), ElementsAre("as it is"));
  EXPECT_FALSE(Splitter("lines", {"word"}).bound.ok());
}

TEST(Format, AnUnknownNameListsTheKnownOnes) {
  EXPECT_THAT(std::string(Format::Make("xml").status().message()), HasSubstr("clf, csv, tsv, ndjson, lines"));
}

}  // namespace
}  // namespace quipu::ingest
