// Planted bugs: wrappers that break a promise on purpose, by the numbers of the catalogue below. A judge that does not
// find them all is itself broken.
//
//    1 nothing is ever synced                        21 a token is forgotten at random
//    2 answers leave before they are durable         25 the content of a replay is not compared
//    3 a failed sync is retried, and then believed   28 a replay returns today's value
//    4 directories are never synced                  29 an add with a token counts twice now and then
//    6 settled runs are not synced
//    9 a write error is swallowed                    31 an add is off by one now and then
//   10 a short write is dropped                      38 a read shows an old value
//                                                    40 the last op of an atomic batch is left out
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rt/disk.h"
#include "sim/sim_random.h"
#include "store/event_store.h"

namespace quipu::simulation {

const std::vector<int>& Plants();
// Bugs within the engine (base/plant.h), in builds that have them.
struct EnginePlant {
  int number = 0;
  const char* what = "";
  const char* scenario = "";  // the one whose world makes it matter; empty: any
};
const std::vector<EnginePlant>& EnginePlants();

// Passes everything on, but for the bug.
class PlantedDisk final : public rt::Disk {
 public:
  PlantedDisk(rt::Disk* disk, int plant);
  ~PlantedDisk() override;
  Result<std::unique_ptr<rt::File>> Open(const std::string& path, rt::OpenMode mode) override;
  Result<std::unique_ptr<rt::LogFile>> OpenLog(const std::string& path, rt::Loop* loop) override;
  Result<std::unique_ptr<rt::FileLock>> Lock(const std::string& path) override { return disk_->Lock(path); }
  Result<std::unique_ptr<rt::FileLock>> LockShared(const std::string& path) override { return disk_->LockShared(path); }
  Status Rename(const std::string& from, const std::string& to) override { return disk_->Rename(from, to); }
  Status Remove(const std::string& path) override { return disk_->Remove(path); }
  Status MakeDir(const std::string& path) override { return disk_->MakeDir(path); }
  Status RemoveDir(const std::string& path) override { return disk_->RemoveDir(path); }
  Status SyncDir(const std::string& path) override;
  bool Exists(const std::string& path) override { return disk_->Exists(path); }
  bool IsDir(const std::string& path) override { return disk_->IsDir(path); }
  Result<std::vector<std::string>> List(const std::string& dir) override { return disk_->List(dir); }
  Result<rt::DiskSpace> Space(const std::string& path) override { return disk_->Space(path); }

 private:
  class Log;
  struct LogWrite;
  rt::Disk* const disk_;
  const int plant_;
  std::vector<std::unique_ptr<LogWrite>> log_writes_;  // all of a run: some are never told their end
};

// The store with the bug, or the store itself if the plant is none of its kind.
std::unique_ptr<store::EventStore> PlantInStore(std::unique_ptr<store::EventStore> store, int plant, uint64_t seed);

}  // namespace quipu::simulation
