#include "store/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quipu::store {
namespace {

using ::testing::ElementsAre;

std::vector<uint64_t> OffsetsOf(const std::vector<SourceMark>& marks) {
  std::vector<uint64_t> out;
  for (const SourceMark& mark : marks) out.push_back(mark.offset);
  return out;
}

TEST(Source, AReaderThatGoesOnWhereItStoppedLeavesNoEnd) {
  SourceState state;
  TakeSourceStep({.from = 0, .to = 10, .reader = SourceReader::kNew}, {}, 0, &state);
  TakeSourceStep({.from = 10, .to = 20}, {}, 0, &state);
  EXPECT_TRUE(state.ends.empty());
  TakeSourceStep({.from = 20, .to = 20, .reader = SourceReader::kNew}, {}, 0, &state);
  TakeSourceStep({.from = 20, .to = 30, .reader = SourceReader::kNew}, {}, 0, &state);
  EXPECT_THAT(OffsetsOf(state.ends), ElementsAre(20)) << "once";
}

TEST(Source, EndsAreThinnedOutTheFurtherTheyLieBehind) {
  SourceState state;
  for (uint64_t day = 0; day < 1000; ++day) {
    TakeSourceStep({.from = day * 100, .to = day * 100 + 100, .reader = SourceReader::kNew}, {}, 0, &state);
  }
  ASSERT_EQ(state.ends.size(), kSourceEndsMax);
  EXPECT_EQ(state.ends.front().offset, 100u);
  for (uint64_t recent = 0; recent < 4; ++recent) {
    EXPECT_EQ(state.ends[kSourceEndsMax - 1 - recent].offset, 99'900 - recent * 100) << "the last few are all there";
  }
  for (size_t i = 1; i < state.ends.size(); ++i) {
    const uint64_t gap = state.ends[i].offset - state.ends[i - 1].offset;
    EXPECT_LE(gap, 100'000 - state.ends[i - 1].offset) << i;
  }
}

TEST(Source, KeepsTheFirstMarksThatFit) {
  SourceState state;
  for (uint64_t i = 0; i < kSourceMarksMax + 3; ++i) {
    const std::vector<SourceMark> marks = {{.offset = i + 1, .fingerprint = {i, i}, .taken = 0, .refused = 0}};
    TakeSourceStep({.from = i, .to = i + 1, .marks = marks}, {}, 0, &state);
  }
  ASSERT_EQ(state.marks.size(), kSourceMarksMax);
  EXPECT_EQ(state.marks.back().offset, kSourceMarksMax);
}

}  // namespace
}  // namespace quipu::store
