#include "store/embedded/settler.h"

#include "base/varint.h"
#include "store/embedded/check.h"
#include "store/embedded/golden_testing.h"
#include "store/embedded/journal_testing.h"
#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

using ::testing::ElementsAre;

// A journal of records, and the sorted runs beside it.
class Bench {
 public:
  Bench() {
    EXPECT_TRUE(rig_.Start().ok());
    settled_ = std::move(*SettledStore::Open(&rig_.disk(), "settled", {}));
  }
  Position Write(CounterRecord r) {
    char* at = rig_.journal()->Reserve(kRecordBytesMax);
    return Commit(EncodeCounter(r, rig_.journal()->frame_us(), at));
  }
  Position Commit(size_t bytes) {
    Position position = rig_.journal()->Append(bytes, 1, true);
    rig_.loop().Post([] {});
    EXPECT_TRUE(rig_.RunUntil([&] { return rig_.journal()->durable() >= position; }));
    return position;
  }
  SettleOutcome Run(size_t bytes_max = 1u << 20) {
    return Settle({.disk = &rig_.disk(),
                   .settled = settled_.get(),
                   .journal_dir = rig_.kDir,
                   .segments = rig_.journal()->SegmentsAfter(after_),
                   .shard = 3,
                   .generation = "1",
                   .token_seed = 77,
                   .after = after_,
                   .through = rig_.journal()->durable(),
                   .bytes_max = bytes_max});
  }
  void SettleAll() {
    SettleOutcome outcome = Run();
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    after_ = outcome.settled;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    EXPECT_TRUE(
        settled_->ScanNames(0, "", "", [&](std::string_view name) { return names.emplace_back(name), true; }).ok());
    return names;
  }
  std::vector<Position> Events(std::string_view name) {
    std::vector<Position> positions;
    EXPECT_TRUE(settled_
                    ->ScanEvents(Ref(name), 0,
                                 [&](const SettledEvent& e) {
                                   positions.push_back(e.position);
                                   return true;
                                 })
                    .ok());
    return positions;
  }
  uint64_t Count(NamespaceId ns) {
    auto row = settled_->GetMeta(CountKey(3, ns));
    EXPECT_TRUE(row.ok());
    uint64_t count = 0;
    if (*row) {
      EXPECT_NE(GetVarint((*row)->data(), (*row)->data() + (*row)->size(), &count), nullptr);
    }
    return count;
  }
  size_t MetaRows(std::string_view prefix) { return settled_->ListMeta(prefix)->size(); }
  static CounterRef Ref(std::string_view name) { return {.ns = 0, .hash = HashCounter(0, name), .name = name}; }
  std::optional<Checkpoint> Get(std::string_view name) { return *settled_->GetCounter(Ref(name)); }

  JournalRig rig_;
  std::unique_ptr<SettledStore> settled_;
  Position after_ = 0;
};

CounterRecord Add(std::string_view name, int64_t delta, int64_t value, bool existed) {
  return {.existed = existed, .name = name, .delta = delta, .applied = delta, .value = value};
}
CounterRecord Delete(std::string_view name, int64_t value) {
  return {.kind = OpKind::kDelete, .existed = true, .exists = false, .name = name, .delta = -value, .applied = -value};
}

