// Contents that begin like one that was imported: copies, old or cut, and other logs.
#include <rapidcheck/gtest.h>

#include "ingest/importer_testing.h"

namespace quipu::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ImporterTest, AnOldCopyOfAGrownLogChangesNothing) {
  std::string content = Lines("first", 200);
  const std::string path = Write(content), old = Write(content);
  ASSERT_TRUE(Import(path).ok());
  Append(path, Lines("second", 100));
  ASSERT_TRUE(Import(path).ok());
  Append(path, Lines("third", 100));
  ASSERT_TRUE(Import(path).ok());
  const auto before = server_.counts;
  for (const std::string& copy : {old, Write(content + Lines("second", 100)), Write(content + "sec")}) {
    ASSERT_TRUE(Import(copy).ok()) << copy;
    EXPECT_EQ(server_.counts, before);
    EXPECT_EQ(totals_.records_taken, 0u);
  }
  EXPECT_EQ(totals_.records_already, 200u);
  EXPECT_EQ(totals_.bytes_left, 3u);
  EXPECT_EQ(server_.sources.size(), 1u);
}

TEST_F(ImporterTest, ACopyWhoseEndNobodyKnowsIsRefusedAndNothingCounts) {
  const std::string content = Lines("line", 500);
  ASSERT_TRUE(Import(Write(content)).ok());
  const auto before = server_.counts;
  const std::string copy = content.substr(0, content.find("line-300"));
  const Status status = Import(Write(copy));
  EXPECT_EQ(status.code(), Code::kConditionNotMet);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(fmt::format("its first 2055 bytes are those of a longer log, imported as a file up to byte {}; "
                                    "of its other {} bytes",
                                    content.size(), copy.size() - 2055)));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--source NAME"));
  EXPECT_EQ(server_.counts, before);
  EXPECT_EQ(server_.sources.size(), 1u);
}

TEST_F(ImporterTest, ANameMakesALogThatBeginsLikeAnotherOneOfItsOwn) {
  const std::string content = Lines("line", 500);
  ASSERT_TRUE(Import(Write(content)).ok());
  const std::string own = content.substr(0, content.find("line-300"));
  ImportSpec spec = kLines;
  spec.source = "second host";
  for (int twice = 0; twice < 2; ++twice) {
    ASSERT_TRUE(Import(Write(own), spec).ok());
    EXPECT_EQ(server_.counts["line-299"], 2);
    EXPECT_EQ(server_.counts["line-300"], 1);
  }
  EXPECT_EQ(totals_.records_already, 300u);
}

TEST_F(ImporterTest, WhatDiffersBehindTheFirstRecordIsAnotherLogHoweverShort) {
  ASSERT_TRUE(Import(Write("item,n\nx,1\ny,2\nz,3\n" + Lines("w,1\nw", 300)), kCsv).ok());
  ASSERT_TRUE(Import(Write("item,n\nv,5\n"), kCsv).ok());
  ASSERT_TRUE(Import(Write("item,n\nx,2\n"), kCsv).ok());
  ASSERT_TRUE(Import(Write("item,n\nx,1\ny,3\n"), kCsv).ok());
  EXPECT_EQ(server_.counts["v"], 5);
  EXPECT_EQ(server_.counts["x"], 1 + 2 + 1);
  EXPECT_EQ(server_.counts["y"], 2 + 3);
  EXPECT_EQ(server_.sources.size(), 4u);
}

TEST_F(ImporterTest, AHeaderAloneIsTheBeginningOfAnyTableWithIt) {
  ASSERT_TRUE(Import(Write("item,n\nx,1\n"), kCsv).ok());
  ASSERT_TRUE(Import(Write("item,n\n"), kCsv).ok());
  EXPECT_EQ(totals_.records_taken + totals_.records_already, 0u);
  EXPECT_EQ(server_.sources.size(), 1u);
}

TEST_F(ImporterTest, ALogThatBeginsAnewWithTheSameLineCountsOnceItDiffers) {
  const std::string path = Write("start\n" + Lines("old", 100));
  ASSERT_TRUE(Import(path).ok());
  const std::string rotated = Write("start\n");
  ASSERT_TRUE(Import(rotated).ok());
  EXPECT_EQ(server_.counts["start"], 1) << "so far it is the beginning of the other";
  Append(rotated, Lines("new", 3));
  ASSERT_TRUE(Import(rotated).ok());
  EXPECT_EQ(totals_.records_taken, 4u);
  EXPECT_EQ(server_.counts["start"], 2);
  EXPECT_EQ(server_.counts["new-2"], 1);
}

TEST_F(ImporterTest, AKilledImportAndAnOldCopyAndTheRestCountOnce) {
  options_.step_bytes = 100;
  const std::string content = Lines("line", 300);
  const std::string path = Write(content);
  EXPECT_FALSE(Import(path, kLines, {Fault::kNone, Fault::kNone, Fault::kNone, Fault::kKill}).ok());
  ASSERT_EQ(server_.sources.size(), 1u);
  const uint64_t stands = server_.sources.begin()->second.stands.offset;
  const size_t further = content.find('\n', 2 * stands) + 1;
  ASSERT_TRUE(Import(Write(content.substr(0, further))).ok()) << "it goes on where the killed one ended";
  ASSERT_TRUE(Import(path).ok());
  ASSERT_TRUE(Import(Write(content.substr(0, further))).ok());
  ASSERT_TRUE(Import(Write(content.substr(0, stands))).ok());
  EXPECT_EQ(server_.counts.size(), 300u);
  for (const auto& [name, count] : server_.counts) EXPECT_EQ(count, 1) << name;
}

