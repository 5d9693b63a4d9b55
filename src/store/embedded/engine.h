// The embedded engine: a data directory, opened by one process. It holds the identity of the store, the sorted runs and
// one journal per shard; each shard is an EventStore that a front end can submit to.
//
// Layout    DIR/lock  DIR/store (identity)  DIR/settled/ (RocksDB)  DIR/journal/GENERATION/SHARD/ the journals
// Shards    One per loop. Their number may change from one opening to the next: the old journals are settled to the end
//           first, and a new generation of journals begins.
// Threads   Open with the loops not running (or, with one loop, on it). store(i) and shard(i) then belong to loop i.
//           Destroy with the loops stopped.
// Errors    kAlreadyExists (another process has the directory), kDataLoss (damage; the message names the place),
//           kInvalidArgument (another format or number of shards), kStorageFull, kUnavailable.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "rt/meetings.h"
#include "rt/random.h"
#include "store/embedded/shard.h"

namespace quipu::store {

class DecisionObserver;

struct EngineOptions {
  std::string data_dir;
  ShardOptions shard;
  SettledOptions settled;
  std::vector<std::pair<std::string, NamespaceSettings>> namespaces;  // seeds; `default` exists always
  DecisionObserver* observer = nullptr;  // of several shards (sharded_store.h); outlives the engine
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(rt::Disk* disk, rt::Random* random, const std::vector<rt::Loop*>& loops,
                                              const EngineOptions& options);
  ~Engine();

  // What front ends on loop i submit to.
  EventStore* store(uint32_t i = 0) { return stores_.empty() ? shards_[i].get() : stores_[i].get(); }
  Shard* shard(uint32_t i = 0) { return shards_[i].get(); }
  uint32_t shards() const { return static_cast<uint32_t>(shards_.size()); }

 private:
  Engine() = default;

  std::unique_ptr<rt::FileLock> lock_;
  std::unique_ptr<SettledStore> settled_;
  rt::Meetings meetings_;
  std::vector<const NamespaceCounts*> counts_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<EventStore>> stores_;  // none with a single shard: it is the store itself
};

// The identity of a data directory, in DIR/store.
struct StoreIdentity {
  uint64_t store_id[2] = {0, 0};
  uint64_t token_seed = 0;
  uint32_t shards = 1;
  uint32_t generation = 1;  // of the journals; 0 while the directory is being made
};
std::string EncodeStoreIdentity(const StoreIdentity& id);
Result<StoreIdentity> DecodeStoreIdentity(std::string_view bytes);
// Reads DIR/store. kNotFound if there is none.
Result<StoreIdentity> ReadStoreIdentity(rt::Disk* disk, const std::string& data_dir);

std::string GenerationDir(const std::string& data_dir, uint32_t generation);
std::string JournalDir(const std::string& data_dir, const StoreIdentity& id, uint32_t shard);
JournalIdentity JournalIdentityOf(const StoreIdentity& id, uint32_t shard);
std::string PositionGeneration(const StoreIdentity& id);
// Where the journals of all shards end, and so which steps over several shards are whole. Reads only.
class StepIndex {
 public:
  static Result<StepIndex> Read(rt::Disk* disk, SettledStore* settled, const std::string& data_dir,
                                const StoreIdentity& id);
  bool Holds(const StepRecord& step) const;

 private:
  std::vector<Position> ends_;
};
std::string SettledDir(const std::string& data_dir);

}  // namespace quipu::store
