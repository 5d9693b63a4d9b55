// Tail or damage: what is done to a journal, and what its reader makes of it.
#include "store/embedded/journal_reader.h"

#include "store/embedded/journal_testing.h"

namespace quipu::store {
namespace {

using ::testing::HasSubstr;

// 30 lines of 3,500 bytes, each in a frame of its own (3,584 bytes): 17 in segment 1, 13 in segment 2; segment 3 is
// laid out. Frame n says that n - 1 was durable.
constexpr uint64_t kFrame = 3584;
uint64_t OffsetOf(int frame_in_segment) {
  return kSegmentHeaderBytes + static_cast<uint64_t>(frame_in_segment) * kFrame;
}

void Fill(JournalRig* rig) {
  ASSERT_TRUE(rig->Start().ok());
  for (int i = 0; i < 30; ++i) rig->Write(std::string(3499, static_cast<char>('a' + i % 26)));
  rig->loop().RunFor(1'000'000);
  ASSERT_EQ(rig->Frames(1).size(), 17u);
  ASSERT_EQ(rig->Frames(2).size(), 13u);
  ASSERT_EQ(rig->Frames(3).size(), 0u);
}

struct Case {
  std::string_view name;
  void (*change)(JournalRig*);
  int lines;                // read, or -1: refused
  std::string_view damage;  // then this is said
};

const Case kCases[] = {
    {"AnUntouchedJournalIsReadToItsEnd", [](JournalRig*) {}, 30, ""},
    {"TheLastFrameWithNothingAfterItLooksTorn", [](JournalRig* r) { r->Damage(2, OffsetOf(12) + 100); }, 29, ""},
    {"TheLastFrameIsMissing",
     [](JournalRig* r) { r->disk().Overwrite(r->Segment(2), OffsetOf(12), std::string(kFrame, '\0')); }, 29, ""},
    {"TheLastFrameIsTornBehindItsHeader",
     [](JournalRig* r) { r->disk().Overwrite(r->Segment(2), OffsetOf(12) + 512, std::string(kFrame - 512, '\0')); }, 29,
     ""},
    {"TheLastFrameButOneIsDamagedAndTheLastDoesNotSayItWasDurable",
     [](JournalRig* r) {
       // As two writes in flight leave it: the later one is there, and says that only what was before both is durable.
       std::string bytes = r->disk().Content(r->Segment(2)).substr(OffsetOf(12), kFrame);
       FrameHeader h;
       ASSERT_TRUE(DecodeFrame(bytes, &h));
       h.durable -= 1;
       SealFrame(&h, bytes.data());
       r->disk().Overwrite(r->Segment(2), OffsetOf(12), bytes);
       r->Damage(2, OffsetOf(11) + 100);
     },
     28, ""},
    {"TheLastFrameButOneIsDamaged", [](JournalRig* r) { r->Damage(2, OffsetOf(11) + 100); }, -1,
     "j/0000000000000002.log: damage at offset 43520: positions 29 to 29 are missing, but the frame at offset 47104 of "
     "j/0000000000000002.log was written when they were durable"},
    {"AFrameInTheMiddleIsDamaged", [](JournalRig* r) { r->Damage(1, OffsetOf(5) + 3000); }, -1,
     "j/0000000000000001.log: damage at offset 22016: positions 6 to 6 are missing"},
    {"AFrameHeaderInTheMiddleIsDamaged", [](JournalRig* r) { r->Damage(1, OffsetOf(5)); }, -1, "offset 22016"},
    {"TheFirstFrameIsDamaged", [](JournalRig* r) { r->Damage(1, OffsetOf(0) + 70); }, -1,
     "damage at offset 4096: positions 1 to 1 are missing"},
    {"TheLastFrameOfASegmentIsDamaged", [](JournalRig* r) { r->Damage(1, OffsetOf(16) + 70); }, -1,
     "j/0000000000000001.log: damage at offset 61440: positions 17 to 17 are missing, but the frame at offset 4096 of "
     "j/0000000000000002.log"},
    {"TheFirstFrameOfTheLastSegmentIsDamaged", [](JournalRig* r) { r->Damage(2, OffsetOf(0) + 70); }, -1,
     "positions 18 to 18 are missing"},
    {"ManyFramesAreZero",
     [](JournalRig* r) { r->disk().Overwrite(r->Segment(1), OffsetOf(3), std::string(8 * kFrame, '\0')); }, -1,
     "offset 14848: positions 4 to 11 are missing"},
    {"AFrameIsReplacedByTheOneBefore",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(1));
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes.substr(OffsetOf(4), kFrame));
     },
     -1, "positions 6 to 6 are missing"},
    {"TwoFramesAreSwapped",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(1));
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes.substr(OffsetOf(6), kFrame));
       r->disk().Overwrite(r->Segment(1), OffsetOf(6), bytes.substr(OffsetOf(5), kFrame));
     },
     -1, "positions 6 to 6 are missing"},
    {"AFrameIsReplacedByOneOfAnotherSegment",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(2));
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes.substr(OffsetOf(5), kFrame));
     },
     -1, "positions 6 to 6 are missing"},
    {"AFrameFollowsAnotherOneThanItSays",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(1)).substr(OffsetOf(5), kFrame);
       FrameHeader h;
       ASSERT_TRUE(DecodeFrame(bytes, &h));
       h.previous_crc ^= 1;
       SealFrame(&h, bytes.data());
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes);
     },
     -1, "positions 6 to 6 are missing"},
    {"AFrameLeavesAPositionOut",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(1)).substr(OffsetOf(5), kFrame);
       FrameHeader h;
       ASSERT_TRUE(DecodeFrame(bytes, &h));
       ++h.first;
       SealFrame(&h, bytes.data());
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes);
     },
     -1, "positions 6 to 6 are missing"},
    {"AFrameIsOfAnotherShard",
     [](JournalRig* r) {
       std::string bytes = r->disk().Content(r->Segment(1)).substr(OffsetOf(5), kFrame);
       FrameHeader h;
       ASSERT_TRUE(DecodeFrame(bytes, &h));
       h.shard = 0;
       SealFrame(&h, bytes.data());
       r->disk().Overwrite(r->Segment(1), OffsetOf(5), bytes);
     },
     -1, "positions 6 to 6 are missing"},
    {"FramesThatAreStaleStandBeyondTheEnd",
     [](JournalRig* r) {
       // What another life of the file left there.
       std::string bytes = r->disk().Content(r->Segment(1));
       r->disk().Overwrite(r->Segment(2), OffsetOf(13), bytes.substr(OffsetOf(0), 4 * kFrame));
       r->disk().Overwrite(r->Segment(3), OffsetOf(0), bytes.substr(OffsetOf(0), 17 * kFrame));
     },
     30, ""},
    {"ZerosFollow", [](JournalRig* r) { r->disk().Overwrite(r->Segment(3), 4096, std::string(60'000, '\0')); }, 30, ""},
    {"GarbageFollows", [](JournalRig* r) { r->disk().Overwrite(r->Segment(3), 4096, std::string(60'000, 'Q')); }, 30,
     ""},
    {"TheSegmentLaidOutLastIsMissing", [](JournalRig* r) { r->disk().Lose(r->Segment(3)); }, 30, ""},
    {"TheFirstSegmentIsMissing", [](JournalRig* r) { r->disk().Lose(r->Segment(1)); }, -1,
     "j/0000000000000002.log: the journal begins at position 18, but only up to 0 is settled"},
    {"ASegmentInTheMiddleIsMissing",
     [](JournalRig* r) {
       for (int i = 0; i < 10; ++i) r->Write(std::string(3499, 'x'));
       r->disk().Lose(r->Segment(2));
     },
     -1, "j/0000000000000002.log: missing, with the positions from 18 on"},
    {"TheLastSegmentWithFramesIsMissing", [](JournalRig* r) { r->disk().Lose(r->Segment(2)); }, -1,
     "j/0000000000000002.log: missing, with the positions from 18 on"},
    {"AllSegmentsWithFramesAreMissing",
     [](JournalRig* r) {
       r->disk().Lose(r->Segment(1));
       r->disk().Lose(r->Segment(2));
     },
     -1, "j/0000000000000002.log: missing, with the positions from 1 on"},
    {"TheUnsettledSegmentIsMissing",
     [](JournalRig* r) {
       r->settled() = 17;
       r->disk().Lose(r->Segment(1));
       r->disk().Lose(r->Segment(2));
     },
     -1, "j/0000000000000002.log: missing, with the positions from 18 on"},
    {"ASegmentIsCutInItsFrames", [](JournalRig* r) { r->disk().Cut(r->Segment(2), OffsetOf(6)); }, -1,
     "j/0000000000000002.log: the file has 25600 bytes, its header says 65536"},
    {"ASegmentIsCutBeyondItsFrames", [](JournalRig* r) { r->disk().Cut(r->Segment(2), 60'000); }, -1,
     "the file has 60000 bytes, its header says 65536"},
    {"ASegmentIsCutInItsHeader", [](JournalRig* r) { r->disk().Cut(r->Segment(2), 4000); }, -1, "no segment header"},
    {"ASegmentIsEmpty", [](JournalRig* r) { r->disk().Cut(r->Segment(2), 0); }, -1,
     "j/0000000000000002.log: no segment header"},
    {"AHeaderIsDamaged", [](JournalRig* r) { r->Damage(2, 20); }, -1,
     "j/0000000000000002.log: the segment header's checksum fails"},
    {"AHeadersUnusedEndIsDamaged", [](JournalRig* r) { r->Damage(2, 4000); }, -1,
     "the segment header's checksum fails"},
    {"TheHeaderOfTheSegmentLaidOutLastIsDamaged", [](JournalRig* r) { r->Damage(3, 0); }, -1,
     "j/0000000000000003.log: no segment header"},
    {"TwoSegmentsAreSwapped", [](JournalRig* r) { r->disk().SwapFiles(r->Segment(1), r->Segment(2)); }, -1,
     "j/0000000000000001.log: the header says segment 2 of shard 3, expected segment 1 of shard 3 of this store"},
    {"ASegmentOfAnotherStore",
     [](JournalRig* r) {
       std::string block(kSegmentHeaderBytes, '\0');
       EncodeSegmentHeader({.store_id = {11, 23}, .shard = 3, .segment = 2, .bytes = 64u << 10}, block.data());
       r->disk().Overwrite(r->Segment(2), 0, block);
     },
     -1, "expected segment 2 of shard 3 of this store"},
    {"ASegmentOfAStoreWithAnIdOfTheSameEnd",
     [](JournalRig* r) {
       std::string block(kSegmentHeaderBytes, '\0');
       EncodeSegmentHeader({.store_id = {10, 22}, .shard = 3, .segment = 2, .bytes = 64u << 10}, block.data());
       r->disk().Overwrite(r->Segment(2), 0, block);
     },
     -1, "expected segment 2 of shard 3 of this store"},
    {"ASegmentOfAnotherShard",
     [](JournalRig* r) {
       std::string block(kSegmentHeaderBytes, '\0');
       EncodeSegmentHeader({.store_id = {11, 22}, .shard = 2, .segment = 2, .bytes = 64u << 10}, block.data());
       r->disk().Overwrite(r->Segment(2), 0, block);
     },
     -1, "the header says segment 2 of shard 2"},
    {"MoreIsSettledThanTheJournalHas", [](JournalRig* r) { r->settled() = 31; }, -1,
     "j: the journal ends at position 30, but 31 is settled"},
    {"EverythingIsSettled", [](JournalRig* r) { r->settled() = 30; }, 0, ""},
    {"AFrameIsSettledInPart", [](JournalRig* r) { r->settled() = 20; }, 10, ""},
    {"SettledFramesAreDamagedAndMissing",
     [](JournalRig* r) {
       r->settled() = 17;
       r->disk().Overwrite(r->Segment(1), OffsetOf(3), std::string(8 * kFrame, '\0'));
     },
     13, ""},
    {"ASettledSegmentIsMissing",
     [](JournalRig* r) {
       for (int i = 0; i < 10; ++i) r->Write(std::string(3499, 'x'));
       r->settled() = 36;
       r->disk().Lose(r->Segment(2));
     },
     4, ""},
    {"SettledFramesOfTheSegmentThatGoesOnAreDamaged",
     [](JournalRig* r) {
       r->settled() = 20;
       r->Damage(2, OffsetOf(1) + 70);
     },
     -1, "j/0000000000000002.log: damage at offset 7680: positions 19 to 19 are missing"},
    {"OtherFilesLieThere",
     [](JournalRig* r) {
       for (const char* name : {"spare-0000000000000001.log", "prepare.tmp", "7.log", "000000000000000x.log"})
         ASSERT_TRUE(r->disk().Open(fmt::format("j/{}", name), rt::OpenMode::kCreate).ok());
     },
     30, ""},
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class JournalReader : public testing::TestWithParam<Case> {};
TEST_P(JournalReader, TellsATailFromDamage) {
  const Case& c = GetParam();
  JournalRig rig;
  Fill(&rig);
  c.change(&rig);
  rig.Crash(false);
  auto end = rig.Read();
  if (c.lines < 0) {
    EXPECT_EQ(end.code(), Code::kDataLoss);
    EXPECT_THAT(std::string(end.status().message()), HasSubstr(c.damage));
    return;
  }
  ASSERT_TRUE(end.ok()) << end.status().ToString();
  EXPECT_EQ(rig.lines().size(), static_cast<size_t>(c.lines));
  // And the journal goes on from there, for good.
  Position next = end->start.next;
  ASSERT_TRUE(rig.Start().ok());
  EXPECT_EQ(rig.journal()->next(), next);
  for (int i = 0; i < 25; ++i) rig.Write(std::string(2500, '.'));
  ASSERT_TRUE(rig.journal()->fence_reason().ok());
  rig.Crash(true);
  end = rig.Read();
  ASSERT_TRUE(end.ok()) << end.status().ToString();
  EXPECT_EQ(rig.lines().size(), static_cast<size_t>(c.lines) + 25);
}
INSTANTIATE_TEST_SUITE_P(Cases, JournalReader, testing::ValuesIn(kCases),
                         [](const auto& c) { return std::string(c.param.name); });

TEST(JournalEnds, AfterAnOrderlyCloseTheLastFramesAreNoTailAnyMore) {
  for (uint64_t frame : {0, 5, 12}) {
    JournalRig rig;
    Fill(&rig);
    rig.Close();
    rig.Damage(2, OffsetOf(static_cast<int>(frame)) + 100);
    EXPECT_EQ(rig.Read().code(), Code::kDataLoss) << frame;
  }
  // The empty frame itself has nothing to lose.
  JournalRig rig;
  Fill(&rig);
  rig.Close();
  rig.Damage(2, OffsetOf(13));
  ASSERT_TRUE(rig.Read().ok());
  EXPECT_EQ(rig.lines().size(), 30u);
}

TEST(JournalEnds, FramesFromBeforeACrashAreNeitherReadNorTakenForProof) {
  // Each epoch writes frames of other sizes over the torn tail of the one before, and leaves some of its own behind.
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    JournalRig rig(seed);
    rig.options().busy_gather_us = 0;
    rig.disk().plan().log_write = {.min_us = 10, .max_us = 5'000};
    std::vector<std::string> known;
    for (int epoch = 0; epoch < 6; ++epoch) {
      Status s = rig.Start();
      ASSERT_TRUE(s.ok()) << "seed " << seed << " epoch " << epoch << ": " << s.ToString();
      ASSERT_GE(rig.lines().size(), known.size());
      known.resize(rig.lines().size());
      known = rig.lines();
      size_t durable_before = known.size();
      for (uint64_t i = 0; i < 8; ++i) {
        known.push_back(std::string(100 + 400 * ((seed + i) % 7), static_cast<char>('a' + epoch)));
        rig.Append(known.back());
        rig.loop().RunFor(500);
      }
      size_t durable = rig.journal()->durable();
      ASSERT_GE(durable, durable_before);
      rig.Crash(true);
      ASSERT_TRUE(rig.Read().ok());
      ASSERT_GE(rig.lines().size(), durable);
      ASSERT_TRUE(std::equal(rig.lines().begin(), rig.lines().end(), known.begin()));
      known.resize(durable);
    }
  }
}

TEST(JournalEnds, AnEmptyFolderIsAnEmptyJournalUnlessSomethingIsSettled) {
  JournalRig rig;
  auto end = rig.Read();
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->start.next, 1u);
  EXPECT_EQ(end->start.segment, 0u);
  EXPECT_EQ(end->start.epoch, 1u);
  rig.settled() = 1;
  EXPECT_EQ(rig.Read().code(), Code::kDataLoss);
}

TEST(JournalEnds, AReadErrorIsNoDamage) {
  JournalRig rig;
  Fill(&rig);
  rig.Crash(false);
  rig.disk().Script({.call = sim::Call::kRead, .fault = sim::Fault::kError, .skip = 4});
  EXPECT_EQ(rig.Read().code(), Code::kUnavailable);
  ASSERT_TRUE(rig.Read().ok());
}

TEST(JournalEnds, WhatTheVisitorFindsWrongIsNamedByFileOffsetAndPositions) {
  JournalRig rig;
  Fill(&rig);
  auto end = ReadJournal(&rig.disk(), rig.kDir, rig.kIdentity, 0, [](const FrameHeader& h, std::string_view) {
    return h.first == 20 ? Status(Code::kDataLoss, "as the visitor says") : OkStatus();
  });
  EXPECT_EQ(end.status().message(),
            "j/0000000000000002.log: frame at offset 11264 (positions 20 to 20): as the visitor says");
}

TEST(JournalEnds, FramesThatAreSettledAreNotVisited) {
  JournalRig rig;
  Fill(&rig);
  for (Position settled : {0, 1, 17, 29, 30}) {
    Position visited = 0;
    auto end = ReadJournal(&rig.disk(), rig.kDir, rig.kIdentity, settled, [&](const FrameHeader&, std::string_view) {
      ++visited;
      return OkStatus();
    });
    ASSERT_TRUE(end.ok());
    EXPECT_EQ(visited, 30 - settled);
  }
}

TEST(JournalEnds, AStepThatDoesNotHoldEndsTheJournalAndWhatFollowsIsWiped) {
  JournalRig rig;
  Fill(&rig);
  rig.Crash(false);
  auto cut = [](const FrameHeader& h, std::string_view) {
    return h.first == 20 ? Status(Code::kConditionNotMet, "") : OkStatus();
  };
  auto end = ReadJournal(&rig.disk(), rig.kDir, rig.kIdentity, 0, cut);
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->start.next, 20u);
  EXPECT_EQ(end->cut_frames.size(), 11u);
  ASSERT_TRUE(WipeBeyond(&rig.disk(), rig.kDir, *end).ok());
  EXPECT_FALSE(rig.disk().Exists(rig.Segment(3)));
  ASSERT_TRUE(rig.Start().ok());
  EXPECT_EQ(rig.lines().size(), 19u);
  rig.Write(std::string(3499, '.'));
  rig.Crash(true);
  ASSERT_TRUE(rig.Start().ok());
  EXPECT_EQ(rig.lines().size(), 20u);
}

// Also before the first frame of a segment (the second begins at position 18), where all of that segment is beyond the
// end and nothing of the one before it.
TEST(WipeBeyond, TakesNothingBeforeTheCutWhereverThatIs) {
  for (Position first = 1; first <= 30; ++first) {
    JournalRig rig;
    Fill(&rig);
    rig.Crash(false);
    auto cut = [&](const FrameHeader& h, std::string_view) {
      return h.first == first ? Status(Code::kConditionNotMet, "") : OkStatus();
    };
    auto end = ReadJournal(&rig.disk(), rig.kDir, rig.kIdentity, 0, cut);
    ASSERT_TRUE(end.ok()) << first;
    EXPECT_EQ(end->start.next, first);
    ASSERT_TRUE(WipeBeyond(&rig.disk(), rig.kDir, *end).ok()) << first;
    Status started = rig.Start();
    ASSERT_TRUE(started.ok()) << first << ": " << started.ToString();
    EXPECT_EQ(rig.lines().size(), first - 1);
    rig.Write(std::string(3499, '.'));
    rig.Crash(true);
    ASSERT_TRUE(rig.Start().ok()) << first;
    EXPECT_EQ(rig.lines().size(), first);
  }
}

TEST(ReadFrames, VisitsExactlyTheFramesOfTheRangeOrSaysWhatIsMissing) {
  JournalRig rig;
  Fill(&rig);
  std::vector<Position> seen;
  auto read = [&](std::vector<uint64_t> segments, Position after, Position through) {
    seen.clear();
    return ReadFrames(&rig.disk(), rig.kDir, segments, after, through, [&](const FrameHeader& h, std::string_view) {
      seen.push_back(h.first);
      return OkStatus();
    });
  };
  ASSERT_TRUE(read({1, 2}, 15, 20).ok());
  EXPECT_EQ(seen, (std::vector<Position>{16, 17, 18, 19, 20}));
  ASSERT_TRUE(read({2}, 17, 30).ok());
  EXPECT_EQ(seen.size(), 13u);
  EXPECT_EQ(read({2}, 16, 30).message(), "j: no frame begins at position 17, but 30 was durable");
  EXPECT_EQ(read({1}, 0, 18).message(), "j: no frame begins at position 18, but 18 was durable");
  rig.Damage(1, OffsetOf(4) + 70);
  Status s = read({1, 2}, 0, 20);
  EXPECT_EQ(s.code(), Code::kDataLoss);
  EXPECT_EQ(s.message(), "j: no frame begins at position 5, but 20 was durable");
}

}  // namespace
}  // namespace quipu::store
