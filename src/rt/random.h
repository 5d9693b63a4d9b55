// Randomness, as a seam: in simulation each purpose draws from its own stream of the one seed.
// Threads: one owner. Errors: none.
#pragma once
#include <cstdint>

namespace quipu::rt {

class Random {
 public:
  virtual uint64_t Next() = 0;
  virtual ~Random() = default;
};

}  // namespace quipu::rt
