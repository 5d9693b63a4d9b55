// What the suite needs of an engine: a store that runs on a loop in virtual time, and a way to restart it.
//
// Threads   One.
// Errors    An engine that does not open or does not answer stops the test program with a message.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "sim/sim_clock.h"
#include "sim/sim_loop.h"
#include "sim/trace.h"
#include "store/event_store.h"

namespace quipu::store {

// The machine: one clock, one loop. Outlives every engine that runs on it.
struct Machine {
  sim::SimClock clock;
  sim::Trace trace;
  sim::SimLoop loop{&clock, &trace, 1};

  // Runs `step` on the loop's thread inside a turn, then turns until *done.
  void Run(const std::function<void()>& step, const bool* done);
  Micros NowUs() const { return clock.WallMicros(); }
};

class EngineUnderTest {
 public:
  virtual EventStore* store() = 0;
  // An orderly restart: what was acknowledged must be there afterwards. No-op where nothing outlives the process.
  virtual void Reopen() = 0;
  virtual ~EngineUnderTest() = default;
};

// One row of the suite: an engine and how it is troubled while the tests run.
struct EngineKind {
  std::string name;
  std::unique_ptr<EngineUnderTest> (*make)(Machine* machine);
  int reopen_every = 0;  // restart after each n-th batch; 0 = never
};
const std::vector<EngineKind>& AllEngines();

}  // namespace quipu::store
