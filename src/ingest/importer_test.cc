#include "ingest/importer.h"

#include <rapidcheck/gtest.h>

#include "ingest/compress_testing.h"
#include "ingest/importer_testing.h"

namespace quipu::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

TEST_F(ImporterTest, CountsEachLineOnce) {
  ASSERT_TRUE(Import(Write("a\nb\r\na\n\n")).ok());
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 2), Pair("b", 1)));
  EXPECT_EQ(totals_.records_taken, 3u);
  EXPECT_EQ(totals_.counters, 2u);
}

TEST_F(ImporterTest, ASecondImportChangesNothingUnderAnyName) {
  const std::string content = "a\nb\na\n";
  ASSERT_TRUE(Import(Write(content)).ok());
  const auto before = server_.counts;
  ASSERT_TRUE(Import(Write(content)).ok());
  EXPECT_EQ(server_.counts, before);
  EXPECT_EQ(totals_.records_taken, 0u);
  EXPECT_EQ(totals_.records_already, 3u);
}

TEST_F(ImporterTest, AGrownFileContinuesWhereItEnded) {
  const std::string path = Write("a\nb\n");
  ASSERT_TRUE(Import(path).ok());
  Append(path, "a\nc\n");
  ASSERT_TRUE(Import(path).ok());
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 2), Pair("b", 1), Pair("c", 1)));
  EXPECT_EQ(totals_.records_taken, 2u);
  EXPECT_EQ(totals_.records_already, 2u);
}

TEST_F(ImporterTest, FilesThatBeginAlikeAreDifferentSources) {
  ASSERT_TRUE(Import(Write("head\na\nx\n")).ok());
  ASSERT_TRUE(Import(Write("head\nb\n")).ok());
  ASSERT_TRUE(Import(Write("head\nb\nc\n")).ok());
  ASSERT_TRUE(Import(Write("head\na\nx\n")).ok());
  EXPECT_THAT(server_.counts,
              UnorderedElementsAre(Pair("head", 2), Pair("a", 1), Pair("x", 1), Pair("b", 1), Pair("c", 1)));
  EXPECT_EQ(server_.sources.size(), 2u);
}

TEST_F(ImporterTest, TheFurthestOfSeveralMatchesIsTakenAndAShorterCandidateCostsNothing) {
  ASSERT_TRUE(Import(Write("h\n1\n2\n3\nother\n")).ok());
  ASSERT_TRUE(Import(Write("h\n2\n")).ok());
  ASSERT_TRUE(Import(Write("h\n2\n2\n")).ok());
  EXPECT_EQ(totals_.records_already, 2u) << "the longer candidate does not match and is read past";
  EXPECT_EQ(totals_.records_taken, 1u);
  EXPECT_EQ(server_.counts["h"], 2);
  EXPECT_EQ(server_.counts["2"], 3);
}

TEST_F(ImporterTest, TheSameFileCountedAnotherWayIsAnotherSource) {
  const std::string path = Write("item,n\nx,2\ny,-1\n");
  ASSERT_TRUE(Import(path, kCsv).ok());
  ImportSpec other = kCsv;
  other.key = "other:{item}";
  ASSERT_TRUE(Import(path, other).ok());
  EXPECT_THAT(server_.counts,
              UnorderedElementsAre(Pair("x", 2), Pair("y", -1), Pair("other:x", 2), Pair("other:y", -1)));
}

TEST_F(ImporterTest, AHeaderIsReadAgainOnResumeAndNeverCounted) {
  const std::string path = Write("item,n\nx,2\n");
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(totals_.records_taken, 1u);
  Append(path, "y,3\n\"x\",5\n");
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(totals_.records_already, 1u);
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("x", 7), Pair("y", 3)));
}

TEST_F(ImporterTest, AnUnfinishedLastLineIsLeftUntilItIsFinished) {
  const std::string path = Write("a\nb");
  ASSERT_TRUE(Import(path).ok());
  EXPECT_EQ(totals_.bytes_left, 1u);
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 1)));
  Append(path, "cd\n");
  ASSERT_TRUE(Import(path).ok());
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 1), Pair("bcd", 1)));
}

TEST_F(ImporterTest, NothingButAnUnfinishedLineIsLeftToo) {
  ASSERT_TRUE(Import(Write("abc")).ok());
  EXPECT_EQ(totals_.bytes_left, 3u);
  ASSERT_TRUE(Import(Write("")).ok());
  EXPECT_TRUE(server_.sources.empty());
}

TEST_F(ImporterTest, FinalLineTakesItAndItsEndMayComeLater) {
  options_.final_line = true;
  const std::string path = Write("a\nb");
  ASSERT_TRUE(Import(path).ok());
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 1), Pair("b", 1)));
  Append(path, "\nc\n");
  ASSERT_TRUE(Import(path).ok());
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 1), Pair("b", 1), Pair("c", 1)));
}

