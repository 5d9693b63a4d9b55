// Sources in the engine: what comes back after each kind of end, and how many there may be.
#include <gtest/gtest.h>

#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

constexpr SourceId kAnchor{1, 1};

// A step without counts, of a reader that is new.
Batch Take(EventStore* store, sim::SimLoop* loop, SourceId id, uint64_t from, uint64_t to,
           std::span<const SourceMark> marks = {}) {
  const SourceStep step{.id = id,
                        .anchor = kAnchor,
                        .fingerprint = {to, to},
                        .from = from,
                        .to = to,
                        .label = "log",
                        .reader = SourceReader::kNew,
                        .marks = marks};
  Batch batch;
  bool done = false;
  batch.source = &step;
  batch.owner = &done;
  batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
  store->Submit(&batch);
  EXPECT_TRUE(loop->RunUntil([&] { return done; }, loop->MonoMicros() + 10'000'000));
  return batch;
}

std::vector<SourceState> Sources(World* world) {
  std::vector<SourceState> sources;
  bool done = false;
  world->store()->FindSources(kAnchor, [&](Result<std::vector<SourceState>> found) {
    sources = found.value();
    done = true;
  });
  world->Wait(&done);
  return sources;
}

TEST(Sources, ComeBackWithTheirMarksAndEndsFromTheJournalAndFromTheRuns) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const std::vector<SourceMark> marks = {{.offset = 5, .fingerprint = {7, 8}, .taken = 1, .refused = 2},
                                         {.offset = 10, .fingerprint = {9, 10}, .taken = 2, .refused = 3}};
  EXPECT_EQ(Take(world.store(), &world.loop(), {5, 5}, 0, 10, marks).code, Code::kOk);
  EXPECT_EQ(Take(world.store(), &world.loop(), {5, 5}, 10, 20).code, Code::kOk);
  const std::vector<SourceState> before = Sources(&world);
  ASSERT_EQ(before.size(), 1u);
  EXPECT_EQ(before[0].marks, marks);
  ASSERT_EQ(before[0].ends.size(), 1u);
  EXPECT_EQ(before[0].ends[0].offset, 10u);
  world.Crash(World::End::kPowerLoss);
  ASSERT_TRUE(world.Start().ok());
  EXPECT_EQ(Sources(&world), before) << "from the journal";
  world.Settle();
  world.Stop();
  ASSERT_TRUE(world.Start().ok());
  EXPECT_EQ(Sources(&world), before) << "from the sorted runs";
}

// The room that is reserved for a step holds a source with all that it may have.
TEST(Sources, OfTheLargestSizeFitIntoTheirStep) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  std::vector<SourceMark> marks;
  for (uint64_t i = 1; i <= kSourceMarksMax; ++i) {
    marks.push_back({.offset = kSourceOffsetMax / 128 * i,
                     .fingerprint = {i, i},
                     .taken = kSourceOffsetMax / 2,
                     .refused = kSourceOffsetMax / 2});
  }
  uint64_t offset = kSourceOffsetMax / 2 + 1;
  EXPECT_EQ(Take(world.store(), &world.loop(), {5, 5}, 0, offset, marks).code, Code::kOk);
  for (size_t i = 0; i <= kSourceEndsMax + 2; ++i, ++offset) {
    EXPECT_EQ(Take(world.store(), &world.loop(), {5, 5}, offset, offset + 1).code, Code::kOk);
  }
  EXPECT_EQ(Sources(&world)[0].ends.size(), kSourceEndsMax);
}

TEST(Sources, ANewOneIsRefusedWhereThereAreTooManyAndTheOldOnesGoOn) {
  World world;
  world.options().shard.sources_max = 2;
  ASSERT_TRUE(world.Start().ok());
  const auto take = [&](uint64_t id, uint64_t from, uint64_t to) {
    return Take(world.store(), &world.loop(), {id, id}, from, to).code;
  };
  EXPECT_EQ(take(1, 0, 10), Code::kOk);
  EXPECT_EQ(take(2, 0, 10), Code::kOk);
  EXPECT_EQ(take(3, 0, 10), Code::kQuotaExceeded);
  EXPECT_EQ(take(3, 10, 20), Code::kConditionNotMet);
  EXPECT_EQ(take(1, 10, 20), Code::kOk);
  world.Settle();
  world.Stop();
  ASSERT_TRUE(world.Start().ok());
  EXPECT_EQ(take(3, 0, 10), Code::kQuotaExceeded);
  EXPECT_EQ(take(2, 10, 20), Code::kOk);
}

TEST(Sources, AreCountedWhereTheyLiveIfThereAreSeveralShards) {
  constexpr uint32_t kShards = 3;
  sim::SimClock clock;
  sim::Trace trace;
  sim::SimDisk disk(&clock, &trace, 7);
  sim::SimLoop loop(&clock, &trace, 8);
  sim::SimRandom random(9, "engine");
  EngineOptions options;
  options.data_dir = "data";
  options.shard.journal.segment_bytes = 1u << 20;
  options.shard.journal.frame_bytes_max = 256u << 10;
  options.shard.sources_max = 1;
  auto engine = Engine::Open(&disk, &random, std::vector<rt::Loop*>(kShards, &loop), options);
  ASSERT_TRUE(engine.ok());
  size_t taken = 0, refused = 0;
  for (uint64_t n = 1; n <= 20; ++n) {
    const Code code = Take((*engine)->store(), &loop, {n * 0x9E3779B97F4A7C15u, n}, 0, 10).code;
    EXPECT_TRUE(code == Code::kOk || code == Code::kQuotaExceeded);
    (code == Code::kOk ? taken : refused) += 1;
  }
  EXPECT_EQ(taken, kShards);
  EXPECT_EQ(refused, 20 - kShards);
  disk.PowerOff();
  loop.Abandon();
}

}  // namespace
}  // namespace quipu::store
