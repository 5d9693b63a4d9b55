#include "store/embedded/recount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/embedded/settler.h"

namespace quipu::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr Micros kNow = 1'750'000'000'000'000;

SettledEvent Add(Position position, int64_t delta, int64_t value, bool existed) {
  return {.position = position,
          .existed = existed,
          .delta = delta,
          .applied = delta,
          .value = value,
          .event_us = kNow,
          .last_write_us = kNow,
          .commit_us = kNow};
}

class Recount : public testing::Test {
 protected:
  Namespace ns_{.name = "default"};
  std::vector<std::string> found_;
  CounterRecount recount_{&ns_, [this](std::string text) { found_.push_back(std::move(text)); }};
};

TEST_F(Recount, FindsNothingInAHistoryThatFollows) {
  recount_.Add(Add(1, 5, 5, false));
  recount_.Add(Add(7, -8, -3, true));
  Checkpoint c{.value = -3, .position = 7, .last_write_us = kNow};
  recount_.CompareCheckpoint(&c);
  recount_.Add(Add(9, 1, -2, true));
  EXPECT_TRUE(found_.empty()) << found_[0];
  EXPECT_TRUE(recount_.exists());
  EXPECT_TRUE(recount_.full());
}

TEST_F(Recount, APositionThatComesTwiceOrTooLateIsFound) {
  recount_.Add(Add(5, 5, 5, false));
  recount_.Add(Add(5, 1, 6, true));
  recount_.Add(Add(4, 1, 7, true));
  ASSERT_EQ(found_.size(), 2u);
  EXPECT_EQ(found_[0], "position 5 follows after 5");
  EXPECT_EQ(found_[1], "position 4 follows after 5");
}

TEST_F(Recount, ValuesWrapWhereTheDifferenceLeaves64Bits) {
  recount_.Add(Add(1, INT64_MAX, INT64_MAX, false));
  SettledEvent set = Add(2, INT64_MIN, INT64_MIN, true);
  set.kind = OpKind::kSet;
  set.applied = 1;  // modulo 2^64
  recount_.Add(set);
  EXPECT_TRUE(found_.empty()) << found_[0];
}

TEST_F(Recount, WhatAnOpCannotDoIsFound) {
  // After an add of 5; `value` and `applied` follow it, so that only the meaning is wrong.
  struct Case {
    OpKind kind;
    Outcome outcome;
    int64_t delta, applied;
    bool exists;
  };
  for (const Case& c : {Case{OpKind::kAdd, Outcome::kApplied, 3, 2, true},
                        {OpKind::kSet, Outcome::kApplied, 3, 2, true},
                        {OpKind::kClear, Outcome::kApplied, 0, 2, true},
                        {OpKind::kDelete, Outcome::kApplied, 0, 2, false},
                        {OpKind::kDelete, Outcome::kApplied, 0, -5, true},
                        {OpKind::kExpire, Outcome::kApplied, 0, 2, true},
                        {OpKind::kGet, Outcome::kApplied, 0, 0, true},
                        {OpKind::kAdd, Outcome::kRefused, 2, 2, true},
                        {OpKind::kAdd, Outcome::kRefused, 2, 0, false}}) {
    found_.clear();
    CounterRecount recount(&ns_, [this](std::string text) { found_.push_back(std::move(text)); });
    recount.Add(Add(1, 5, 5, false));
    SettledEvent e = Add(2, c.delta, 5 + c.applied, true);
    e.kind = c.kind;
    e.outcome = c.outcome;
    e.applied = c.applied;
    e.exists = c.exists;
    recount.Add(e);
    ASSERT_EQ(found_.size(), 1u) << static_cast<int>(c.kind);
    EXPECT_TRUE(found_[0].ends_with("do not go together")) << found_[0];
  }
}

TEST_F(Recount, GoesOnFromACheckpointWhoseEventsAreGone) {
  Checkpoint c{.value = 40, .position = 100, .last_write_us = kNow};
  recount_.CompareCheckpoint(&c);
  recount_.Add(Add(101, 2, 42, true));
  EXPECT_TRUE(found_.empty()) << found_[0];
  EXPECT_FALSE(recount_.full());
  recount_.Add(Add(102, 2, 45, true));
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(found_[0], "position 102: 45 after 2 was applied, but the value before was 42");
}

TEST_F(Recount, SumsThatCannotComeFromTheAddsAreTold) {
  recount_.Add(Add(1, 5, 5, false));
  recount_.Add(Add(2, 2, 7, true));
  const int64_t minute = IntervalStart(Interval::kMinute, kNow);
  const MinuteSums right{{minute, {7, 2}}};
  std::string more;
  EXPECT_TRUE(recount_.CompareSums(right, &more).empty());
  EXPECT_THAT(recount_.CompareSums({{minute, {7, 1}}}, &more), ElementsAre(HasSubstr("2 adds, the stored sum has 1")));
  EXPECT_THAT(recount_.CompareSums({{minute, {8, 2}}}, &more),
              ElementsAre(HasSubstr("the adds make 7, the stored sum says 8")));
  EXPECT_THAT(recount_.CompareSums({}, &more), ElementsAre(HasSubstr("2 adds, the stored sum has 0")));
  EXPECT_EQ(more, "");
  // Older adds, whose events are gone: nothing can be said.
  MinuteSums older = right;
  older[minute - 86'400'000'000] = {1, 1};
  EXPECT_TRUE(recount_.CompareSums(older, &more).empty());
  EXPECT_EQ(more, "minute from 1749913560000000 us: 0 adds, the stored sum has 1");
}

TEST_F(Recount, ATokenMayCountAgainOnlyAfterItsHorizon) {
  SettledEvent e = Add(1, 1, 1, false);
  e.token = PackToken("t");
  recount_.Add(e);
  e = Add(2, 1, 2, true);
  e.token = PackToken("t");
  e.commit_us = kNow + ns_.settings.token_horizon_ms * 1000 + 1;
  recount_.Add(e);
  EXPECT_TRUE(found_.empty()) << found_[0];
  e = Add(3, 1, 3, true);
  e.token = PackToken("t");
  e.commit_us = kNow + 2 * ns_.settings.token_horizon_ms * 1000;
  recount_.Add(e);
  ASSERT_EQ(found_.size(), 1u);
  EXPECT_EQ(found_[0], "token t took effect at position 2 and again at 3, inside its horizon");
}

}  // namespace
}  // namespace quipu::store