TEST_F(ImporterTest, ACompleteFinalLineIsPartOfAnOldCopy) {
  options_.final_line = true;
  const std::string path = Write("a\nb");
  ASSERT_TRUE(Import(path).ok());
  Append(path, "\nc\nd\n");
  ASSERT_TRUE(Import(path).ok());
  ASSERT_TRUE(Import(Write("a\nb")).ok());
  EXPECT_EQ(totals_.records_already, 2u);
  EXPECT_EQ(Import(Write("a\nb\nc\nx")).code(), Code::kConditionNotMet) << "who knows whether x is a line of its own";
  EXPECT_EQ(server_.counts["a"], 1);
}

TEST_F(ImporterTest, MarksHaveTheRecordsBeforeThem) {
  options_.step_bytes = 50;
  ASSERT_TRUE(Import(Write("item,n\nx,1\nx,bad\ny,2\n\n\"z\",3\n" + Lines("w,1\nw", 50)), kCsv).ok());
  ASSERT_EQ(server_.sources.size(), 1u);
  const FakeServer::Source& source = server_.sources.begin()->second;
  std::vector<std::array<uint64_t, 3>> first;
  for (size_t i = 0; i < 6; ++i) {
    first.push_back({source.marks[i].offset, source.marks[i].taken, source.marks[i].refused});
  }
  using Place = std::array<uint64_t, 3>;
  EXPECT_THAT(first, ElementsAre(Place{7, 0, 0}, Place{8, 0, 0}, Place{9, 0, 0}, Place{11, 1, 0}, Place{15, 1, 0},
                                 Place{23, 2, 1}));
  EXPECT_EQ(source.stands.taken, 3u + 50);
  EXPECT_EQ(source.stands.refused, 1u + 50);
}

std::map<std::string, int64_t> CountsOf(std::string_view content) {
  std::map<std::string, int64_t> counts;
  for (size_t at = 0, end; (end = content.find('\n', at)) != content.npos; at = end + 1) {
    ++counts[std::string(content.substr(at, end - at))];
  }
  return counts;
}

std::map<std::string, int64_t> Sum(std::map<std::string, int64_t> a, const std::map<std::string, int64_t>& b) {
  for (const auto& [name, count] : b) a[name] += count;
  return a;
}

// Copies of a log, made at any moment of its life and imported in any order: what counts is the longest of them.
RC_GTEST_FIXTURE_PROP(ImporterTest, CopiesOfALogCountAsTheLongestOfThem, ()) {
  server_ = FakeServer();
  options_.step_bytes = *rc::gen::inRange<size_t>(1, 200);
  std::string content;
  for (const int n : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 20))) content += fmt::format("l{}\n", n);
  const auto kFault = rc::gen::weightedElement<Fault>(
      {{6, Fault::kNone}, {1, Fault::kLostBefore}, {1, Fault::kLostAfter}, {1, Fault::kKill}});
  size_t longest = 0;
  for (int i = 0; i < 12; ++i) {
    const std::string copy = content.substr(0, *rc::gen::inRange<size_t>(0, content.size() + 1));
    const std::string path = Write(copy);
    Status status = Import(path, kLines, *rc::gen::container<std::deque<Fault>>(kFault));
    if (status.code() != Code::kConditionNotMet) status = Import(path);
    const size_t lines = copy.rfind('\n') == copy.npos ? 0 : copy.rfind('\n') + 1;
    if (status.ok()) {
      longest = std::max(longest, lines);
    } else {
      RC_ASSERT(status.code() == Code::kConditionNotMet);
      RC_ASSERT(lines < longest);
    }
    RC_ASSERT(server_.counts == CountsOf(content.substr(0, longest)));
    RC_ASSERT(server_.sources.size() <= 1u);
  }
}

// Two logs that begin alike, imported piece by piece while they grow: in the end each counts once.
RC_GTEST_FIXTURE_PROP(ImporterTest, LogsThatBeginAlikeCountOnceEach, ()) {
  server_ = FakeServer();
  const auto draw = [](int most) {
    std::string out;
    for (const int n : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, most))) out += fmt::format("l{}\n", n);
    return out;
  };
  const std::string alike = "head\n" + draw(3);
  const std::string logs[2] = {alike + draw(4), alike + draw(4)};
  for (int i = 0; i < 10; ++i) {
    const std::string& log = logs[*rc::gen::inRange(0, 2)];
    const Status status = Import(Write(log.substr(0, *rc::gen::inRange<size_t>(0, log.size() + 1))));
    RC_ASSERT(status.ok() || status.code() == Code::kConditionNotMet);
  }
  const Status first = Import(Write(logs[0]));
  const Status second = Import(Write(logs[1]));
  if (!first.ok() || !second.ok()) return;  // one ends between two marks of the other
  const bool beginning = logs[0].starts_with(logs[1]) || logs[1].starts_with(logs[0]);
  const std::string& longer = logs[0].size() < logs[1].size() ? logs[1] : logs[0];
  RC_ASSERT(server_.counts == (beginning ? CountsOf(longer) : Sum(CountsOf(logs[0]), CountsOf(logs[1]))));
}

}  // namespace
}  // namespace quipu::ingest
