#include "sim/fault_plan.h"

namespace quipu::sim {

std::string_view CallName(Call call) {
  constexpr std::array<std::string_view, kCalls> kNames = {"open", "read",     "write",  "log write",
                                                           "sync", "sync dir", "rename", "look"};
  return kNames[static_cast<size_t>(call)];
}

std::string_view FaultName(Fault fault) {
  constexpr std::array<std::string_view, kFaults> kNames = {"none", "error", "no space", "partial", "flip", "stall"};
  return kNames[static_cast<size_t>(fault)];
}

uint64_t DiskCounts::Calls() const {
  uint64_t sum = 0;
  for (uint64_t n : calls) sum += n;
  return sum;
}

uint64_t DiskCounts::Faults() const {
  uint64_t sum = 0;
  for (const auto& of_call : faults) {
    for (size_t f = 0; f < kFaults; ++f) {
      if (static_cast<Fault>(f) != Fault::kNone && static_cast<Fault>(f) != Fault::kStall) sum += of_call[f];
    }
  }
  return sum;
}

}  // namespace quipu::sim
