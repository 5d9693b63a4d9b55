#include "sim/sim_disk.h"

#include <gtest/gtest.h>

#include <set>

#include "sim/sim_loop.h"

namespace quipu::sim {
namespace {

using std::literals::operator""sv;

constexpr size_t kPage = kPageBytes;

struct World {
  explicit World(uint64_t seed) : loop(&clock, &trace, seed), disk(&clock, &trace, seed) {}
  SimClock clock;
  Trace trace;
  SimLoop loop;
  SimDisk disk;
};

std::string Fill(char c, size_t n = kPage) { return std::string(n, c); }

std::unique_ptr<rt::File> MustOpen(SimDisk* disk, const std::string& path, rt::OpenMode mode = rt::OpenMode::kCreate) {
  Result<std::unique_ptr<rt::File>> file = disk->Open(path, mode);
  EXPECT_TRUE(file.ok()) << file.status().ToString();
  return std::move(file).value();
}

void MustBeOk(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

std::string ReadAll(rt::File* file) {
  std::string bytes(static_cast<size_t>(file->Size().value()), '?');
  EXPECT_EQ(file->ReadAt(0, bytes).value(), bytes.size());
  return bytes;
}

// A file of `pages` pages of 'o', durable with its name.
void MakeDurable(SimDisk* disk, const std::string& path, size_t pages) {
  auto file = MustOpen(disk, path);
  MustBeOk(file->WriteAt(0, Fill('o', pages * kPage)));
  MustBeOk(file->Sync());
  MustBeOk(disk->SyncDir("/"));
}

// Runs one experiment under many seeds and collects what the file holds after the power loss.
std::set<std::string> Outcomes(const std::function<void(World*)>& prepare, const std::string& path,
                               uint64_t seeds = 300) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    World world(seed);
    world.disk.plan().write_back = 0;
    prepare(&world);
    world.disk.PowerOff();
    world.disk.PowerLoss();
    outcomes.insert(world.disk.Exists(path) ? world.disk.Content(path) : "(no file)");
  }
  return outcomes;
}

TEST(SimDiskTest, ReadsSeeUnsyncedWritesAtOnce) {
  World world(1);
  auto file = MustOpen(&world.disk, "/f");
  MustBeOk(file->WriteAt(kPage - 1, "abc"sv));
  EXPECT_EQ(file->Size().value(), kPage + 2);
  std::string bytes(3, '?');
  EXPECT_EQ(file->ReadAt(kPage - 1, bytes).value(), 3u);
  EXPECT_EQ(bytes, "abc");
  EXPECT_EQ(file->ReadAt(kPage + 1, bytes).value(), 1u);
  EXPECT_EQ(file->ReadAt(kPage + 2, bytes).value(), 0u);
}

TEST(SimDiskTest, ASyncedWriteSurvivesEveryPowerLoss) {
  const auto outcomes = Outcomes(
      [](World* w) {
        MakeDurable(&w->disk, "/f", 2);
        auto file = MustOpen(&w->disk, "/f");
        MustBeOk(file->WriteAt(kPage, Fill('n')));
        MustBeOk(file->Sync());
      },
      "/f");
  EXPECT_EQ(outcomes, (std::set<std::string>{Fill('o') + Fill('n')}));
}

TEST(SimDiskTest, AnUnsyncedPageIsKeptLostOrTornBySectors) {
  const auto outcomes = Outcomes(
      [](World* w) {
        MakeDurable(&w->disk, "/f", 1);
        MustBeOk(MustOpen(&w->disk, "/f")->WriteAt(0, Fill('n')));
      },
      "/f");
  EXPECT_TRUE(outcomes.contains(Fill('o')));
  EXPECT_TRUE(outcomes.contains(Fill('n')));
  EXPECT_GT(outcomes.size(), 10u) << "no torn pages";
  for (const std::string& bytes : outcomes) {
    ASSERT_EQ(bytes.size(), kPage);
    for (size_t s = 0; s < kSectorsPerPage; ++s) {
      const std::string sector = bytes.substr(s * kSectorBytes, kSectorBytes);
      EXPECT_TRUE(sector == Fill('o', kSectorBytes) || sector == Fill('n', kSectorBytes));
    }
  }
}

TEST(SimDiskTest, UnsyncedPagesReachTheMediumInAnyOrder) {
  const auto outcomes = Outcomes(
      [](World* w) {
        MakeDurable(&w->disk, "/f", 2);
        auto file = MustOpen(&w->disk, "/f");
        MustBeOk(file->WriteAt(0, Fill('n')));
        MustBeOk(file->WriteAt(kPage, Fill('n')));
      },
      "/f");
  EXPECT_TRUE(outcomes.contains(Fill('n') + Fill('o')));
  EXPECT_TRUE(outcomes.contains(Fill('o') + Fill('n')));
}

TEST(SimDiskTest, AGrownFileShowsItsOldSizeOrNewDataOrZerosOrGarbage) {
  bool old_size = false, data = false, zeros = false, garbage = false, between = false;
  for (const std::string& bytes : Outcomes(
           [](World* w) {
             MakeDurable(&w->disk, "/f", 1);
             MustBeOk(MustOpen(&w->disk, "/f")->WriteAt(kPage, Fill('n')));
           },
           "/f")) {
    EXPECT_EQ(bytes.substr(0, kPage), Fill('o')) << "the synced page moved";
    const std::string rest = bytes.substr(kPage);
    if (rest.empty()) {
      old_size = true;
    } else if (rest.size() < kPage) {
      between = true;
    } else if (rest == Fill('n')) {
      data = true;
    } else if (rest == Fill('\0')) {
      zeros = true;
    } else if (rest.find_first_not_of(std::string("n\0", 2)) != std::string::npos) {
      garbage = true;
    }
  }
  EXPECT_TRUE(old_size && data && zeros && garbage && between) << old_size << data << zeros << garbage << between;
}

TEST(SimDiskTest, ThePageCacheIsWrittenBackEarlyNowAndThen) {
  uint64_t kept = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    MakeDurable(&world.disk, "/f", 1);
    world.disk.plan().write_back = 1;
    auto file = MustOpen(&world.disk, "/f");
    MustBeOk(file->WriteAt(0, Fill('n')));
    world.disk.plan().write_back = 0;
    MustBeOk(file->WriteAt(0, Fill('m')));
    world.disk.PowerLoss();
    if (world.disk.Content("/f") == Fill('n')) ++kept;
  }
  EXPECT_GT(kept, 5u) << "a version between the synced and the last one must be possible";
}

