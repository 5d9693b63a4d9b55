// The two clocks. Nothing else in the tree asks the system for the time.
//
// Threads   Any. Cost: one vDSO call (about 25 ns); on the request path use Loop::WallMicros(), read once a turn.
// Units     Microseconds. Wall is since 1970 UTC and may jump; Mono never goes back and means nothing across processes.
#pragma once
#include <cstdint>

namespace quipu::rt {

class Clock {
 public:
  virtual int64_t WallMicros() const = 0;
  virtual int64_t MonoMicros() const = 0;
  virtual ~Clock() = default;
};

}  // namespace quipu::rt
