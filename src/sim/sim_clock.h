// Virtual time. It moves only when the loop waits (or when a blocking call at start-up takes time); a day passes as
// fast as its events can be run.
//
// Threads   One owner.
// Units     Microseconds. Mono starts at 1 s; wall at the time given, and the test may let it jump and drift.
// Errors    None.
#pragma once
#include <cstdint>

#include "rt/clock.h"

namespace quipu::sim {

class SimClock final : public rt::Clock {
 public:
  static constexpr int64_t kMonoStart = 1'000'000;
  static constexpr int64_t kWallStart = 1'750'000'000'000'000;  // June 2025

  explicit SimClock(int64_t wall_start_us = kWallStart) : wall_base_us_(wall_start_us) {}

  int64_t WallMicros() const override;
  int64_t MonoMicros() const override { return mono_us_; }

  // Forward only; an earlier time changes nothing.
  void AdvanceTo(int64_t mono_us);
  // Wall time jumps by this much at once, either way.
  void JumpWall(int64_t delta_us);
  // From now on wall gains (or loses) this many microseconds in each second.
  void SetDrift(int64_t ppm);

  // Time that a blocking call takes. Inside a worker job it delays the job's completion and the loop goes on meanwhile;
  // elsewhere it moves the clock.
  void Block(int64_t us);
  // For the loop, around a worker job: what the job's blocking calls took.
  void BeginJob();
  int64_t EndJob();

 private:
  int64_t mono_us_ = kMonoStart;
  int64_t wall_base_us_;  // wall time at drift_from_us_, jumps included
  int64_t drift_from_us_ = kMonoStart;
  int64_t drift_ppm_ = 0;
  bool in_job_ = false;
  int64_t job_us_ = 0;
};

}  // namespace quipu::sim
