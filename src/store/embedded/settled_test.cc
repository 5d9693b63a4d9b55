#include "store/embedded/settled.h"
#include "store/embedded/settled_db.h"

#include <gtest/gtest.h>

#include "rt/host.h"
#include "rt/real.h"
#include "store/embedded/settled_model.h"

namespace quipu::store {
namespace {

const CounterRef kVisits{.ns = 1, .hash = 7, .name = "visits"};

class SettledTest : public testing::Test {
 protected:
  void SetUp() override {
    parent_ = rt::MakeTemporaryDir("quipu-settled").value();
    dir_ = parent_ + "/settled";
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    ASSERT_TRUE(rt::RemoveTree(parent_).ok());
  }
  void Reopen() {
    store_.reset();
    auto opened = SettledStore::Open(disk_.get(), dir_, options_);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(*opened);
  }
  size_t CountFiles(std::string_view suffix) {
    const auto names = disk_->List(dir_).value();
    return static_cast<size_t>(std::ranges::count_if(names, [&](const auto& name) { return name.ends_with(suffix); }));
  }
  // One event with a token, its token row and nothing else.
  void Settle(Position position, Micros commit_us, TokenPrint print) {
    auto run = store_->BeginRun().value();
    const SettledEvent event{.position = position, .commit_us = commit_us, .token = PackToken("t")};
    ASSERT_EQ(run->AddEvent(kVisits, event).ToString(), "OK");
    ASSERT_EQ(run->AddToken(print, event).ToString(), "OK");
    ASSERT_EQ(run->Commit().ToString(), "OK");
  }
  std::vector<Position> Positions(Position after) {
    std::vector<Position> positions;
    const auto visit = [&](const SettledEvent& event) {
      positions.push_back(event.position);
      return true;
    };
    EXPECT_EQ(store_->ScanEvents(kVisits, after, visit).ToString(), "OK");
    return positions;
  }

