#include "client/retry.h"

#include <algorithm>

#include "client/error_code.h"

namespace quipu::client {
namespace {

// Whether a later "not done" also speaks for the earlier attempts with the same token.
bool SettlesEarlierAttempts(Code code) { return code == Code::kTokenConflict; }

}  // namespace

Status RetryCall(const RetryPolicy& policy, const RetryHost& host, int64_t deadline_mono_us,
                 const std::function<Status()>& attempt) {
  Status unknown;
  int64_t bound_us = policy.first_pause_us;
  for (;;) {
    Status status = attempt();
    if (status.ok()) return status;
    if (IsUnknown(status.code())) unknown = status;
    if (!IsRetryable(status.code())) {
      if (unknown.ok() || SettlesEarlierAttempts(status.code())) return status;
      return Status(unknown.code(), fmt::format("{}; then: {}", unknown.message(), status.ToString()));
    }
    const auto pause_us = static_cast<int64_t>(host.random->Next() % static_cast<uint64_t>(bound_us + 1));
    bound_us = std::min(bound_us * 2, policy.longest_pause_us);
    if (host.clock->MonoMicros() + pause_us >= deadline_mono_us) return unknown.ok() ? status : unknown;
    host.pause(pause_us);
  }
}

}  // namespace quipu::client
