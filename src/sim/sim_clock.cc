#include "sim/sim_clock.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::sim {

int64_t SimClock::WallMicros() const {
  const int64_t elapsed = mono_us_ - drift_from_us_;
  // In two steps, so that years of virtual time do not leave 64 bits.
  const int64_t drift = elapsed / 1'000'000 * drift_ppm_ + elapsed % 1'000'000 * drift_ppm_ / 1'000'000;
  return wall_base_us_ + elapsed + drift;
}

void SimClock::AdvanceTo(int64_t mono_us) { mono_us_ = std::max(mono_us_, mono_us); }

void SimClock::JumpWall(int64_t delta_us) { wall_base_us_ += delta_us; }

void SimClock::SetDrift(int64_t ppm) {
  wall_base_us_ = WallMicros();
  drift_from_us_ = mono_us_;
  drift_ppm_ = ppm;
}

void SimClock::Block(int64_t us) {
  QUIPU_ASSERT(us >= 0, "us={}", us);
  if (in_job_) {
    job_us_ += us;
  } else {
    mono_us_ += us;
  }
}

void SimClock::BeginJob() {
  QUIPU_ASSERT(!in_job_, "a worker job inside a worker job");
  in_job_ = true;
  job_us_ = 0;
}

int64_t SimClock::EndJob() {
  QUIPU_ASSERT(in_job_, "no worker job runs");
  in_job_ = false;
  return job_us_;
}

}  // namespace quipu::sim
