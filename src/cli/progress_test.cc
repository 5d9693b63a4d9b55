#include "cli/progress.h"

#include <gtest/gtest.h>

namespace quipu::cli {
namespace {

TEST(Progress, ShowsShareRateAndTimeLeft) {
  EXPECT_EQ(ProgressText({.items = 500'000, .done = 25, .all = 100}, 1'000'000, 60),
            "[=====>                 ]   25 %  500.0 k lines/s  0:03 left");
  EXPECT_EQ(ProgressText({.items = 5, .done = 0, .all = 0}, 1'000'000, 60), "5 lines  5 lines/s");
}

TEST(Progress, FitsAnyTerminal) {
  for (const int columns : {1, 10, 40, 200}) {
    for (const uint64_t done : {0u, 1u, 99u, 100u, 150u}) {
      const std::string text = ProgressText({.items = 1'234'567, .done = done, .all = 100}, 2'500'000, columns);
      EXPECT_LE(text.size(), static_cast<size_t>(std::max(columns, 40))) << text;
    }
  }
}

TEST(ShortNumber, HasThreeDigitsThatMatter) {
  EXPECT_EQ(ShortNumber(950), "950");
  EXPECT_EQ(ShortNumber(12'345), "12.3 k");
  EXPECT_EQ(ShortNumber(3'400'000), "3.40 M");
}

}  // namespace
}  // namespace quipu::cli
