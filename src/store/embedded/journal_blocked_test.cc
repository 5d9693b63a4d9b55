// A journal whose next segment cannot be had: a full disk, errors, no descriptors.
#include "store/embedded/journal.h"

#include "store/embedded/journal_testing.h"
#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

TEST(JournalBlocked, AFullDiskRefusesAddsUntilThereIsRoomAgain) {
  JournalRig rig;
  ASSERT_TRUE(rig.Start().ok());
  rig.loop().RunFor(1'000'000);
  uint64_t used = 0;
  for (const auto& [path, bytes] : rig.disk().Files()) used += bytes;
  rig.disk().plan().capacity_bytes = used + 4096;
  std::string line(3000, 'x');
  int written = 0;
  while (rig.journal()->blocked().ok() && written < 100) {
    rig.Write(line);
    ++written;
    rig.loop().RunFor(100'000);
  }
  EXPECT_EQ(rig.journal()->blocked().code(), Code::kStorageFull);  // the next segment was taken, no room for another
  rig.Write(line);                                                 // what was admitted before still has its place
  EXPECT_FALSE(rig.journal()->fenced());
  uint64_t opens = rig.disk().counts().calls[static_cast<size_t>(sim::Call::kOpen)];
  for (int i = 0; i < 1000; ++i) rig.loop().RunFor(1'000);
  EXPECT_LE(rig.disk().counts().calls[static_cast<size_t>(sim::Call::kOpen)] - opens, 3u);  // tried twice a second
  rig.disk().plan().capacity_bytes = 100u << 20;
  EXPECT_TRUE(rig.RunUntil([&] { return rig.journal()->blocked().ok(); }));
  for (int i = 0; i < 60; ++i) rig.Write(line);
  rig.Close();
  ASSERT_TRUE(rig.Start().ok());
  EXPECT_EQ(rig.lines().size(), static_cast<size_t>(written) + 61);
}

TEST(JournalBlocked, AnErrorThatIsNoFullDiskIsSaidWithItsCallAndPathAndTriedAgain) {
  struct Case {
    sim::ScriptedFault fault;
    std::string said;
  };
  const std::vector<Case> cases = {
      {{.call = sim::Call::kOpen, .path_contains = "prepare.tmp"}, "open j/prepare.tmp"},
      {{.call = sim::Call::kWrite, .path_contains = "prepare.tmp"}, "write j/prepare.tmp"},
      {{.call = sim::Call::kSync, .path_contains = "prepare.tmp"}, "sync j/prepare.tmp"},
      {{.call = sim::Call::kRename, .path_contains = "prepare.tmp"}, "rename j/prepare.tmp"},
      {{.call = sim::Call::kSyncDir}, "sync dir j"},
  };
  for (const Case& c : cases) {
    JournalRig rig;
    ASSERT_TRUE(rig.Start().ok());
    rig.loop().RunFor(1'000'000);
    rig.disk().Script(c.fault);
    std::string line(3000, 'x');
    int written = 0;
    while (rig.journal()->blocked().ok() && written < 100) rig.Write(line), ++written;
    EXPECT_EQ(rig.journal()->blocked().code(), Code::kUnavailable) << c.said;
    EXPECT_NE(std::string(rig.journal()->blocked().message()).find(c.said), std::string::npos)
        << rig.journal()->blocked().ToString();
    rig.Write(line);  // what was admitted before still has its place
    EXPECT_TRUE(rig.RunUntil([&] { return rig.journal()->blocked().ok(); }));
    for (int i = 0; i < 60; ++i) rig.Write(line);
    rig.Crash(true);
    ASSERT_TRUE(rig.Start().ok());
    EXPECT_EQ(rig.lines().size(), static_cast<size_t>(written) + 61) << c.said;
  }
}

TEST(JournalBlocked, ASegmentThatCannotBeOpenedHoldsFramesBackAndLosesNothing) {
  JournalRig rig;
  ASSERT_TRUE(rig.Start().ok());
  rig.loop().RunFor(1'000'000);
  for (int i = 0; i < 3; ++i) {
    rig.disk().Script({.call = sim::Call::kOpen, .path_contains = JournalRig::Segment(2)});
  }
  const std::string line(3000, 'x');
  int appended = 0;
  while (rig.journal()->blocked().ok() && appended < 100) {
    rig.Append(line);
    rig.loop().RunFor(10'000);
    ++appended;
  }
  EXPECT_EQ(rig.journal()->blocked().code(), Code::kUnavailable);
  EXPECT_NE(std::string(rig.journal()->blocked().message()).find("open " + JournalRig::Segment(2)), std::string::npos);
  EXPECT_EQ(rig.journal()->durable(), static_cast<Position>(appended - 1));
  rig.Append("behind it, and in no hurry", false);
  rig.loop().RunFor(900'000);
  EXPECT_EQ(rig.disk().scripts_left(), 1u) << "tried twice a second";
  EXPECT_FALSE(rig.journal()->fenced());
  EXPECT_TRUE(rig.RunUntil([&] { return rig.journal()->durable() == static_cast<Position>(appended + 1); }));
  EXPECT_TRUE(rig.journal()->blocked().ok());
  for (int i = 0; i < 60; ++i) rig.Write(line);
  rig.Crash(true);
  ASSERT_TRUE(rig.Start().ok());
  EXPECT_EQ(rig.lines().size(), static_cast<size_t>(appended) + 61);
}

TEST(JournalBlocked, CloseWhereTheNextSegmentCannotBeOpenedEndsAndSaysWhy) {
  JournalRig rig;
  ASSERT_TRUE(rig.Start().ok());
  rig.loop().RunFor(1'000'000);
  for (int i = 0; i < 20; ++i) {
    rig.disk().Script({.call = sim::Call::kOpen, .path_contains = JournalRig::Segment(2)});
  }
  std::string line(3000, 'x');
  for (int i = 0; i < 60; ++i) rig.Append(line);
  bool closed = false;
  rig.journal()->Close([&] { closed = true; });
  EXPECT_TRUE(rig.RunUntil([&] { return closed; }));
  EXPECT_EQ(rig.journal()->fence_reason().code(), Code::kUnavailable);
  EXPECT_NE(std::string(rig.journal()->fence_reason().message()).find(JournalRig::Segment(2)), std::string::npos);
  EXPECT_LT(rig.journal()->durable(), 60u);
}

TEST(JournalBlocked, ALaidOutSegmentThatIsGoneFences) {
  JournalRig rig;
  ASSERT_TRUE(rig.Start().ok());
  rig.loop().RunFor(1'000'000);
  ASSERT_TRUE(rig.disk().Remove(JournalRig::Segment(2)).ok());
  std::string line(3000, 'x');
  for (int i = 0; i < 60; ++i) rig.Append(line);
  EXPECT_TRUE(rig.RunUntil([&] { return rig.journal()->fenced(); }));
  EXPECT_EQ(rig.journal()->fence_reason().code(), Code::kNotFound);
}

TEST(JournalBlocked, ASpareThatCannotBeOpenedIsKeptAndOneThatFailsLaterLeavesNothingBehind) {
  for (sim::Call call : {sim::Call::kOpen, sim::Call::kWrite, sim::Call::kSync, sim::Call::kRename}) {
    JournalRig rig;
    ASSERT_TRUE(rig.Start().ok());
    std::string line(3000, 'x');
    for (int i = 0; i < 90; ++i) rig.settled() = rig.Write(line);
    rig.journal()->Release(rig.settled());
    rig.loop().RunFor(1'000'000);
    const size_t files = rig.disk().Files().size();
    rig.disk().Script({.call = call, .path_contains = "spare"});
    while (rig.journal()->blocked().ok()) rig.Write(line);
    EXPECT_TRUE(rig.RunUntil([&] { return rig.journal()->blocked().ok(); }));
    // A spare has become the next segment; what broke on the way is removed.
    EXPECT_EQ(rig.disk().Files().size(), files - (call == sim::Call::kOpen ? 0 : 1)) << static_cast<int>(call);
    for (int i = 0; i < 25; ++i) rig.Write(line);
    rig.loop().RunFor(1'000'000);
    // The one after it is the other spare, or a new file.
    EXPECT_EQ(rig.disk().Files().size(), files) << static_cast<int>(call);
  }
}

TEST(JournalBlocked, CloseOnAFullDiskEndsAndSaysWhy) {
  JournalRig rig;
  ASSERT_TRUE(rig.Start().ok());
  rig.loop().RunFor(1'000'000);
  rig.disk().plan().capacity_bytes = 0;
  std::string line(3000, 'x');
  for (int i = 0; i < 60; ++i) rig.Append(line);
  bool closed = false;
  rig.journal()->Close([&] { closed = true; });
  EXPECT_TRUE(rig.RunUntil([&] { return closed; }));
  EXPECT_EQ(rig.journal()->fence_reason().code(), Code::kStorageFull);
  EXPECT_LT(rig.journal()->durable(), 60u);
}

TEST(JournalBlocked, WhereTheDiskGivesNoFileAddsAreRefusedWithThatAndTakenAgainWhenItDoes) {
  World w;
  ASSERT_TRUE(w.Start().ok());
  w.loop().RunFor(1'000'000);
  for (int i = 0; i < 3; ++i) w.disk().Script({.call = sim::Call::kOpen, .path_contains = "prepare.tmp"});
  const std::string name(1000, 'n');
  int64_t added = 0;
  Op op;
  while ((op = w.Add(name, 1, fmt::format("t{}", added))).code == Code::kOk && added < 5000) ++added;
  EXPECT_EQ(op.code, Code::kUnavailable) << "not a full disk, and nothing of unknown effect";
  const StoreInfo info = w.store()->Info();
  EXPECT_FALSE(info.fenced);
  EXPECT_EQ(info.blocked.code(), Code::kUnavailable);
  EXPECT_NE(info.blocked.message().find("prepare.tmp"), std::string_view::npos) << info.blocked.ToString();
  EXPECT_EQ(w.Get(name).value, added);
  EXPECT_TRUE(w.Add(name, 1, "t0").replayed);
  w.loop().RunFor(2'000'000);
  EXPECT_TRUE(w.store()->Info().blocked.ok());
  EXPECT_EQ(w.Add(name, 1, fmt::format("t{}", added)).value, added + 1);
  w.Crash(World::End::kPowerLoss);
  ASSERT_TRUE(w.Start().ok());
  EXPECT_EQ(w.Get(name).value, added + 1);
}

}  // namespace
}  // namespace quipu::store
