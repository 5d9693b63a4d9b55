// What the suite needs of an engine: a store that runs on a loop in virtual time, and ways to trouble it.
//
// Threads   One.
// Errors    An engine that does not open or does not answer stops the test program with a message.
#pragma once
#include <functional>
#include <memory>
#include <ostream>
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

// What may happen to a store while nobody waits for an answer, and must not be noticed.
enum class Trouble : uint8_t {
  kNone,
  kReopen,     // an orderly end and a new start
  kReshard,    // the same, and the counters are spread anew
  kKill,       // the process dies
  kPowerLoss,  // the machine does
  kSettle,     // everything so far moves to its final place
};

class EngineUnderTest {
 public:
  virtual EventStore* store() = 0;
  // No-op where nothing outlives the process.
  virtual void Endure(Trouble trouble) = 0;
  // An orderly end; the store then refuses.
  virtual void Close() = 0;
  virtual ~EngineUnderTest() = default;
};

// One row of the suite: an engine, and what troubles it while the tests run.
struct EngineKind {
  std::string name;
  std::unique_ptr<EngineUnderTest> (*make)(Machine* machine);
  std::vector<Trouble> troubles = {};  // one after each batch, in turn
  bool in_shards = false;              // other shards' figures, and their expired counters, are told a little later
  // Orderly restarts keep everything; the others only what was promised to survive them.
  bool KeepsUnsynced() const;
};
void PrintTo(const EngineKind& kind, std::ostream* out);
const std::vector<EngineKind>& AllEngines();

}  // namespace quipu::store
