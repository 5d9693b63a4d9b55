#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "base/status.h"

namespace quipu {
namespace {

TEST(Crc32c, MatchesThePublishedCheckValue) {
  EXPECT_EQ(Crc32c(0, "123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c(Crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

TEST(Status, UnknownAndNotDoneNeverShareACode) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    auto code = static_cast<Code>(i);
    bool unknown = code == Code::kDeadlineExceeded || code == Code::kUnknownOutcome || code == Code::kInternal;
    EXPECT_EQ(IsUnknown(code), unknown) << CodeName(code);
  }
}

TEST(Status, CopyKeepsCodeAndMessage) {
  Status s(Code::kOverflow, "too much");
  Status t = s;
  EXPECT_EQ(t.ToString(), "OVERFLOW: too much");
  EXPECT_EQ(s.code(), Code::kOverflow);
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good(7);
  EXPECT_EQ(*good, 7);
  Result<int> bad(Status(Code::kNotFound, "x"));
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.code(), Code::kNotFound);
}

TEST(AssertDeathTest, StopsTheProcessInEveryBuild) {
  EXPECT_DEATH(QUIPU_ASSERT(1 == 2, "n={}", 5), "invariant broken: 1 == 2: n=5");
}

}  // namespace
}  // namespace quipu