TEST(SimDiskTest, AFailedSyncLeavesPagesCleanAndTheirDataIsGoneAfterPowerLoss) {
  uint64_t gone = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    world.disk.plan().write_back = 0;
    MakeDurable(&world.disk, "/f", 1);
    auto file = MustOpen(&world.disk, "/f");
    MustBeOk(file->WriteAt(0, Fill('n')));
    world.disk.Script({.call = Call::kSync, .fault = Fault::kError});
    const Status failed = file->Sync();
    EXPECT_EQ(failed.code(), Code::kUnavailable);
    EXPECT_EQ(failed.message(), "sync /f: EIO (simulated)");
    EXPECT_EQ(ReadAll(file.get()), Fill('n')) << "the cache still shows the new data";
    MustBeOk(file->Sync());
    world.disk.PowerLoss();
    if (world.disk.Content("/f") == Fill('o')) ++gone;
  }
  EXPECT_GT(gone, 20u);
  EXPECT_LT(gone, 50u) << "the device wrote some pages before it failed";
}

TEST(SimDiskTest, ASyncWithoutSpaceIsStorageFullAndLosesThePagesToo) {
  World world(3);
  auto file = MustOpen(&world.disk, "/f");
  MustBeOk(file->WriteAt(0, Fill('n')));
  world.disk.Script({.call = Call::kSync, .fault = Fault::kNoSpace});
  EXPECT_EQ(file->Sync().code(), Code::kStorageFull);
}

