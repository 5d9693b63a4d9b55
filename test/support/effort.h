// How often a test that repeats itself does so. Under sanitizers each step takes five to twenty times as long, and what
// they look for shows in any of them: there an eighth is done. The ordinary build does all. Properties under rapidcheck
// run 100 times, under sanitizers 20 (RC_PARAMS in cmake/QuipuModule.cmake).
#pragma once
#include <cstdint>

namespace quipu {

#if defined(QUIPU_SANITIZED)
inline constexpr uint64_t kEffortDivisor = 8;
#else
inline constexpr uint64_t kEffortDivisor = 1;
#endif

// Of so many repetitions, or of a limit that they must reach.
constexpr uint64_t Effort(uint64_t times) { return times > kEffortDivisor ? times / kEffortDivisor : 1; }

}  // namespace quipu