TEST(Settler, OneRunHoldsTheStateAfterTheLastRecordOfEachCounter) {
  Bench bench;
  bench.Write(Add("a", 5, 5, false));
  bench.Write(Add("b", 1, 1, false));
  Position last = bench.Write(Add("a", 7, 12, true));
  bench.SettleAll();
  EXPECT_EQ(bench.after_, 3u);
  auto a = bench.Get("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->value, 12);
  EXPECT_EQ(a->position, last);
  EXPECT_THAT(bench.Events("a"), ElementsAre(1, 3));
  EXPECT_THAT(bench.Names(), ElementsAre("a", "b"));
  EXPECT_EQ(bench.Count(0), 2u);
  SettledPosition position;
  ASSERT_TRUE(DecodeSettledPosition(**bench.settled_->GetMeta(PositionKey("1", 3)), &position));
  EXPECT_EQ(position.position, 3u);
}

// What recovery reads back, whatever build has written it. (The values of `ns/` are records of the journal.)
TEST(Settler, NamedRowsAreByteForByteThoseOfTheGoldenFile) {
  Bench bench;
  bench.Write(Add("a", 5, 5, false));
  bench.Write({.existed = false, .ns = 7, .name = "soon gone", .value = 3, .expiry_ms = 1'700'006'400'000});
  char* at = bench.rig_.journal()->Reserve(kRecordBytesMax);
  bench.Commit(EncodeNamespace({.id = 7, .version = 2, .name = "ads", .settings_json = "{}"}, at));
  bench.SettleAll();
  std::string text;
  std::map<std::string, std::string> golden;
  const auto rows = bench.settled_->ListMeta("");
  ASSERT_TRUE(rows.ok());
  for (const auto& [key, value] : *rows) {
    // The commit time depends on how long the disk took until then.
    const std::string fixed = key.starts_with(kPositionPrefix)
                                  ? EncodeSettledPosition({.position = 3, .commit_us = 1'700'000'000'004'000})
                                  : value;
    text += fmt::format("{}\n  {}\n  {}\n", key.substr(0, key.find('/')), Hex(key), Hex(fixed));
    golden[key] = value;
  }
  Bench with_source;
  at = with_source.rig_.journal()->Reserve(kRecordBytesMax);
  with_source.Commit(EncodeSource({.id = {0x0011223344556677, 0x8899aabbccddeeff},
                                   .anchor = {3, 4},
                                   .fingerprint = {5, ~0ull},
                                   .offset = 123'456,
                                   .taken = 1000,
                                   .refused = 2,
                                   .updated_us = 1'700'000'000'000'001,
                                   .label = "access.log",
                                   .marks = {{.offset = 80, .fingerprint = {7, 8}, .taken = 1, .refused = 0}},
                                   .ends = {{.offset = 100'000, .fingerprint = {9, 10}, .taken = 800, .refused = 2}}},
                                  at));
  with_source.SettleAll();
  const auto sources = with_source.settled_->ListMeta(kSourcePrefix);
  ASSERT_TRUE(sources.ok());
  ASSERT_EQ(sources->size(), 1u);
  const auto& [source_key, source_row] = sources->front();
  EXPECT_EQ(source_key, SourceKey(0x0011223344556677, 0x8899aabbccddeeff));
  text += fmt::format("source\n  {}\n  {}\n", Hex(source_key), Hex(source_row));
  EXPECT_EQ(ReadSource("test/golden/settled_meta.txt"), text);

  SettledPosition position;
  ASSERT_TRUE(DecodeSettledPosition(golden["position/1/00000003"], &position));
  EXPECT_EQ(position.position, 3u);
  EXPECT_GT(position.commit_us, 0);
  EXPECT_EQ(position.newest_own_us, kNoTime);
  EXPECT_EQ(golden["position/1/00000003"], EncodeSettledPosition(position));
  uint32_t shard;
  NamespaceId ns;
  ASSERT_TRUE(DecodeCountKey(CountKey(3, 7), &shard, &ns));
  EXPECT_EQ(std::pair(shard, ns), std::pair(3u, NamespaceId{7}));
  EXPECT_EQ(golden[CountKey(3, 7)], "\x01");
  const uint64_t hash = HashCounter(7, "soon gone");
  EXPECT_EQ(golden[ExpiryKey(1'700'006'400'000, 7, hash)], "1");
  int64_t due_ms;
  uint64_t found;
  ASSERT_TRUE(DecodeExpiryKey(ExpiryKey(1'700'006'400'000, 7, hash), &due_ms, &ns, &found));
  EXPECT_EQ(due_ms, 1'700'006'400'000);
  EXPECT_EQ(std::pair(found, ns), std::pair(hash, NamespaceId{7}));
  EXPECT_TRUE(golden.contains(NamespaceKey(7)));
}

TEST(Settler, WhatComesAndGoesInOneRunLeavesEventsAndNothingElse) {
  Bench bench;
  bench.Write(Add("fleeting", 5, 5, false));
  bench.Write(Delete("fleeting", 5));
  bench.SettleAll();
  EXPECT_FALSE(bench.Get("fleeting"));
  EXPECT_THAT(bench.Names(), ElementsAre());
  EXPECT_EQ(bench.Count(0), 0u);
  EXPECT_THAT(bench.Events("fleeting"), ElementsAre(1, 2));
}

TEST(Settler, ACounterThatGoesAndComesBackKeepsItsName) {
  Bench bench;
  bench.Write(Add("phoenix", 5, 5, false));
  bench.SettleAll();
  bench.Write(Delete("phoenix", 5));
  bench.Write(Add("phoenix", 1, 1, false));
  bench.SettleAll();
  EXPECT_EQ(bench.Get("phoenix")->value, 1);
  EXPECT_THAT(bench.Names(), ElementsAre("phoenix"));
  EXPECT_EQ(bench.Count(0), 1u);
  bench.Write(Delete("phoenix", 1));
  bench.SettleAll();
  EXPECT_FALSE(bench.Get("phoenix"));
  EXPECT_THAT(bench.Names(), ElementsAre());
  EXPECT_EQ(bench.Count(0), 0u);
}

TEST(Settler, ARefusalKeepsItsTokenAndChangesNothing) {
  Bench bench;
  bench.Write(Add("a", 5, 5, false));
  CounterRecord refused = Add("a", 100, 5, true);
  refused.outcome = Outcome::kRefused;
  refused.applied = 0;
  refused.content = 9;
  refused.token_form = TokenForm::kText;
  refused.token = "t";
  bench.Write(refused);
  CounterRecord missing = refused;
  missing.name = "missing";
  missing.existed = missing.exists = false;
  missing.value = 0;
  bench.Write(missing);
  bench.SettleAll();
  EXPECT_EQ(bench.Get("a")->position, 1u);
  EXPECT_FALSE(bench.Get("missing"));
  EXPECT_THAT(bench.Names(), ElementsAre("a"));
  EXPECT_EQ(bench.Count(0), 1u);
  for (std::string_view name : {"a", "missing"}) {
    auto event = bench.settled_->FindToken(MakeTokenPrint(77, Bench::Ref(name).hash, 0, name, PackToken("t")), 0);
    ASSERT_TRUE(event.ok() && event->has_value()) << name;
    EXPECT_EQ((*event)->outcome, Outcome::kRefused);
    EXPECT_EQ((*event)->delta, 100);
  }
  uint64_t sums = 0;
  ASSERT_TRUE(bench.settled_
                  ->ScanSums(Bench::Ref("a"), Interval::kMinute, INT64_MIN, INT64_MAX,
                             [&](int64_t, int64_t sum, uint64_t events) {
                               EXPECT_EQ(sum, 5);
                               sums += events;
                               return true;
                             })
                  .ok());
  EXPECT_EQ(sums, 1u);
}

TEST(Settler, SumsOfAnySizeAndEventTimesAtEitherEndAreSettled) {
  Bench bench;
  int64_t big = 1ll << 62;
  Micros times[] = {INT64_MIN + 1, INT64_MAX, 0, -1, 1'750'000'000'000'000};
  bool existed = false;
  for (Micros time : times) {
    for (int i = 0; i < 3; ++i) {
      CounterRecord r = Add("a", big, big, existed);
      r.event_us = r.last_write_us = time;
      bench.Write(r);
      existed = true;
      CounterRecord clear{.kind = OpKind::kClear, .existed = true, .name = "a", .delta = -big, .applied = -big};
      bench.Write(clear);
    }
  }
  bench.SettleAll();
  EXPECT_EQ(bench.Events("a").size(), 30u);
  Status s = bench.settled_->ScanSums(Bench::Ref("a"), Interval::kDay, INT64_MIN, INT64_MAX,
                                      [](int64_t, int64_t, uint64_t) { return true; });
  EXPECT_EQ(s.code(), Code::kOverflow);  // exact on disk, beyond what can be read
}

TEST(Settler, IntervalsNestAndHoldTheirTimes) {
  for (Micros t : {Micros{INT64_MIN + 1}, Micros{INT64_MAX}, Micros{0}, Micros{-1}, Micros{59'999'999},
                   Micros{60'000'000}, Micros{-60'000'000}, Micros{1'750'000'123'456'789}}) {
    int64_t minute = IntervalStart(Interval::kMinute, t);
    EXPECT_EQ(minute % 60'000'000, 0);
    EXPECT_EQ(IntervalStart(Interval::kHour, minute), IntervalStart(Interval::kHour, t));
    EXPECT_EQ(IntervalStart(Interval::kDay, IntervalStart(Interval::kHour, t)), IntervalStart(Interval::kDay, t));
    if (t > INT64_MIN + 86'400'000'000) {
      EXPECT_LE(minute, t);
      EXPECT_LT(t - minute, 60'000'000);
    }
  }
}

TEST(Settler, AnExpiryHasARowUntilItIsPastAndNobodyHasItAnyMore) {
  Bench bench;
  int64_t soon = bench.rig_.loop().WallMicros() / 1000 + 1000;
  CounterRecord r = Add("a", 5, 5, false);
  r.expiry_ms = soon;
  bench.Write(r);
  bench.SettleAll();
  EXPECT_EQ(bench.MetaRows(kExpiryPrefix), 1u);
  bench.rig_.loop().RunFor(5'000'000);
  bench.Write(Add("b", 1, 1, false));
  bench.SettleAll();
  EXPECT_EQ(bench.MetaRows(kExpiryPrefix), 1u);  // its end is not in the journal yet
  CounterRecord end = Delete("a", 5);
  end.expired = true;
  bench.Write(end);
  bench.SettleAll();
  bench.Write(Add("b", 1, 2, true));
  bench.SettleAll();
  EXPECT_EQ(bench.MetaRows(kExpiryPrefix), 0u);
}

TEST(Settler, NamespacesAndSourcesAreTheirLastRecords) {
  Bench bench;
  for (uint64_t version : {1, 2}) {
    char* at = bench.rig_.journal()->Reserve(kRecordBytesMax);
    bench.Commit(EncodeNamespace({.id = 4, .version = version, .name = "ads", .settings_json = "{}"}, at));
    at = bench.rig_.journal()->Reserve(kRecordBytesMax);
    bench.Commit(EncodeSource({.id = {1, 2}, .anchor = {3, 4}, .fingerprint = {5, 6}, .offset = version * 100}, at));
  }
  bench.SettleAll();
  EXPECT_EQ(bench.after_, 4u);
  Record r;
  std::string row = **bench.settled_->GetMeta(NamespaceKey(4));
  const char* p = row.data();
  ASSERT_TRUE(DecodeRecord(&p, row.data() + row.size(), 0, &r));
  EXPECT_EQ(r.ns.version, 2u);
  row = **bench.settled_->GetMeta(SourceKey(1, 2));
  p = row.data();
  ASSERT_TRUE(DecodeRecord(&p, row.data() + row.size(), 0, &r));
  EXPECT_EQ(r.source.offset, 200u);
}

TEST(Settler, ALongRangeIsSettledInSeveralRunsOfWholeFrames) {
  Bench bench;
  for (int i = 0; i < 30; ++i) bench.Write(Add("a", 1, i + 1, i > 0));
  Position before = 0;
  int runs = 0;
  while (bench.after_ < 30) {
    SettleOutcome outcome = bench.Run(200);
    ASSERT_TRUE(outcome.status.ok());
    ASSERT_GT(outcome.settled, before);
    before = bench.after_ = outcome.settled;
    EXPECT_EQ(bench.Get("a")->value, static_cast<int64_t>(bench.after_));
    ++runs;
  }
  EXPECT_GE(runs, 3);
  EXPECT_EQ(bench.Events("a").size(), 30u);
}

TEST(Settler, ARangeMayBeginWithinAFrame) {
  Bench bench;
  char* at = bench.rig_.journal()->Reserve(kRecordBytesMax);
  bench.rig_.journal()->Append(EncodeCounter(Add("a", 1, 1, false), bench.rig_.journal()->frame_us(), at), 1, true);
  bench.Write(Add("b", 1, 1, false));
  ASSERT_EQ(bench.rig_.Frames(1).size(), 1u);
  bench.after_ = 1;
  bench.SettleAll();
  EXPECT_FALSE(bench.Get("a"));
  EXPECT_TRUE(bench.Get("b"));
  EXPECT_EQ(bench.Count(0), 1u);
}

TEST(Settler, ATokenUsedAgainInOneRunStandsForTheLaterEvent) {
  Bench bench;
  CounterRecord r = Add("a", 1, 1, false);
  r.token_form = TokenForm::kText;
  r.token = "t";
  bench.Write(r);
  r.existed = true;
  r.value = 2;
  Position second = bench.Write(r);
  bench.SettleAll();
  auto event = bench.settled_->FindToken(MakeTokenPrint(77, Bench::Ref("a").hash, 0, "a", PackToken("t")), 0);
  ASSERT_TRUE(event.ok() && event->has_value());
  EXPECT_EQ((*event)->position, second);
}

TEST(Settler, TheNewestOwnTimeOfATokenIsOverAllRuns) {
  Bench bench;
  int64_t now_ms = bench.rig_.loop().WallMicros() / 1000;
  for (int64_t ms : {now_ms, now_ms - 5000}) {
    CounterRecord r = Add(fmt::format("{}", ms), 1, 1, false);
    std::string name = fmt::format("{}", ms);
    r.name = name;
    TokenBytes token = PackToken(MakeUuidV7(ms, 1, 2));
    r.token_form = token.form;
    r.token = {token.packed.data(), 16};
    bench.Write(r);
    SettleOutcome outcome = bench.Run();
    ASSERT_TRUE(outcome.status.ok());
    bench.after_ = outcome.settled;
    EXPECT_EQ(outcome.newest_own_us, now_ms * 1000);
  }
}

TEST(Settler, DamageInTheRangeSettlesNothing) {
  Bench bench;
  for (int i = 0; i < 5; ++i) bench.Write(Add("a", 1, i + 1, i > 0));
  bench.rig_.Damage(1, kSegmentHeaderBytes + 2 * 512 + 70);
  SettleOutcome outcome = bench.Run();
  EXPECT_EQ(outcome.status.code(), Code::kDataLoss);
  EXPECT_EQ(outcome.status.message(), "j: no frame begins at position 3, but 5 was durable");
  EXPECT_FALSE(bench.Get("a"));
}

// Any life of a store, however it ends: the offline check finds nothing wrong, and the counters are what they were.
TEST(Settler, WhateverAStoreLivesThroughTheCheckRecountsIt) {
  uint64_t recounted = 0;
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    World world(seed);
    sim::SimRandom random(seed, "life");
    world.options().settled.slice_us = 3'600'000'000;
    world.options().shard.tokens.places_first = 64;
    ASSERT_TRUE(world.Start().ok());
    NamespaceId other = world.MakeNamespace("other", {});
    for (int life = 0; life < 4; ++life) {
      for (int i = 0; i < 60; ++i) {
        Op op;
        op.ns = random.Chance(0.2) ? other : 0;
        std::string name = fmt::format("c{}", random.Below(8));
        std::string token = random.Chance(0.5) ? fmt::format("t{}", random.Below(60)) : "";
        op.name = name;
        op.token = token;
        op.kind = std::array{OpKind::kAdd,   OpKind::kAdd, OpKind::kAdd,    OpKind::kClear,
                             OpKind::kClear, OpKind::kSet, OpKind::kDelete, OpKind::kExpire}[random.Below(8)];
        op.delta = random.Chance(0.1) ? random.Between(INT64_MIN, INT64_MAX) : random.Between(-100, 100);
        op.bounded = random.Chance(0.2);
        op.saturate = op.bounded && random.Chance(0.5);
        op.floor = -150;
        op.ceiling = 150;
        op.remove = random.Chance(0.3);
        int64_t now_ms = world.clock().WallMicros() / 1000;
        if (random.Chance(0.2) || op.kind == OpKind::kExpire) {
          op.expire_rule = ExpireRule::kSet;
          op.expire_at_ms = now_ms + random.Between(-100, 5000);
        }
        if (random.Chance(0.2)) op.event_time_us = random.Between(INT64_MIN + 1, INT64_MAX);
        world.Do(op);
        if (random.Chance(0.1)) world.loop().RunFor(static_cast<int64_t>(random.Skewed(3'000'000)));
        if (random.Chance(0.02)) world.clock().JumpWall(random.Between(-3'600'000'000, 3'600'000'000));
        if (random.Chance(0.05)) world.Settle();
      }
      std::map<std::string, Op> before;
      for (int c = 0; c < 8; ++c) before[fmt::format("c{}", c)] = world.Get(fmt::format("c{}", c));
      if (random.Chance(0.5)) {
        world.Stop();
      } else {
        world.Crash(random.Chance(0.5) ? World::End::kKill : World::End::kPowerLoss);
      }
      auto report = CheckDataDirectory(&world.disk(), World::kDir, {});
      ASSERT_TRUE(report.ok()) << "seed " << seed << ": " << report.status().ToString();
      for (const CheckFinding& f : report->findings)
        ADD_FAILURE() << "seed " << seed << ": " << f.place << ": " << f.text;
      recounted += report->recounted_full;
      ASSERT_TRUE(world.Start().ok());
      for (const auto& [name, was] : before) {
        Op now = world.Get(name);
        bool expired = was.expiry_ms != 0 && !now.exists;
        ASSERT_EQ(now.exists, was.exists && !expired) << "seed " << seed << " " << name;
        ASSERT_EQ(now.value, now.exists ? was.value : 0) << "seed " << seed << " " << name;
      }
    }
  }
  EXPECT_GT(recounted, 500u);
}

}  // namespace
}  // namespace quipu::store
