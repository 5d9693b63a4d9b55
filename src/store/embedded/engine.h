// The embedded engine: a data directory, opened by one process. It holds the identity of the store, the sorted runs and
// one journal per shard; each shard is an EventStore that a front end can submit to.
//
// Layout    DIR/lock  DIR/store (identity)  DIR/settled/ (RocksDB)  DIR/journal/0000/ ... one folder per shard
// Threads   Open on the starting thread with the loops not yet running, or on a loop's thread. The shard's store then
//           belongs to that loop.
// Errors    kAlreadyExists (another process has the directory), kDataLoss (damage; the message names the place),
//           kInvalidArgument (another format or number of shards), kStorageFull, kUnavailable.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "rt/random.h"
#include "store/embedded/shard.h"

namespace quipu::store {

struct EngineOptions {
  std::string data_dir;
  ShardOptions shard;
  SettledOptions settled;
  std::vector<std::pair<std::string, NamespaceSettings>> namespaces;  // seeds; `default` exists always
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Open(rt::Disk* disk, rt::Random* random, rt::Loop* loop,
                                              const EngineOptions& options);
  ~Engine();

  Shard* store() { return shard_.get(); }

 private:
  Engine() = default;

  std::unique_ptr<rt::FileLock> lock_;
  std::unique_ptr<SettledStore> settled_;
  std::unique_ptr<Shard> shard_;
};

// The identity of a data directory, in DIR/store.
struct StoreIdentity {
  uint64_t store_id[2] = {0, 0};
  uint64_t token_seed = 0;
  uint32_t shards = 1;
};
std::string EncodeStoreIdentity(const StoreIdentity& id);
Result<StoreIdentity> DecodeStoreIdentity(std::string_view bytes);
// Reads DIR/store. kNotFound if there is none.
Result<StoreIdentity> ReadStoreIdentity(rt::Disk* disk, const std::string& data_dir);

std::string JournalDir(const std::string& data_dir, uint32_t shard);
std::string SettledDir(const std::string& data_dir);

}  // namespace quipu::store
