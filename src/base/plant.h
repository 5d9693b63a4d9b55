// Bugs that a build can plant in itself, by number, so that tests prove that they would find them. Only the simulator's
// `sim_planted` is built with QUIPU_PLANTS; in every other build QUIPU_PLANTED is false and costs nothing.
// test/simulation/plants.cc lists the numbers.
//
// Not in headers: a planted and a sound copy of an inline function would be one to the linker.
//
// Threads   Set before anything runs.
#pragma once

#ifdef QUIPU_PLANTS
namespace quipu {
inline int planted_bug = 0;  // 0 = none
}
#define QUIPU_PLANTED(number) (::quipu::planted_bug == (number))
#else
#define QUIPU_PLANTED(number) false
#endif
