#include <gtest/gtest.h>
#include <time.h>

#include <bit>
#include <set>

#include "rt/real_clock.h"
#include "rt/real_random.h"

namespace quipu::rt {
namespace {

TEST(RealClock, WallIsTheSystemsTimeAndMonoNeverGoesBack) {
  const RealClock clock;
  const int64_t before = int64_t{::time(nullptr)} * 1'000'000;
  EXPECT_GE(clock.WallMicros(), before);
  EXPECT_LE(clock.WallMicros(), (int64_t{::time(nullptr)} + 2) * 1'000'000);
  int64_t last = clock.MonoMicros();
  for (int i = 0; i < 10'000; ++i) {
    const int64_t now = clock.MonoMicros();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(RealRandom, TwoGeneratorsNeverShareAStream) {
  RealRandom a;
  RealRandom b;
  std::set<uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) {
    seen.insert(a.Next());
    seen.insert(b.Next());
  }
  EXPECT_EQ(seen.size(), 2'000u);
}

TEST(RealRandom, EveryBitIsSetAboutHalfOfTheTime) {
  RealRandom random;
  constexpr int kDraws = 20'000;
  int set[64] = {};
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t value = random.Next();
    for (int bit = 0; bit < 64; ++bit) set[bit] += static_cast<int>(value >> bit & 1);
  }
  // 12 standard deviations: never by chance.
  for (int bit = 0; bit < 64; ++bit) EXPECT_NEAR(set[bit], kDraws / 2, 850) << "bit " << bit;
}

}  // namespace
}  // namespace quipu::rt
