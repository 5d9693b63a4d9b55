// LogFile of the simulated disk: durable when done, torn when not.
#include <gtest/gtest.h>

#include <set>

#include "sim/sim_disk.h"
#include "sim/sim_loop.h"

namespace quipu::sim {
namespace {

constexpr size_t kPage = kPageBytes;

struct alignas(kPageBytes) Block {
  char bytes[kPageBytes];
};

// A durable, laid-out log of four pages, and three writes to it.
struct World {
  explicit World(uint64_t seed, size_t alignment = kPage)
      : loop(&clock, &trace, seed), disk(&clock, &trace, seed, alignment) {
    auto file = disk.Open("/log", rt::OpenMode::kCreate).value();
    EXPECT_TRUE(file->WriteAt(0, std::string(4 * kPage, '\0')).ok());
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_TRUE(disk.SyncDir("/").ok());
    log = disk.OpenLog("/log", &loop).value();
    for (int i = 0; i < 3; ++i) {
      std::fill_n(blocks[i].bytes, kPage, static_cast<char>('a' + i));
      ops[i].offset = static_cast<uint64_t>(i) * kPage;
      ops[i].data = {blocks[i].bytes, kPage};
      ops[i].owner = this;
      ops[i].on_done = [](rt::LogFile::WriteOp* op) {
        auto* world = static_cast<World*>(op->owner);
        world->done.push_back(static_cast<int>(op - world->ops));
      };
    }
  }
  ~World() {
    EXPECT_TRUE(done.size() == 3 || started == 0 || disk.counts().power_losses + disk.counts().process_deaths > 0);
  }

  void Start(int n) {
    for (; started < n; ++started) log->Write(&ops[started]);
  }
  // "ab." = the first two pages hold what was written, the third is still zero; '?' anything else.
  std::string Pages() const {
    const std::string bytes = disk.Content("/log");
    std::string result;
    for (size_t i = 0; i < 3; ++i) {
      const std::string page = bytes.substr(i * kPage, kPage);
      if (page == std::string(kPage, '\0')) {
        result += '.';
      } else {
        result += page == std::string(kPage, static_cast<char>('a' + i)) ? page[0] : '?';
      }
    }
    return result;
  }

  SimClock clock;
  Trace trace;
  SimLoop loop;
  SimDisk disk;
  std::unique_ptr<rt::LogFile> log;
  Block blocks[3];
  rt::LogFile::WriteOp ops[3];
  std::vector<int> done;
  int started = 0;
};

TEST(SimLogTest, AWriteIsDurableWhenItIsDoneAndNeverDoneInsideTheCall) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    world.Start(3);
    EXPECT_TRUE(world.done.empty());
    world.loop.RunFor(1'000'000);
    EXPECT_EQ(world.done.size(), 3u);
    world.disk.PowerLoss();
    EXPECT_EQ(world.Pages(), "abc");
  }
}

TEST(SimLogTest, WritesInFlightCompleteInAnyOrder) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    World world(seed);
    world.Start(3);
    world.loop.RunFor(1'000'000);
    orders.insert(world.done);
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(SimLogTest, PowerLossKeepsLosesOrTearsEachWriteInFlight) {
  std::set<std::string> outcomes;
  uint64_t torn = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    World world(seed);
    world.Start(3);
    world.disk.PowerOff();
    world.disk.PowerLoss();
    outcomes.insert(world.Pages());
    torn += world.disk.counts().log_writes_torn;
  }
  EXPECT_TRUE(outcomes.contains("abc") && outcomes.contains("...") && outcomes.contains("..c") &&
              outcomes.contains("?b."));
  EXPECT_GT(torn, 100u);
}

TEST(SimLogTest, AWriteThatPowerGoesWithMayBeOnTheMediumToo) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    World world(seed);
    world.disk.CrashAt(world.disk.calls() + 1);
    world.Start(1);
    world.loop.RunFor(1'000'000);
    EXPECT_EQ(world.done.size(), 1u);
    EXPECT_EQ(world.ops[0].status.message(), "log write /log: power is off");
    world.disk.PowerLoss();
    outcomes.insert(world.Pages());
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"...", "a..", "?.."}));
}

TEST(SimLogTest, WritesStartedWithoutPowerFailAndLeaveNothing) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    World world(seed);
    world.disk.PowerOff();
    world.Start(3);
    world.loop.RunFor(1'000'000);
    EXPECT_EQ(world.done.size(), 3u);
    EXPECT_EQ(world.ops[2].status.code(), Code::kUnavailable);
    world.disk.PowerLoss();
    EXPECT_EQ(world.Pages(), "...");
  }
}