TEST(SimDiskTest, ANewNameNeedsASyncOfItsDirectory) {
  const auto without = Outcomes(
      [](World* w) {
        auto file = MustOpen(&w->disk, "/f");
        MustBeOk(file->WriteAt(0, "x"sv));
        MustBeOk(file->Sync());
      },
      "/f");
  EXPECT_EQ(without, (std::set<std::string>{"(no file)", "x"}));
  const auto with = Outcomes(
      [](World* w) {
        auto file = MustOpen(&w->disk, "/f");
        MustBeOk(file->WriteAt(0, "x"sv));
        MustBeOk(file->Sync());
        MustBeOk(w->disk.SyncDir("/"));
      },
      "/f");
  EXPECT_EQ(with, (std::set<std::string>{"x"}));
}

TEST(SimDiskTest, ADirectoryItselfIsANameInItsParent) {
  const auto outcomes = Outcomes(
      [](World* w) {
        MustBeOk(w->disk.MakeDir("/d"));
        auto file = MustOpen(&w->disk, "/d/f");
        MustBeOk(file->WriteAt(0, "x"sv));
        MustBeOk(file->Sync());
        MustBeOk(w->disk.SyncDir("/d"));
      },
      "/d/f");
  EXPECT_EQ(outcomes, (std::set<std::string>{"(no file)", "x"}));
}

TEST(SimDiskTest, ARenameIsNotDurableWithoutSyncDirAndMayLeaveBothNames) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    World world(seed);
    MakeDurable(&world.disk, "/old", 1);
    MakeDurable(&world.disk, "/target", 0);
    MustBeOk(world.disk.Rename("/old", "/target"));
    EXPECT_FALSE(world.disk.Exists("/old"));
    EXPECT_EQ(world.disk.Content("/target"), Fill('o'));
    world.disk.PowerLoss();
    const std::string target = world.disk.Content("/target").empty() ? "empty" : "new";
    outcomes.insert(target + (world.disk.Exists("/old") ? " and old name" : ""));
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"empty and old name", "new", "new and old name"}));

  World world(1);
  MakeDurable(&world.disk, "/old", 1);
  MustBeOk(world.disk.Rename("/old", "/target"));
  MustBeOk(world.disk.SyncDir("/"));
  world.disk.PowerLoss();
  EXPECT_FALSE(world.disk.Exists("/old"));
  EXPECT_EQ(world.disk.Content("/target"), Fill('o'));
}

TEST(SimDiskTest, ARemovedFileMayComeBack) {
  const auto outcomes = Outcomes(
      [](World* w) {
        MakeDurable(&w->disk, "/f", 1);
        MustBeOk(w->disk.Remove("/f"));
      },
      "/f");
  EXPECT_EQ(outcomes, (std::set<std::string>{"(no file)", Fill('o')}));
}

TEST(SimDiskTest, AFailedDirectorySyncMakesNothingDurable) {
  std::set<bool> outcomes;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    MustOpen(&world.disk, "/f");
    world.disk.Script({.call = Call::kSyncDir});
    EXPECT_EQ(world.disk.SyncDir("/").code(), Code::kUnavailable);
    world.disk.PowerLoss();
    outcomes.insert(world.disk.Exists("/f"));
  }
  EXPECT_EQ(outcomes, (std::set<bool>{false, true}));
}

TEST(SimDiskTest, DeathOfTheProcessLosesNothingOfThePageCache) {
  World world(4);
  MustBeOk(MustOpen(&world.disk, "/f")->WriteAt(0, "unsynced"sv));
  world.disk.PowerOff();
  world.disk.Restart();
  EXPECT_EQ(world.disk.Content("/f"), "unsynced");
}