TEST_F(ImporterTest, FinalLineThatGrewIsRefusedRatherThanMiscounted) {
  options_.final_line = true;
  const std::string path = Write("a\nb");
  ASSERT_TRUE(Import(path).ok());
  Append(path, "b\nc\n");
  EXPECT_EQ(Import(path).code(), Code::kConditionNotMet);
  EXPECT_THAT(server_.counts, UnorderedElementsAre(Pair("a", 1), Pair("b", 1)));
}

TEST_F(ImporterTest, RefusedLinesAreReportedWithTheirNumber) {
  ASSERT_TRUE(Import(Write("item,n\nx,2\nx,two\n\"y\nz\",1\nw,1,1\nx,\"1\"\n"), kCsv).ok());
  EXPECT_THAT(refusals_.all, ElementsAre("3:its delta is not an integer:x,two",
                                         "4:its counter name is not 1 to 1024 bytes of UTF-8 without control "
                                         "characters:\"y\nz\",1",
                                         "6:it has not as many columns as the header:w,1,1"));
  EXPECT_EQ(totals_.records_taken, 2u);
  EXPECT_EQ(totals_.records_refused, 3u);
}

TEST_F(ImporterTest, WhatTheServerRefusesIsReportedLineByLine) {
  server_.refuse["b"] = "OVERFLOW";
  ASSERT_TRUE(Import(Write("a\nb\nc\nb\n")).ok());
  EXPECT_THAT(refusals_.all, ElementsAre("2:OVERFLOW:b", "4:OVERFLOW:b"));
  EXPECT_EQ(totals_.records_taken, 2u);
}

TEST_F(ImporterTest, WhatAnEarlierImportRefusedIsCalledThat) {
  server_.refuse["b"] = "OVERFLOW";
  const std::string path = Write("item,n\nx,2\nx,two\nb,1\nb,1\n");
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(totals_.records_refused, 3u);
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(totals_.records_already, 1u);
  EXPECT_EQ(totals_.records_already_refused, 3u);
  EXPECT_EQ(totals_.records_refused, 0u);
  EXPECT_EQ(refusals_.all.size(), 3u) << "nothing is told twice";
}

TEST_F(ImporterTest, RefusedLinesAreKeptBeforeTheirStepIsSent) {
  refusals_.disk = Status(Code::kStorageFull, "no space left");
  const std::string path = Write("item,n\nx,2\nx,two\n");
  EXPECT_EQ(Import(path, kCsv).code(), Code::kStorageFull);
  EXPECT_TRUE(server_.sources.empty()) << "a step must not be sent before its refused lines are safe";
  refusals_.disk = OkStatus();
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(refusals_.kept, 1u);
  EXPECT_EQ(server_.counts["x"], 2);
}

TEST_F(ImporterTest, RefusedLinesAreKeptOnceInAnImportHoweverOftenTheirStepIsSent) {
  const std::string path = Write("item,n\nx,two\nx,2\n");
  ASSERT_TRUE(Import(path, kCsv, {Fault::kLostBefore, Fault::kDown, Fault::kLostBefore}).ok());
  EXPECT_EQ(refusals_.all.size(), 1u);
  EXPECT_EQ(totals_.records_refused, 1u);
}

TEST_F(ImporterTest, AnImportThatDiesAfterItsStepWasTakenHasKeptTheRefusedLines) {
  const std::string path = Write("item,n\nx,two\nx,2\n");
  EXPECT_FALSE(Import(path, kCsv, {Fault::kKill}).ok());
  EXPECT_EQ(refusals_.kept, 1u);
  EXPECT_EQ(server_.counts["x"], 2);
  ASSERT_TRUE(Import(path, kCsv).ok());
  EXPECT_EQ(totals_.records_already_refused, 1u);
}

TEST_F(ImporterTest, OfALostAnswerTheNumberOfRefusedLinesIsKnown) {
  server_.refuse["b"] = "OVERFLOW";
  ASSERT_TRUE(Import(Write("a\nb\nc\nb\n"), kLines, {Fault::kLostAfter}).ok());
  EXPECT_THAT(refusals_.unknown, ElementsAre("2 of 1 to 4"));
  EXPECT_EQ(totals_.records_taken, 2u);
  EXPECT_EQ(totals_.records_refused, 2u);
}

TEST_F(ImporterTest, SumsThatWouldOverflowAreCutIntoSteps) {
  ASSERT_TRUE(Import(Write("item,n\nx,9223372036854775807\nx,1\nx,-9223372036854775808\n"), kCsv).ok());
  EXPECT_EQ(totals_.records_taken, 3u);
  EXPECT_TRUE(refusals_.all.empty());
  EXPECT_EQ(server_.steps_applied, 2);
}

TEST_F(ImporterTest, EventTimesAreSummedByTheMinute) {
  ImportSpec spec = kCsv;
  spec.time = "t";
  ASSERT_TRUE(Import(Write("t,item,n\n60,x,1\n119,x,2\n120,x,4\n-1,x,8\n"), spec).ok());
  EXPECT_THAT(server_.by_minute, UnorderedElementsAre(Pair(Pair("x", 60'000), 3), Pair(Pair("x", 120'000), 4)));
  EXPECT_EQ(refusals_.all.size(), 1u) << "a time before 1970 cannot be sent";
}

