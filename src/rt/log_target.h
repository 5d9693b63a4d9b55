// What the two log files share: the open descriptor, its alignment and the rules of a write.
#pragma once
#include <cstddef>
#include <string>

#include "rt/disk.h"
#include "rt/unique_fd.h"

namespace quipu::rt {

// An existing file opened for the journal: past the page cache where the file system can (O_DIRECT), else through it.
struct LogTarget {
  UniqueFd fd;
  size_t alignment = 0;
  std::string path;

  // The codes of rt/disk.h.
  static Result<LogTarget> Open(const std::string& path);
};

// The outcome of a write that moved `written` bytes, or failed with -`written` as errno. Short is an error as well:
// what is missing was not asked for again.
Status LogWriteStatus(const LogTarget& target, const LogFile::WriteOp& op, int64_t written);
// The outcome of a write whose sync failed.
Status LogSyncStatus(const LogTarget& target, const LogFile::WriteOp& op, int error);

// Aborts on a write that breaks the contract of LogFile::WriteOp.
void CheckLogWrite(const LogTarget& target, const LogFile::WriteOp& op);

}  // namespace quipu::rt
