// The system's clocks, read through the vDSO.
#pragma once
#include "rt/clock.h"

namespace quipu::rt {

class RealClock final : public Clock {
 public:
  int64_t WallMicros() const override;
  int64_t MonoMicros() const override;
};

}  // namespace quipu::rt