TEST(SimDiskTest, WithoutPowerEveryCallFailsAndNothingReachesTheMedium) {
  World world(5);
  MakeDurable(&world.disk, "/f", 1);
  auto file = MustOpen(&world.disk, "/f");
  world.disk.CrashAt(world.disk.calls() + 2);
  MustBeOk(file->WriteAt(0, "A"sv));
  EXPECT_FALSE(world.disk.off());
  const Status off = file->Sync();
  EXPECT_TRUE(world.disk.off());
  EXPECT_EQ(off.code(), Code::kUnavailable);
  EXPECT_EQ(off.message(), "sync /f: power is off");
  EXPECT_EQ(file->WriteAt(1, "B"sv).code(), Code::kUnavailable);
  EXPECT_EQ(world.disk.Open("/g", rt::OpenMode::kCreate).code(), Code::kUnavailable);
  EXPECT_EQ(world.disk.Remove("/f").code(), Code::kUnavailable);
  EXPECT_FALSE(world.disk.Exists("/f"));
  world.disk.PowerLoss();
  EXPECT_TRUE(world.disk.Exists("/f"));
  EXPECT_FALSE(world.disk.Exists("/g"));
  EXPECT_EQ(world.disk.Content("/f")[1], 'o');
  EXPECT_EQ(file->WriteAt(0, "C"sv).message(), "write /f: the handle is from before the restart");
}

TEST(SimDiskTest, ErrorsWorkAsScripted) {
  World world(6);
  MakeDurable(&world.disk, "/f", 1);
  auto file = MustOpen(&world.disk, "/f");
  world.disk.Script({.call = Call::kRead, .fault = Fault::kError, .skip = 1, .path_contains = "f"});
  world.disk.Script({.call = Call::kRead, .fault = Fault::kFlip, .skip = 1});
  std::string bytes(kPage, '?');
  EXPECT_TRUE(file->ReadAt(0, bytes).ok());
  EXPECT_EQ(file->ReadAt(0, bytes).status().message(), "read /f: EIO (simulated)");
  EXPECT_TRUE(file->ReadAt(0, bytes).ok());
  EXPECT_NE(bytes, Fill('o')) << "a bit was to flip on the way";
  EXPECT_EQ(ReadAll(file.get()), Fill('o')) << "and the medium was to stay as it is";
  world.disk.Script({.call = Call::kWrite, .fault = Fault::kPartial});
  EXPECT_EQ(file->WriteAt(0, Fill('n')).code(), Code::kUnavailable);
  EXPECT_EQ(world.disk.counts().faults[size_t(Call::kRead)][size_t(Fault::kError)], 1u);
  EXPECT_EQ(world.disk.counts().Faults(), 3u);
  EXPECT_EQ(world.disk.scripts_left(), 0u);
  EXPECT_EQ(world.disk.Open("/none", rt::OpenMode::kRead).code(), Code::kNotFound);
  EXPECT_EQ(world.disk.Open("/no/such", rt::OpenMode::kCreate).code(), Code::kNotFound);
}

TEST(SimDiskTest, AFullDiskTakesWhatFitsAndSaysSo) {
  World world(7);
  world.disk.plan().capacity_bytes = 4 * kPage;
  auto file = MustOpen(&world.disk, "/f");
  MustBeOk(file->WriteAt(0, Fill('n', 3 * kPage)));
  const Status full = file->WriteAt(3 * kPage, Fill('n', 2 * kPage));
  EXPECT_EQ(full.code(), Code::kStorageFull);
  EXPECT_EQ(full.message(), "write /f: ENOSPC (simulated)");
  EXPECT_EQ(file->Size().value(), 4 * kPage);
  EXPECT_EQ(world.disk.Space("/")->free_bytes, 0u);
  EXPECT_EQ(world.disk.counts().faults[size_t(Call::kWrite)][size_t(Fault::kNoSpace)], 1u);
  MustBeOk(file->WriteAt(0, Fill('m')));
  MustBeOk(world.disk.Remove("/f"));
  EXPECT_EQ(world.disk.Space("/")->free_bytes, 4 * kPage);
}

