#include "rt/real_clock.h"

#include <time.h>

#include "base/assert.h"

namespace quipu::rt {
namespace {
int64_t ReadMicros(clockid_t id) {
  timespec t{};
  const int rc = ::clock_gettime(id, &t);
  QUIPU_ASSERT(rc == 0, "clock_gettime({}) failed", id);
  return int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1'000;
}
}  // namespace

int64_t RealClock::WallMicros() const { return ReadMicros(CLOCK_REALTIME); }
int64_t RealClock::MonoMicros() const { return ReadMicros(CLOCK_MONOTONIC); }

}  // namespace quipu::rt