TEST_F(ImporterTest, ABatchTooLargeIsCutSmaller) {
  server_.entries_max = 20;
  std::string content;
  for (int i = 0; i < 1000; ++i) content += fmt::format("{}\n", i);
  ASSERT_TRUE(Import(Write(content)).ok());
  EXPECT_EQ(server_.counts.size(), 1000u);
  for (const auto& [name, count] : server_.counts) EXPECT_EQ(count, 1) << name;
}

TEST_F(ImporterTest, GivesUpWhenNobodyAnswersForLongerThanThePatience) {
  std::deque<Fault> faults(10'000, Fault::kDown);
  const int64_t began = clock_.now;
  EXPECT_EQ(Import(Write("a\n"), kLines, faults).code(), Code::kUnavailable);
  EXPECT_LT(clock_.now, began + options_.patience_us + 2'000'000);
}

TEST_F(ImporterTest, WaitsForAServerThatIsFullForAWhile) {
  const std::string path = Write("a\nb\n");
  ASSERT_TRUE(Import(path, kLines, std::deque<Fault>(100, Fault::kFull)).ok());
  EXPECT_EQ(server_.counts["a"], 1);
  Append(path, "c\n");
  const int64_t began = clock_.now;
  EXPECT_EQ(Import(path, kLines, std::deque<Fault>(100'000, Fault::kFull)).code(), Code::kStorageFull);
  EXPECT_LT(clock_.now, began + options_.patience_us + 2'000'000);
}

TEST_F(ImporterTest, ADamagedFileIsRefusedBeforeAnythingOfItCounts) {
  options_.step_bytes = 1000;
  const std::string lines = Lines("x", 20'000);
  for (const std::string& whole : {Gzip(lines), Zstd(lines)}) {
    std::string flipped = whole;
    flipped[whole.size() / 2] ^= 1;
    for (const std::string& damaged : {flipped, whole.substr(0, whole.size() - 3)}) {
      const Status status = Import(Write(damaged));
      EXPECT_EQ(status.code(), Code::kDataLoss);
      EXPECT_THAT(std::string(status.message()), HasSubstr("damaged at byte"));
      EXPECT_TRUE(server_.counts.empty());
    }
  }
}

TEST_F(ImporterTest, WhereAFileEndsInAnErrorTheReportSaysWhatTheServerHasTaken) {
  options_.step_bytes = 1000;
  EXPECT_EQ(Import(Write(Lines("x", 5000) + std::string(5u << 20, 'y'))).code(), Code::kDataLoss);
  EXPECT_EQ(totals_.records_taken, server_.counts.size());
  EXPECT_EQ(totals_.records_taken, 5000u);
}

TEST_F(ImporterTest, AnEndlessLineIsAnErrorAndNotAnEndlessWait) {
  EXPECT_THAT(std::string(Import(Write(std::string(5u << 20, 'x'))).message()), HasSubstr("does not end within"));
}

TEST_F(ImporterTest, AnUnknownColumnListsTheKnownOnes) {
  ImportSpec spec = kCsv;
  spec.key = "{product}";
  const Status status = Import(Write("item,n\nx,1\n"), spec);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("item, n"));
}

// The heart of it: whatever is lost or killed, and however often it is tried again, the counts are those of the file.
RC_GTEST_FIXTURE_PROP(ImporterTest, FaultsAndKillsAndGrowthNeverChangeACount, ()) {
  server_ = FakeServer();
  options_.step_bytes = *rc::gen::inRange<size_t>(1, 200);
  options_.step_entries = *rc::gen::inRange<size_t>(1, 20);
  const auto lines = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 30));
  std::string content;
  std::map<std::string, int64_t> expected;
  const auto append = [&](const std::string& path, size_t begin, size_t end) {
    std::string more;
    for (size_t i = begin; i < end; ++i) {
      more += fmt::format("name-{}\n", lines[i]);
      ++expected[fmt::format("name-{}", lines[i])];
    }
    Append(path, more);
  };
  const size_t half = lines.size() / 2;
  const std::string path = Write("");
  append(path, 0, half);
  const auto kFault = rc::gen::weightedElement<Fault>(
      {{4, Fault::kNone}, {2, Fault::kLostBefore}, {2, Fault::kLostAfter}, {1, Fault::kDown}, {1, Fault::kKill}});
  bool grown = false;
  for (int tries = 0; tries < 100; ++tries) {
    const auto faults = *rc::gen::container<std::deque<Fault>>(kFault);
    const Status status = Import(path, kLines, tries < 8 ? faults : std::deque<Fault>());
    if (!grown)
      append(path, half, lines.size());
    else if (status.ok())
      break;
    grown = true;
  }
  std::erase_if(server_.counts, [](const auto& entry) { return entry.second == 0; });
  RC_ASSERT(server_.counts == expected);
  RC_ASSERT(server_.sources.size() <= 1u);
}

}  // namespace
}  // namespace quipu::ingest
