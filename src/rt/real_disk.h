// Files through POSIX calls. Interrupted calls are repeated and short ones continued, except a sync, which is made
// once: what a failed sync has dropped no second one brings back.
//
// Names     New files are 0640 and new directories 0750 before the umask.
// Locks     An open-file-description lock on the whole file: held per open, so a second Lock in this process fails as
//           well, and released by the kernel when the process dies. The file stays.
// Errors    As rt/disk.h says.
#pragma once
#include "rt/disk.h"
#include "rt/real.h"

namespace quipu::rt {

class RealDisk final : public Disk {
 public:
  explicit RealDisk(const DiskOptions& options) : options_(options) {}
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::unique_ptr<LogFile>> OpenLog(const std::string& path, Loop* loop) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> LockShared(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDir(const std::string& path) override;
  Status RemoveDir(const std::string& path) override;
  Status SyncDir(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsDir(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& dir) override;
  Result<DiskSpace> Space(const std::string& path) override;

 private:
  const DiskOptions options_;
};

}  // namespace quipu::rt
