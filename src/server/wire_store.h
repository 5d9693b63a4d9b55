// Chooses and opens the store: the only place that names an engine.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"
#include "rt/loop.h"
#include "rt/random.h"
#include "server/config.h"
#include "store/event_store.h"

namespace quipu::server {

class WiredStore {
 public:
  // What front ends on loop i submit to.
  virtual store::EventStore* store(size_t i) = 0;
  // Close the store first.
  virtual ~WiredStore() = default;
};

// Recovers what is in config.data_dir, with one shard for each loop; blocks until then. No loop may run yet.
// kAlreadyExists (another process has the directory), kDataLoss, kInvalidArgument (another format), kStorageFull,
// kUnavailable.
Result<std::unique_ptr<WiredStore>> OpenStore(const Config& config, rt::Disk* disk, rt::Random* random,
                                              const std::vector<rt::Loop*>& loops);

}  // namespace quipu::server
