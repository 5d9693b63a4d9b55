#include "client/retry.h"

#include <gtest/gtest.h>

#include "client/error_code.h"

namespace quipu::client {
namespace {

class FakeClock final : public rt::Clock {
 public:
  int64_t WallMicros() const override { return now_; }
  int64_t MonoMicros() const override { return now_; }
  int64_t now_ = 1'000'000;
};
class Largest final : public rt::Random {
 public:
  uint64_t Next() override { return ~uint64_t{0}; }
};

struct Fixture {
  FakeClock clock;
  Largest random;
  std::vector<int64_t> pauses;
  RetryHost host{.clock = &clock, .random = &random, .pause = [this](int64_t us) {
                   pauses.push_back(us);
                   clock.now_ += us;
                 }};
  int attempts = 0;

  Status Run(std::vector<Code> answers, int64_t budget_us) {
    return RetryCall({}, host, clock.now_ + budget_us, [&] {
      const Code code = answers[std::min<size_t>(static_cast<size_t>(attempts++), answers.size() - 1)];
      return code == Code::kOk ? OkStatus() : Status(code, "scripted");
    });
  }
};

TEST(Retry, GoesOnUntilDone) {
  Fixture f;
  EXPECT_TRUE(f.Run({Code::kUnavailable, Code::kUnknownOutcome, Code::kOverloaded, Code::kOk}, 60'000'000).ok());
  EXPECT_EQ(f.attempts, 4);
}

TEST(Retry, PausesStayInsideADoublingBound) {
  Fixture f;
  f.Run({Code::kUnavailable}, 60'000'000).Ignore("only the pauses matter");
  ASSERT_GE(f.pauses.size(), 8u);
  int64_t bound = RetryPolicy().first_pause_us;
  for (const int64_t pause : f.pauses) {
    EXPECT_GE(pause, 0);
    EXPECT_LE(pause, bound);
    bound = std::min(bound * 2, RetryPolicy().longest_pause_us);
  }
}

TEST(Retry, NeverOutlivesItsDeadline) {
  Fixture f;
  const int64_t deadline = f.clock.now_ + 500'000;
  EXPECT_EQ(f.Run({Code::kUnavailable}, 500'000).code(), Code::kUnavailable);
  EXPECT_LT(f.clock.now_, deadline);
}

TEST(Retry, OnceUnknownNeverSaysThatNothingHappened) {
  Fixture f;
  EXPECT_EQ(f.Run({Code::kUnknownOutcome, Code::kUnavailable}, 200'000).code(), Code::kUnknownOutcome);
  Fixture g;
  EXPECT_EQ(g.Run({Code::kDeadlineExceeded, Code::kPermissionDenied}, 60'000'000).code(), Code::kDeadlineExceeded);
  EXPECT_EQ(g.attempts, 2);
}

TEST(Retry, AnErrorThatStaysIsNotRepeated) {
  Fixture f;
  EXPECT_EQ(f.Run({Code::kTokenConflict}, 60'000'000).code(), Code::kTokenConflict);
  EXPECT_EQ(f.attempts, 1);
}

TEST(ErrorCode, WhatNobodyKnowsMayHaveHappened) {
  EXPECT_EQ(CodeOfErrorReply("WAT is this"), Code::kUnknownOutcome);
  EXPECT_EQ(CodeOfErrorReply(""), Code::kUnknownOutcome);
  EXPECT_EQ(CodeOfErrorReply("ERRATIC"), Code::kUnknownOutcome);
}

TEST(ErrorCode, TellsTheTableApart) {
  EXPECT_EQ(CodeOfErrorReply("UNCERTAIN"), Code::kUnknownOutcome);
  EXPECT_EQ(CodeOfErrorReply("UNCERTAIN deadline"), Code::kDeadlineExceeded);
  EXPECT_EQ(CodeOfErrorReply("BUSY overloaded"), Code::kOverloaded);
  EXPECT_EQ(CodeOfErrorReply("BUSY rate limit"), Code::kRateLimited);
  EXPECT_EQ(CodeOfErrorReply("OOM quota counters_max"), Code::kQuotaExceeded);
  EXPECT_EQ(CodeOfErrorReply("OOM"), Code::kStorageFull);
  EXPECT_EQ(CodeOfErrorReply("ERR syntax error"), Code::kInvalidArgument);
}

}  // namespace
}  // namespace quipu::client
