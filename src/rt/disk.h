// The only door to files. Real: POSIX calls and io_uring (real_disk.h). Simulated: a page cache that power loss tears
// (sim/sim_disk.h). Blocking calls are for start-up, recovery and worker jobs; the request path writes through LogFile.
//
// Durable   Written data survives power loss only after File::Sync of that file; a created, renamed or removed name
//           only after Disk::SyncDir of its directory. A Sync that failed once must never be taken back by a later one
//           that succeeds: the caller fences itself.
// Errors    kStorageFull (no space, quota), kNotFound (no such file), kAlreadyExists (lock held by another process),
//           kUnavailable (everything else: EIO, EACCES, EROFS, ...). Messages name call, path and errno.
// Threads   A Disk from any thread. A File or LogFile from one thread at a time, except that several may ReadAt a File
//           that nobody changes meanwhile.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace quipu::rt {

class Loop;

enum class OpenMode : uint8_t {
  kRead,       // must exist
  kReadWrite,  // must exist
  kCreate,     // created if missing, kept if there, read and write
  kTruncate,   // created if missing, emptied if there, read and write
};

class File {
 public:
  // Reads up to out.size() bytes; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, std::span<char> out) = 0;
  // All bytes or an error; after an error any part of the range may be written.
  virtual Status WriteAt(uint64_t offset, std::span<const char> data) = 0;
  // Data, and the metadata needed to read it back, on the medium (fdatasync).
  virtual Status Sync() = 0;
  virtual Result<uint64_t> Size() = 0;
  virtual Status Truncate(uint64_t size) = 0;
  virtual ~File() = default;
};

// An open file written by whole aligned blocks, each write on the medium when it is done. Used for the journal.
class LogFile {
 public:
  struct WriteOp {
    uint64_t offset = 0;            // multiple of alignment()
    std::span<const char> data;     // address and size multiples of alignment(); stays put until on_done
    void (*on_done)(WriteOp*) = nullptr;  // on the loop's thread, never inside Write()
    Status status;                  // out. kOk: on the medium; else any part may be on the medium (never retried)
    void* owner = nullptr;
    WriteOp* next = nullptr;        // for the implementation while in flight
  };
  // Starts a synced write. Several may be in flight; they may complete and reach the medium in any order.
  virtual void Write(WriteOp* op) = 0;
  // Bytes; a power of two, 512 to 4096.
  virtual size_t alignment() const = 0;
  // In-flight writes must be done first.
  virtual ~LogFile() = default;
};

// Held until destroyed; a second process gets kAlreadyExists, unless both hold it shared.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct DiskSpace {
  uint64_t free_bytes = 0;
  uint64_t total_bytes = 0;
};

class Disk {
 public:
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // The file must exist with its final size (see WriteAt and Sync above: laid out, so that a synced write touches no
  // file-system metadata). Completions run on `loop`.
  virtual Result<std::unique_ptr<LogFile>> OpenLog(const std::string& path, Loop* loop) = 0;
  // Makes the file if it is missing.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  // Changes nothing, so that it works where nothing may be written; kNotFound.
  virtual Result<std::unique_ptr<FileLock>> LockShared(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status MakeDir(const std::string& path) = 0;    // kOk if it is there already
  virtual Status RemoveDir(const std::string& path) = 0;  // must be empty
  virtual Status SyncDir(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
  virtual bool IsDir(const std::string& path) = 0;
  // Names without path, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& dir) = 0;
  virtual Result<DiskSpace> Space(const std::string& path) = 0;
  virtual ~Disk() = default;
};

}  // namespace quipu::rt
