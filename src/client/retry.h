// The loop that makes a call safe to repeat: same request, same token, exponential pauses with full jitter, inside the
// deadline. Knows nothing of what is called.
#pragma once
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "rt/clock.h"
#include "rt/random.h"

namespace quipu::client {

struct RetryPolicy {
  int64_t first_pause_us = 20'000;       // the first pause is drawn from [0, this]
  int64_t longest_pause_us = 2'000'000;  // the bound doubles up to this
};

// What the loop asks of its surroundings; a test hands in its own.
struct RetryHost {
  const rt::Clock* clock = nullptr;
  rt::Random* random = nullptr;
  std::function<void(int64_t us)> pause;
};

// Calls `attempt` until it succeeds, fails for good (IsRetryable says no) or the deadline leaves no room for another
// pause. Once any attempt may have happened, giving up reports kUnknownOutcome or kDeadlineExceeded, never a code that
// says that nothing happened. The exception is an answer that speaks for the token itself (kTokenConflict): it stands.
Status RetryCall(const RetryPolicy& policy, const RetryHost& host, int64_t deadline_mono_us,
                 const std::function<Status()>& attempt);

}  // namespace quipu::client