TEST(SimLogTest, AFailedWriteLeavesNothingAndAPartialOneLeavesSectors) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    World world(seed);
    world.disk.Script({.call = Call::kLogWrite, .fault = Fault::kError});
    world.disk.Script({.call = Call::kLogWrite, .fault = Fault::kPartial});
    world.Start(3);
    world.loop.RunFor(1'000'000);
    EXPECT_EQ(world.ops[0].status.message(), "log write /log: EIO (simulated)");
    EXPECT_EQ(world.ops[1].status.code(), Code::kUnavailable);
    EXPECT_TRUE(world.ops[2].status.ok());
    outcomes.insert(world.Pages());
  }
  EXPECT_TRUE(outcomes.contains(".?c"));
  for (const std::string& pages : outcomes) {
    EXPECT_EQ(pages[0], '.');
    EXPECT_EQ(pages[2], 'c');
  }
}

TEST(SimLogTest, AStallDelaysOneWriteAndNotTheOthers) {
  World world(1);
  world.disk.plan().log_write.stall = 1;
  world.Start(1);
  world.disk.plan().log_write.stall = 0;
  world.Start(3);
  world.loop.RunFor(500'000);
  EXPECT_EQ(std::set<int>(world.done.begin(), world.done.end()), (std::set<int>{1, 2}));
  world.loop.RunFor(40'000'000);
  EXPECT_EQ(world.done.size(), 3u);
}

TEST(SimLogTest, DeathOfTheProcessLeavesTheBeginningsOfWritesInFlightInThePageCache) {
  std::set<std::string> outcomes, after_power_loss;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(seed);
    world.Start(1);
    world.disk.Restart();
    const std::string pages = world.Pages();
    outcomes.insert(pages);
    world.disk.PowerLoss();
    if (pages == "a..") after_power_loss.insert(world.Pages());
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"...", "?..", "a.."}));
  EXPECT_TRUE(after_power_loss.contains("..."));
  EXPECT_TRUE(after_power_loss.contains("a.."));
}

TEST(SimLogTest, AWriteBeyondTheLaidOutSizeIsRefused) {
  World world(1);
  world.ops[0].offset = 4 * kPage;
  world.Start(3);
  world.loop.RunFor(1'000'000);
  EXPECT_EQ(world.ops[0].status.message(), "log write /log: ends at 20480, beyond the laid-out size 16384");
}

TEST(SimLogTest, WithSmallBlocksAPageHoldsOldAndNewSectors) {
  World world(1, 512);
  EXPECT_EQ(world.log->alignment(), 512u);
  world.Start(3);
  world.loop.RunFor(1'000'000);
  std::fill_n(world.blocks[0].bytes, 512, 'z');
  world.ops[0].offset = 512;
  world.ops[0].data = {world.blocks[0].bytes, 512};
  world.log->Write(&world.ops[0]);
  world.loop.RunFor(1'000'000);
  world.disk.PowerLoss();
  const std::string bytes = world.disk.Content("/log");
  EXPECT_EQ(bytes.substr(0, 512), std::string(512, 'a'));
  EXPECT_EQ(bytes.substr(512, 512), std::string(512, 'z'));
  EXPECT_EQ(bytes.substr(1024, 512), std::string(512, 'a'));
}

// Everything at once, from a seed: the trace must not depend on anything but the seed.
uint64_t RunMix(uint64_t seed) {
  SimClock clock;
  Trace trace;
  SimLoop loop(&clock, &trace, seed);
  SimDisk disk(&clock, &trace, seed);
  disk.plan().write_error = disk.plan().sync_error = disk.plan().open_error = disk.plan().no_space = 0.05;
  SimRandom random(seed, "test");
  for (int life = 0; life < 20; ++life) {
    disk.CrashAt(disk.calls() + 1 + random.Below(100));
    while (!disk.off()) {
      const std::string path = "/f" + std::to_string(random.Below(4));
      auto file = disk.Open(path, rt::OpenMode::kCreate);
      if (!file.ok()) continue;
      const std::string bytes(static_cast<size_t>(random.Skewed(20000)), static_cast<char>('a' + random.Below(26)));
      file.value()->WriteAt(random.Below(50000), bytes).Ignore("the mix goes on");
      if (random.Chance(0.5)) file.value()->Sync().Ignore("the mix goes on");
      if (random.Chance(0.3)) disk.SyncDir("/").Ignore("the mix goes on");
      if (random.Chance(0.2)) disk.Rename(path, "/f" + std::to_string(random.Below(4))).Ignore("the mix goes on");
    }
    disk.PowerLoss();
    for (const auto& [path, size] : disk.Files()) {
      trace.MixText(path);
      trace.MixText(disk.Content(path));
    }
  }
  return trace.hash();
}

TEST(SimLogTest, OneSeedIsOneRunAndAnotherSeedAnother) {
  EXPECT_EQ(RunMix(1), RunMix(1));
  EXPECT_NE(RunMix(1), RunMix(2));
}

}  // namespace
}  // namespace quipu::sim