TEST(SimDiskTest, ALockIsHeldUntilItsOwnerGoesOrDies) {
  World world(8);
  auto lock = world.disk.Lock("/LOCK");
  EXPECT_TRUE(lock.ok());
  EXPECT_EQ(world.disk.Lock("//LOCK").code(), Code::kAlreadyExists);
  lock.value().reset();
  auto again = world.disk.Lock("/LOCK");
  EXPECT_TRUE(again.ok());
  world.disk.Restart();
  auto third = world.disk.Lock("/LOCK");
  EXPECT_TRUE(third.ok());
  again.value().reset();
  EXPECT_EQ(world.disk.Lock("/LOCK").code(), Code::kAlreadyExists)
      << "an old holder gave up a lock that is not its own";
}

TEST(SimDiskTest, SharedLocksGoTogetherButNotWithAnExclusiveOneAndMakeNoFile) {
  World world(8);
  EXPECT_EQ(world.disk.LockShared("/LOCK").code(), Code::kNotFound);
  auto exclusive = world.disk.Lock("/LOCK");
  EXPECT_EQ(world.disk.LockShared("/LOCK").code(), Code::kAlreadyExists);
  exclusive->reset();
  auto one = world.disk.LockShared("/LOCK");
  auto two = world.disk.LockShared("/LOCK");
  EXPECT_TRUE(one.ok() && two.ok());
  one->reset();
  EXPECT_EQ(world.disk.Lock("/LOCK").code(), Code::kAlreadyExists);
  two->reset();
  EXPECT_TRUE(world.disk.Lock("/LOCK").ok());
}

TEST(SimDiskTest, DamageToTheMediumIsSeenByEveryReader) {
  World world(9);
  MakeDurable(&world.disk, "/a", 1);
  MakeDurable(&world.disk, "/b", 2);
  world.disk.FlipBit("/a", 5, 1);
  EXPECT_EQ(world.disk.Content("/a")[5], 'o' ^ 2);
  world.disk.SwapFiles("/a", "/b");
  EXPECT_EQ(world.disk.Content("/a").size(), 2 * kPage);
  world.disk.CopyPage("/b", 0, "/a", 1);
  EXPECT_EQ(world.disk.Content("/a")[kPage + 5], 'o' ^ 2);
  world.disk.Cut("/a", 10);
  world.disk.PowerLoss();
  EXPECT_EQ(world.disk.Content("/a"), Fill('o', 10));
  world.disk.Lose("/a");
  world.disk.PowerLoss();
  EXPECT_FALSE(world.disk.Exists("/a"));
  EXPECT_EQ(world.disk.counts().damages, 5u);
}

TEST(SimDiskTest, AnImageIsACopyThatLaterWritesDoNotReach) {
  World world(10);
  MustBeOk(world.disk.MakeDir("/d"));
  MustBeOk(MustOpen(&world.disk, "/d/f")->WriteAt(0, "before"sv));
  const auto image = world.disk.Save();
  MustBeOk(MustOpen(&world.disk, "/d/f")->WriteAt(0, "after!"sv));
  world.disk.Load(*image);
  EXPECT_EQ(world.disk.Content("/d/f"), "before");
  MustBeOk(MustOpen(&world.disk, "/d/f")->WriteAt(0, "later!"sv));
  world.disk.Load(*image);
  world.disk.PowerLoss();
  EXPECT_EQ(world.disk.Content("/d/f"), "before");
  EXPECT_EQ(world.disk.Files(), (std::vector<std::pair<std::string, uint64_t>>{{"/d/f", 6}}));
}

}  // namespace
}  // namespace quipu::sim
