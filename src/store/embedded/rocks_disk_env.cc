// RocksDB's environment without what would make two runs differ.
#include <rocksdb/system_clock.h>

#include "store/embedded/rocks_disk.h"

namespace quipu::store {
namespace {

class StillClock final : public rocksdb::SystemClockWrapper {
 public:
  StillClock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "QuipuStillClock"; }
  uint64_t NowMicros() override { return 1; }
  uint64_t NowNanos() override { return 1000; }
  uint64_t CPUMicros() override { return 1; }
  uint64_t CPUNanos() override { return 1000; }
  rocksdb::Status GetCurrentTime(int64_t* unix_time) override {
    *unix_time = 1;
    return rocksdb::Status::OK();
  }
};

class RocksEnv final : public rocksdb::EnvWrapper {
 public:
  explicit RocksEnv(std::shared_ptr<RocksDisk> files) : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = std::move(files);
    system_clock_ = std::make_shared<StillClock>();
  }
  const char* Name() const override { return "QuipuEnv"; }
  std::string GenerateUniqueId() override { return "quipu"; }
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}
  void SetBackgroundThreads(int, Priority) override {}
  void Schedule(void (*)(void*), void*, Priority pri, void*, void (*)(void*)) override {
    QUIPU_ASSERT(false, "RocksDB asks for background work of priority {}", static_cast<int>(pri));
  }
  void StartThread(void (*)(void*), void*) override { QUIPU_ASSERT(false, "RocksDB asks for a thread"); }
};

}  // namespace

std::unique_ptr<rocksdb::Env> NewRocksEnv(std::shared_ptr<RocksDisk> files) {
  return std::make_unique<RocksEnv>(std::move(files));
}

}  // namespace quipu::store
