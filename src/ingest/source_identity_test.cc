#include "ingest/source_identity.h"

#include <gtest/gtest.h>

namespace quipu::ingest {
namespace {

Mark At(std::string_view content, uint64_t offset) {
  return {.offset = offset, .fingerprint = DigestOf(content.substr(0, offset)), .taken = 0, .refused = 0};
}

SourceMatcher Matched(std::vector<KnownSource> known, std::string_view content) {
  SourceMatcher matcher(std::move(known));
  while (!content.empty() && matcher.BytesToNext() > 0) {
    const size_t n = std::min<size_t>(content.size(), matcher.BytesToNext());
    matcher.Take(content.substr(0, n));
    content.remove_prefix(n);
  }
  return matcher;
}

TEST(SourceIdentity, MarksLieAtTheFirstRecordsEndAndEverFurtherBehindIt) {
  EXPECT_EQ(NextMark(100, 0), 100u);
  EXPECT_EQ(NextMark(100, 99), 100u);
  EXPECT_EQ(NextMark(100, 100), 101u);
  EXPECT_EQ(NextMark(100, 101), 102u);
  EXPECT_EQ(NextMark(100, 102), 104u);
  EXPECT_EQ(NextMark(100, 1123), 1124u);
  EXPECT_EQ(NextMark(100, 1124), 2148u);
}

TEST(SourceIdentity, ALongerSourceWithoutAMarkThatAgreesIsNotTakenForTheContent) {
  const std::string taken = "first\nabcdefgh\n";
  const KnownSource bare = {.id = {1, 1}, .stands = At(taken, taken.size()), .marks = {}, .label = {}};
  EXPECT_FALSE(Matched({bare}, "first\nabc").longer()) << "only its anchor is known";
  KnownSource marked = bare;
  marked.marks = {At(taken, 6)};
  const SourceMatcher matcher = Matched({bare, marked}, "first\nabc");
  ASSERT_TRUE(matcher.longer());
  EXPECT_EQ(matcher.longer()->agreed.offset, 6u);
  EXPECT_FALSE(Matched({marked}, "other\nabc").longer());
}

TEST(SourceIdentity, WhatNoSourceCanBeAnyMoreIsNotReadToTheEnd) {
  const std::string taken = "first\n" + std::string(1'000'000, 'x');
  const KnownSource known = {
      .id = {1, 1}, .stands = At(taken, taken.size()), .marks = {At(taken, 6), At(taken, 7)}, .label = {}};
  EXPECT_EQ(Matched({known}, "first\n" + std::string(1'000'000, 'y')).offset(), 7u);
}

TEST(SourceIdentity, TheSourceThatIsContinuedCountsMoreThanOneThatAgreesLess) {
  const std::string content = "first\nabcdefgh\n";
  const KnownSource shorter = {.id = {1, 1}, .stands = At(content, 10), .marks = {At(content, 6)}, .label = {}};
  const KnownSource longer = {.id = {2, 2},
                              .stands = {.offset = 100, .fingerprint = {}, .taken = 0, .refused = 0},
                              .marks = {At(content, 7)},
                              .label = {}};
  const SourceMatcher matcher = Matched({longer, shorter}, content);
  ASSERT_TRUE(matcher.best());
  EXPECT_EQ(matcher.best()->id, shorter.id);
  EXPECT_FALSE(matcher.longer());
}

}  // namespace
}  // namespace quipu::ingest
