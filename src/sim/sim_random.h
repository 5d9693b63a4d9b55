// Randomness from one seed, one stream per purpose: the stream "disk.faults" yields the same numbers whatever the
// stream "workload" draws, so that a changed generator does not move the faults and the other way round.
//
// Algorithm splitmix64 to seed, xoshiro256** to draw; integer arithmetic only, so every compiler yields the same run.
// Threads   One owner. Errors: none. Cost: about 1 ns a draw.
#pragma once
#include <cstdint>
#include <string_view>

#include "rt/random.h"

namespace quipu::sim {

class SimRandom final : public rt::Random {
 public:
  SimRandom(uint64_t seed, std::string_view purpose);

  uint64_t Next() override;
  // Uniform in [0, bound); bound > 0.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high].
  int64_t Between(int64_t low, int64_t high);
  // True with this probability. Draws nothing for 0 (or less) and 1 (or more), so an idle fault costs nothing.
  bool Chance(double probability);
  // A number in [1, high] whose magnitude is uniform: small ones are as likely as large ones.
  uint64_t Skewed(uint64_t high);

 private:
  uint64_t s_[4];
};

// One well-mixed number from two: for seeds of seeds.
uint64_t MixSeed(uint64_t a, uint64_t b);

}  // namespace quipu::sim
