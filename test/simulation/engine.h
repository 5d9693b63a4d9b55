// The stores that the simulator can run, behind one way to open them.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "rt/disk.h"
#include "rt/loop.h"
#include "rt/random.h"
#include "sim/sim_random.h"
#include "store/embedded/sharded_store.h"
#include "store/event_store.h"

namespace quipu::simulation {

// What the options of an open store excuse.
struct EngineLimits {
  static constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  uint64_t memory_bytes_enough = kNone;   // up to this much nothing is refused for lack of memory
  uint64_t memory_bytes_free = kNone;     // up to this much nothing is slowed down
  uint64_t unsettled_bytes_free = kNone;  // likewise
  uint64_t pending_bytes = kNone;         // frames waiting for the disk; beyond it adds are refused
  size_t frame_bytes = kNone;             // of a frame of the journal, which holds an atomic batch
};

// What a judge must know of an open store of several shards.
struct OpenShards {
  uint32_t count = 1;
  uint32_t home = 0;  // whose store the simulator sees
  // Of a shard: the time by which it judged last.
  std::function<Micros(uint32_t)> judged_us;
};

struct EngineContext {
  rt::Loop* loop = nullptr;
  rt::Disk* disk = nullptr;
  rt::Random* random = nullptr;
  // Options (segment sizes, budgets, intervals) are drawn from this stream at each start.
  sim::SimRandom* tuning = nullptr;
  double small_segments = 0;       // how often a store has segments and frames so small that a short life fills many
  uint64_t memory_mb_least = 1;    // the least budgets of memory, which are drawn in a third of the starts
  EngineLimits* limits = nullptr;  // out; may be null
  uint32_t shards = 1;
  store::DecisionObserver* observer = nullptr;  // where there are several
  OpenShards* opened = nullptr;                 // out; may be null
  uint64_t seed = 0;                            // for options that stay the same for the life of a data directory
};

struct Engine {
  std::string name;
  bool survives_crashes = true;
  bool done_in_order = true;
  std::function<Result<std::unique_ptr<store::EventStore>>(const EngineContext&)> open;
  // Recounts the data of a closed store from its events. Empty, or what is wrong; may be null.
  std::function<std::string(rt::Disk*)> check;
};

// "memory", "embedded"; null for another name.
const Engine* FindEngine(const std::string& name);

}  // namespace quipu::simulation