  const std::unique_ptr<rt::Disk> disk_ = rt::MakeRealDisk();
  std::string parent_, dir_;
  SettledOptions options_{.slice_us = kModelSlice, .block_cache_bytes = 8 << 20, .runs_max = 3};
  std::unique_ptr<SettledStore> store_;
};

TEST_F(SettledTest, EqualsAPlainModelThroughSettlesMergesDropsAndReopens) {
  for (uint64_t seed = 1; seed <= 2; seed++) {
    SCOPED_TRACE(seed);
    store_.reset();
    dir_ = fmt::format("{}/{}", parent_, seed);
    Reopen();
    SettledModel model(seed);
    for (int step = 0; step < 40; step++) {
      const ModelRun run = model.MakeRun(model.random().Below(40));
      ASSERT_EQ(Write(run, store_.get()).ToString(), "OK");
      model.Apply(run);
      const Micros past = model.now() - 2 * kModelSlice;
      switch (model.random().Below(8)) {
        case 0:
          ASSERT_EQ(store_->DropTokensBefore(past).ToString(), "OK");
          model.DropTokensBefore(past);
          break;
        case 1:
          ASSERT_EQ(store_->DropEventsBefore(past).ToString(), "OK");
          model.DropEventsBefore(past);
          break;
        case 2:
          Reopen();
          break;
        case 3:
        case 4:
          ASSERT_EQ(store_->Compact().ToString(), "OK");
          break;
        default:
          break;
      }
      const auto state = model.ReadState(store_.get());
      ASSERT_TRUE(state.ok()) << step << ": " << state.status().ToString();
      ASSERT_TRUE(*state == model.state()) << "step " << step;
      ASSERT_EQ(model.CheckTokens(store_.get()).ToString(), "OK") << step;
    }
    ASSERT_EQ(store_->VerifyChecksums().ToString(), "OK");
  }
}

TEST_F(SettledTest, HoldsNothingWhenNew) {
  EXPECT_EQ(store_->GetCounter(kVisits).value(), std::nullopt);
  EXPECT_EQ(store_->GetMeta("position").value(), std::nullopt);
  EXPECT_EQ(store_->FindToken({1, 2}, 0).value().has_value(), false);
  EXPECT_EQ(store_->Compact().ToString(), "OK");
  EXPECT_EQ(store_->DropEventsBefore(1000 * kModelSlice).ToString(), "OK");
  EXPECT_EQ(store_->VerifyChecksums().ToString(), "OK");
  EXPECT_EQ(store_->DiskBytes(), 0u);
}

TEST_F(SettledTest, ARunThatIsNotCommittedLeavesNothing) {
  {
    auto run = store_->BeginRun().value();
    ASSERT_EQ(run->PutCounter(kVisits, {.value = 3, .position = 9}).ToString(), "OK");
    ASSERT_EQ(CountFiles(".tmp"), 1u);
  }
  EXPECT_EQ(CountFiles(".tmp"), 0u);
  EXPECT_EQ(store_->GetCounter(kVisits).value(), std::nullopt);
}

TEST_F(SettledTest, ARunWithoutRowsIsNothing) {
  EXPECT_EQ(store_->BeginRun().value()->Commit().ToString(), "OK");
  EXPECT_EQ(CountFiles(".sst"), 0u);
}

TEST_F(SettledTest, LeftoversOfAnInterruptedRunAreCleared) {
  ASSERT_TRUE(disk_->Open(dir_ + "/run-7.tmp", rt::OpenMode::kCreate).ok());
  Reopen();
  EXPECT_EQ(CountFiles(".tmp"), 0u);
}

TEST_F(SettledTest, MergingKeepsTheLimitAndDeletesWhatItMerged) {
  for (Position position = 1; position <= 20; position++) {
    auto run = store_->BeginRun().value();
    ASSERT_EQ(run->PutCounter(kVisits, {.value = static_cast<int64_t>(position), .position = position}).ToString(),
              "OK");
    ASSERT_EQ(run->AddSums(kVisits, 0, {{{.minute = 7, .sum = 5, .events = 1}}}).ToString(), "OK");
    ASSERT_EQ(run->Commit().ToString(), "OK");
    ASSERT_EQ(store_->Compact().ToString(), "OK");
    EXPECT_LE(CountFiles(".sst"), 2u * 3u);
    ASSERT_EQ(store_->GetCounter(kVisits).value()->value, static_cast<int64_t>(position));
  }
  std::vector<std::pair<int64_t, uint64_t>> sums;
  const auto visit = [&](int64_t, int64_t sum, uint64_t events) {
    sums.emplace_back(sum, events);
    return true;
  };
  EXPECT_EQ(store_->ScanSums(kVisits, Interval::kMinute, 7 * kModelMinute, 8 * kModelMinute, visit).ToString(), "OK");
  EXPECT_EQ(sums, (std::vector<std::pair<int64_t, uint64_t>>{{100, 20}}));
}

TEST_F(SettledTest, RunsOfASliceAreMergedOnlyUpToASize) {
  options_.slice_merge_bytes = 1;
  Reopen();
  std::vector<Position> all;
  for (Position position = 1; position <= 12; position++) {
    Settle(position, kModelSlice, {position, 0});
    all.push_back(position);
    ASSERT_EQ(store_->Compact().ToString(), "OK");
  }
  EXPECT_EQ(CountFiles(".sst"), 2u * 12u);
  EXPECT_EQ(Positions(0), all);
  EXPECT_EQ(store_->FindToken({7, 0}, 0).value()->position, 7u);
  options_.slice_merge_bytes = 1u << 20;
  Reopen();
  ASSERT_EQ(store_->Compact().ToString(), "OK");
  EXPECT_LE(CountFiles(".sst"), 2u * 3u);
  EXPECT_EQ(Positions(0), all);
}

TEST(RunsToMerge, AreTheNewestOnesUpToAMuchLargerOneOrTheLimit) {
  const uint64_t sizes[] = {10, 10, 25, 100, 10};
  EXPECT_EQ(RunsToMerge(sizes, UINT64_MAX), 3u);
  EXPECT_EQ(RunsToMerge(sizes, 45), 3u);
  EXPECT_EQ(RunsToMerge(sizes, 44), 2u);
  EXPECT_EQ(RunsToMerge(sizes, 20), 2u);
  EXPECT_EQ(RunsToMerge(sizes, 19), 0u);
}

TEST_F(SettledTest, OneManifestIsLeftAfterEachChange) {
  for (Position position = 1; position <= 5; position++) {
    Settle(position, static_cast<Micros>(position) * kModelSlice, {position, 0});
    const auto names = disk_->List(dir_).value();
    EXPECT_EQ(std::ranges::count_if(names, [](const auto& name) { return name.starts_with("MANIFEST"); }), 1);
  }
}

TEST_F(SettledTest, DroppedSlicesAreGoneForNewReadsAndWholeForThoseUnderWay) {
  for (Position position = 1; position <= 4; position++) {
    Settle(position, static_cast<Micros>(position) * kModelSlice, {position, 0});
  }
  std::vector<Position> seen;
  const auto visit = [&](const SettledEvent& event) {
    seen.push_back(event.position);
    if (seen.size() == 1) {
      EXPECT_EQ(store_->DropEventsBefore(4 * kModelSlice).ToString(), "OK");
    }
    return true;
  };
  EXPECT_EQ(store_->ScanEvents(kVisits, 0, visit).ToString(), "OK");
  EXPECT_EQ(seen, (std::vector<Position>{1, 2, 3, 4}));
  EXPECT_EQ(Positions(0), std::vector<Position>{4});
  EXPECT_EQ(store_->FindToken({3, 0}, 0).value().has_value(), false);
  EXPECT_EQ(store_->FindToken({4, 0}, 0).value()->position, 4u);
  EXPECT_EQ(CountFiles(".sst"), 2u);
  Reopen();
  EXPECT_EQ(Positions(0), std::vector<Position>{4});
}

TEST_F(SettledTest, ASliceIsDroppedOnlyOnceItHasEnded) {
  Settle(1, 5 * kModelSlice, {1, 0});
  EXPECT_EQ(store_->DropEventsBefore(6 * kModelSlice - 1).ToString(), "OK");
  EXPECT_EQ(Positions(0), std::vector<Position>{1});
  EXPECT_EQ(store_->DropEventsBefore(6 * kModelSlice).ToString(), "OK");
  EXPECT_EQ(Positions(0), std::vector<Position>{});
}

TEST_F(SettledTest, DroppingTokensLeavesTheirEvents) {
  Settle(1, kModelSlice, {1, 0});
  EXPECT_EQ(store_->DropTokensBefore(2 * kModelSlice).ToString(), "OK");
  EXPECT_EQ(store_->FindToken({1, 0}, 0).value().has_value(), false);
  EXPECT_EQ(Positions(0), std::vector<Position>{1});
}

TEST_F(SettledTest, EventsComeInOrderOfPositionWhereTheClockSteppedBack) {
  Settle(1, 5 * kModelSlice, {1, 0});
  Settle(2, 3 * kModelSlice, {2, 0});
  Settle(3, 5 * kModelSlice, {3, 0});
  EXPECT_EQ(Positions(0), (std::vector<Position>{1, 2, 3}));
  EXPECT_EQ(Positions(1), (std::vector<Position>{2, 3}));
  EXPECT_EQ(Positions(3), std::vector<Position>{});
}

TEST_F(SettledTest, SlicesOfAnotherWidthStayReadable) {
  Settle(1, 5 * kModelSlice, {1, 0});
  options_.slice_us = 2 * kModelSlice;
  Reopen();
  Settle(2, 5 * kModelSlice, {2, 0});
  EXPECT_EQ(Positions(0), (std::vector<Position>{1, 2}));
  EXPECT_EQ(store_->FindToken({1, 0}, 5 * kModelSlice).value()->position, 1u);
  EXPECT_EQ(store_->FindToken({2, 0}, 5 * kModelSlice).value()->position, 2u);
  EXPECT_EQ(store_->DropEventsBefore(6 * kModelSlice - 1).ToString(), "OK");
  EXPECT_EQ(Positions(0), (std::vector<Position>{1, 2}));
  EXPECT_EQ(store_->DropEventsBefore(6 * kModelSlice).ToString(), "OK");
  EXPECT_EQ(Positions(0), std::vector<Position>{});
}

TEST_F(SettledTest, TimesBeforeTheEpochHaveASlice) {
  Settle(1, -1, {1, 0});
  EXPECT_EQ(store_->FindToken({1, 0}, -1).value()->commit_us, -1);
  EXPECT_EQ(store_->FindToken({1, 0}, 0).value().has_value(), false);
}

TEST_F(SettledTest, ASumBeyond64BitsIsAnErrorNotAWrongNumber) {
  const auto add = [&](int64_t sum) {
    auto run = store_->BeginRun().value();
    ASSERT_EQ(run->AddSums(kVisits, 0, {{{.minute = 60, .sum = sum, .events = 1}}}).ToString(), "OK");
    ASSERT_EQ(run->Commit().ToString(), "OK");
  };
  int64_t seen = 0;
  const auto visit = [&](int64_t, int64_t sum, uint64_t) {
    seen = sum;
    return true;
  };
  add(std::numeric_limits<int64_t>::max());
  add(1);
  EXPECT_EQ(store_->ScanSums(kVisits, Interval::kHour, 0, kModelDays, visit).ToString(),
            "OVERFLOW: the sum of the interval that starts at 3600000000 is beyond 64 bits");
  add(-2);
  EXPECT_EQ(store_->ScanSums(kVisits, Interval::kHour, 0, kModelDays, visit).ToString(), "OK");
  EXPECT_EQ(seen, std::numeric_limits<int64_t>::max() - 1);
}

TEST_F(SettledTest, SumsAreReadByTheStartOfTheirIntervals) {
  constexpr int64_t kDay = IntervalWidth(Interval::kDay), kHour = IntervalWidth(Interval::kHour);
  auto run = store_->BeginRun().value();
  for (const CounterRef& counter : {kVisits, CounterRef{.ns = 1, .hash = kVisits.hash, .name = "visits2"}}) {
    for (int64_t day : {-kDay, int64_t{0}}) {
      const MinuteSum minutes[] = {{.minute = 59, .sum = 1, .events = 1},
                                   {.minute = 60, .sum = 2, .events = 1},
                                   {.minute = 1439, .sum = 4, .events = 2}};
      ASSERT_EQ(run->AddSums(counter, day, minutes).ToString(), "OK");
    }
  }
  ASSERT_EQ(run->Commit().ToString(), "OK");
  const auto read = [&](Interval interval, int64_t from, int64_t to) {
    std::string all;
    const auto visit = [&](int64_t start, int64_t sum, uint64_t events) {
      all += fmt::format("{}:{}/{} ", start / kModelMinute, sum, events);
      return true;
    };
    EXPECT_EQ(store_->ScanSums(kVisits, interval, from, to, visit).ToString(), "OK");
    return all;
  };
  constexpr int64_t kEver = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(read(Interval::kMinute, -kEver, kEver), "-1381:1/1 -1380:2/1 -1:4/2 59:1/1 60:2/1 1439:4/2 ");
  EXPECT_EQ(read(Interval::kHour, -kEver, kEver), "-1440:1/1 -1380:2/1 -60:4/2 0:1/1 60:2/1 1380:4/2 ");
  EXPECT_EQ(read(Interval::kDay, -kEver, kEver), "-1440:7/4 0:7/4 ");
  EXPECT_EQ(read(Interval::kMinute, 60 * kModelMinute, 1439 * kModelMinute), "60:2/1 ");
  EXPECT_EQ(read(Interval::kHour, 1, kHour + 1), "60:2/1 ");
  EXPECT_EQ(read(Interval::kDay, 1, kEver), "");
  EXPECT_EQ(read(Interval::kDay, -kDay, 0), "-1440:7/4 ");
}

TEST_F(SettledTest, ManyEventsOfACounterAreReadFromAnyPositionOn) {
  const CounterRef other{.ns = 1, .hash = kVisits.hash, .name = "visits2"};
  for (Position first : {1, 1001}) {
    auto run = store_->BeginRun().value();
    for (const CounterRef& counter : {kVisits, other}) {
      for (Position position = first; position < first + 400; position += 2) {
        // Every third one lies a slice before the others, as if the clock stepped to and fro.
        const Micros commit_us = position % 3 == 0 ? kModelSlice : 2 * kModelSlice;
        ASSERT_EQ(run->AddEvent(counter, {.position = position, .commit_us = commit_us}).ToString(), "OK");
      }
    }
    ASSERT_EQ(run->Commit().ToString(), "OK");
  }
  std::vector<Position> all;
  for (Position first : {1, 1001}) {
    for (Position position = first; position < first + 400; position += 2) all.push_back(position);
  }
  for (Position after : {0, 1, 2, 127, 129, 398, 399, 400, 999, 1000, 1001, 1398, 1399, 5000}) {
    const auto from = std::ranges::upper_bound(all, after);
    EXPECT_EQ(Positions(after), std::vector<Position>(from, all.end())) << after;
  }
}

TEST_F(SettledTest, TokensMayComeInAnyOrderAndOfEqualOnesTheLastPositionCounts) {
  auto run = store_->BeginRun().value();
  // Values of the largest size too: their rows do not fit the sorter's.
  const auto event = [](Position position) {
    return SettledEvent{.position = position,
                        .delta = position % 2 == 0 ? std::numeric_limits<int64_t>::min() : 1,
                        .value = static_cast<int64_t>(position),
                        .expiry_ms = 1,
                        .commit_us = static_cast<Micros>(position % 5) * kModelSlice};
  };
  constexpr Position kBase = (1ull << 32) - 5000;  // the lower half of the positions begins anew among them
  constexpr uint64_t kTokens = 10'000;
  for (uint64_t i = 0; i < kTokens; ++i) {
    const TokenPrint print{.hi = (i * 7919 % kTokens) << 50, .lo = i * 7919 % kTokens};
    ASSERT_EQ(run->AddToken(print, event(kBase + i)).ToString(), "OK");
    if (i % 10 == 0) {
      ASSERT_EQ(run->AddToken(print, event(kBase + i + 5)).ToString(), "OK");
      ASSERT_EQ(run->AddToken(print, event(kBase + i)).ToString(), "OK");
    }
  }
  ASSERT_EQ(run->Commit().ToString(), "OK");
  for (uint64_t i = 0; i < kTokens; ++i) {
    const TokenPrint print{.hi = (i * 7919 % kTokens) << 50, .lo = i * 7919 % kTokens};
    const auto found = store_->FindToken(print, 0).value();
    ASSERT_TRUE(found) << i;
    ASSERT_EQ(*found, event(kBase + i + (i % 10 == 0 ? 5 : 0))) << i;
  }
}

TEST_F(SettledTest, NamesArePagedByPrefix) {
  auto run = store_->BeginRun().value();
  for (const char* name : {"a", "b", "b/1", "b/2", "b0", "c"}) ASSERT_EQ(run->PutName(2, name).ToString(), "OK");
  ASSERT_EQ(run->PutName(3, "b/3").ToString(), "OK");
  ASSERT_EQ(run->Commit().ToString(), "OK");
  const auto names = [&](std::string_view after, std::string_view prefix, size_t limit) {
    std::string all;
    const auto visit = [&](std::string_view name) {
      all += name;
      all += ' ';
      return --limit > 0;
    };
    EXPECT_EQ(store_->ScanNames(2, after, prefix, visit).ToString(), "OK");
    return all;
  };
  EXPECT_EQ(names("", "", 9), "a b b/1 b/2 b0 c ");
  EXPECT_EQ(names("", "b/", 9), "b/1 b/2 ");
  EXPECT_EQ(names("b/1", "b", 9), "b/2 b0 ");
  EXPECT_EQ(names("a", "b", 2), "b b/1 ");
  EXPECT_EQ(names("c", "b", 9), "");
  EXPECT_EQ(names("", "zz", 9), "");
}

TEST_F(SettledTest, IsOpenedOnceAtATime) {
  const auto second = SettledStore::Open(disk_.get(), dir_, options_);
  EXPECT_EQ(second.code(), Code::kUnavailable);
  EXPECT_NE(second.status().message().find("held by another process"), std::string::npos) << second.status().ToString();
}

TEST_F(SettledTest, MissingFilesAreDamageAndAreNamed) {
  Settle(1, 10, {1, 0});
  store_.reset();
  const std::string current = dir_ + "/CURRENT", aside = parent_ + "/aside";
  ASSERT_TRUE(disk_->Rename(current, aside).ok());
  const auto no_current = SettledStore::Open(disk_.get(), dir_, options_);
  EXPECT_EQ(no_current.code(), Code::kDataLoss);
  EXPECT_NE(no_current.status().message().find("/CURRENT: missing"), std::string::npos)
      << no_current.status().ToString();
  ASSERT_TRUE(disk_->Rename(aside, current).ok());
  const auto names = disk_->List(dir_).value();
  for (const std::string& name : names) {
    if (!name.ends_with(".sst") && !name.starts_with("MANIFEST")) continue;
    ASSERT_TRUE(disk_->Rename(dir_ + "/" + name, aside).ok());
    const auto opened = SettledStore::Open(disk_.get(), dir_, options_);
    EXPECT_EQ(opened.code(), Code::kDataLoss) << name;
    EXPECT_NE(opened.status().message().find(name), std::string::npos) << opened.status().ToString();
    ASSERT_TRUE(disk_->Rename(aside, dir_ + "/" + name).ok());
  }
  Reopen();
  EXPECT_EQ(Positions(0), std::vector<Position>{1});
}

}  // namespace
}  // namespace quipu::store
