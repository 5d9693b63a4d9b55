// A fast generator (xoshiro256++, Blackman and Vigna 2019) with a seed of 256 bits from the kernel. Two instances never
// share a stream. Good for sampling, jitter and identifiers; its output is predictable to who sees enough of it, so
// secrets must not come from here.
//
// Cost      About 1 ns a number; one getrandom call at construction.
#pragma once
#include <array>
#include <cstdint>

#include "rt/random.h"

namespace quipu::rt {

class RealRandom final : public Random {
 public:
  RealRandom();
  uint64_t Next() override;

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace quipu::rt
