// Writes that are spread out while the settler is behind or memory is short.
#include "store/embedded/journal.h"

#include "store/embedded/journal_testing.h"

namespace quipu::store {
namespace {

TEST(JournalPacing, WritesSpreadOutWhileTheSettlerIsBehind) {
  JournalRig rig;
  rig.options().segment_bytes = 4u << 20;
  rig.options().unsettled_bytes_soft = 200'000;
  ASSERT_TRUE(rig.Start().ok());
  const std::string line(4000, 'x');
  // A line takes as long as the pause after the one before it: a quarter of the pause after a full frame.
  const double share = 0.25;
  const auto time_of_write = [&] {
    const int64_t from = rig.loop().MonoMicros();
    rig.Write(line);
    return static_cast<double>(rig.loop().MonoMicros() - from);
  };
  while (rig.journal()->unsettled_bytes() < 190'000) ASSERT_LT(time_of_write(), 5'000);
  while (rig.journal()->unsettled_bytes() < 300'000) rig.Write(line);
  EXPECT_GT(time_of_write(), 80'000 * share) << "half way";
  while (rig.journal()->unsettled_bytes() < 400'000) rig.Write(line);
  EXPECT_GT(time_of_write(), 180'000 * share) << "at its double";
  EXPECT_LT(time_of_write(), 300'000 * share);
  while (rig.journal()->unsettled_bytes() < 700'000) rig.Write(line);
  EXPECT_GT(time_of_write(), 900'000 * share) << "at its triple and beyond";
  EXPECT_LT(time_of_write(), 1'100'000 * share) << "the pause has an end";
  rig.journal()->Release(rig.journal()->durable());
  EXPECT_EQ(rig.journal()->unsettled_bytes(), 0u);
  EXPECT_LT(time_of_write(), 5'000);
  rig.pressure() = 0.5;
  EXPECT_GT(time_of_write(), 90'000 * share) << "memory is short";
  rig.pressure() = -1;
  EXPECT_LT(time_of_write(), 5'000);
}

TEST(JournalPacing, ASpreadOutWriteWaitsForTheBytesBeforeItNotForItsTurn) {
  // The same bytes take the same time in small frames and in large ones: a full frame a second.
  for (size_t frame : {512u, 1024u, 8192u}) {
    JournalRig rig;
    rig.options().segment_bytes = 4u << 20;
    rig.options().unsettled_bytes_soft = 400'000;
    ASSERT_TRUE(rig.Start().ok());
    rig.pressure() = 2;
    rig.Write("the first one waits for nothing");
    const int64_t from = rig.loop().MonoMicros();
    for (size_t bytes = 0; bytes < 10 * rig.options().frame_bytes_max; bytes += frame) {
      rig.Write(std::string(frame - kFrameHeaderBytes - 1, 'x'));
    }
    EXPECT_GT(rig.loop().MonoMicros() - from, 9'400'000) << frame;
    EXPECT_LT(rig.loop().MonoMicros() - from, 10'600'000) << frame;
  }
}

TEST(JournalPacing, WhateverIsAppendedTheUnsettledBytesStayBoundedWhereTheSettlerMovesOn) {
  // As much as can be admitted, in frames of every size, against a settler that takes a quarter of the soft bound at a
  // time and needs two seconds for it.
  for (size_t line_bytes : {100u, 2'000u, 7'000u}) {
    JournalRig rig;
    rig.options().segment_bytes = 4u << 20;
    rig.options().unsettled_bytes_soft = 400'000;
    rig.options().pending_bytes_max = 100'000;
    ASSERT_TRUE(rig.Start().ok());
    const std::string line(line_bytes, 'x');
    uint64_t largest = 0;
    Position settled = 0;
    for (int64_t turn = 1; turn <= 30'000; ++turn) {
      if (!rig.journal()->overloaded()) rig.Append(line);
      rig.loop().RunFor(1'000);
      if (turn % 2'000 == 0) {
        settled = std::min(settled + 100'000 / line_bytes, rig.journal()->durable());
        rig.journal()->Release(settled);
      }
      largest = std::max(largest, rig.journal()->unsettled_bytes());
    }
    EXPECT_GT(largest, 500'000u) << "lines of " << line_bytes;
    EXPECT_LT(largest, 1'600'000u) << "lines of " << line_bytes;
  }
}

}  // namespace
}  // namespace quipu::store
