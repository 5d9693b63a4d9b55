// RocksDB's file system over rt::Disk, so that every byte it reads or writes passes our seam, on the real disk and on
// the simulated one alike. It holds RocksDB to rules that a harsh disk demands:
//
//   Written once   A file is appended to, synced, and never opened for writing again. The store opens RocksDB so that
//   each
//                  change of its state is a whole new MANIFEST: there is no torn tail that could be taken for an old
//                  state.
//   Sealed         CURRENT names the MANIFEST, and holds size and CRC32C of it and of the end of every run. RocksDB
//   alone
//                  takes an older MANIFEST under the right name for the right one, and asserts on some damage to the
//                  properties at the end of a run before it looks at their checksum. So both are compared with the seal
//                  before RocksDB reads them.
//   Fenced         After a failed sync or directory sync nothing is written or removed any more: what such a file
//   holds,
//                  or which names survive, is no longer known. Reads go on.
//   Read as written  While a run is added RocksDB 7.8 reads its first and last key and takes a failed read for "no
//   keys": the
//                  rows would be there and never be found. So reads of a file that is not yet linked are compared with
//                  what was written, and once one failed the link is refused.
//   No options     A list of its options, which RocksDB would write, read again and compare at each start and with each
//                  new family: half of what a start costs, and nobody reads it.
//   Kept           The MANIFEST that CURRENT names is not deleted. RocksDB 7.8 would, after it failed to name a newer
//   one.
//
// A hard link of an ingested file is a rename: the temporary name is gone afterwards.
//
// Threads   Any. Files as RocksDB uses them: writers and sequential readers by one thread, random readers by many.
// Errors    Each IOStatus carries our Status as text; FromRocks finds it again. Out of space travels as a plain I/O
//           error, because RocksDB would start a recovery thread of its own for its NoSpace.
#pragma once
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"

namespace quipu::store {

// Names that RocksDB gives to its files, and one of ours: runs in the making.
inline constexpr std::string_view kCurrentName = "CURRENT", kManifestPrefix = "MANIFEST-", kRunSuffix = ".sst";
inline constexpr std::string_view kOptionsPrefix = "OPTIONS-";
inline constexpr std::string_view kNewRunSuffix = ".tmp";
constexpr std::string_view BaseName(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }
std::string DirName(std::string_view path);

struct FileSeal {
  uint64_t size = 0;
  uint32_t crc = 0;  // CRC32C of a MANIFEST, or of the last kSealedBytes of a run
  bool operator==(const FileSeal&) const = default;
};
inline constexpr size_t kSealedBytes = 16384;  // the properties, the top of the index and the footer are there

// What CURRENT says: a line with the MANIFEST's name, a line "NAME SIZE CRC" for each file in order of the names, and a
// line with the CRC32C of all before it.
struct CurrentSeal {
  std::string manifest;                   // file name without directory
  std::map<std::string, FileSeal> files;  // the MANIFEST too
  bool operator==(const CurrentSeal&) const = default;
};
std::string SealCurrent(const CurrentSeal& seal);
std::optional<CurrentSeal> UnsealCurrent(std::string_view text);

// A RocksDB status as ours, `what` in front. Corruption and missing files are kDataLoss; what the disk reported is what
// it reported; anything else is kUnavailable.
Status FromRocks(const rocksdb::Status& status, std::string_view what);

class RocksDisk final : public rocksdb::FileSystem {
 public:
  explicit RocksDisk(rt::Disk* disk) : disk_(disk) {}

  static const char* kClassName() { return "QuipuDisk"; }
  const char* Name() const override { return kClassName(); }

  // Whether CURRENT and the MANIFEST that it names are as they were written.
  Status CheckCurrent(const std::string& path) { return ReadCurrent(path).status(); }
  // kOk, or the failure after which nothing is written any more.
  Status fence() const;

  // Opening CURRENT checks the seal and the MANIFEST that it names, and yields the name alone.
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* out,
                                      rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* out,
                                        rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out,
                                       rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* out, rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetChildren(const std::string& dir, const rocksdb::IOOptions& options,
                                std::vector<std::string>* out, rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus DeleteDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions& options, uint64_t* size,
                                rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetFileModificationTime(const std::string& path, const rocksdb::IOOptions& options, uint64_t* time,
                                            rocksdb::IODebugContext* context) override;
  // Syncs the directory first, so that a name never becomes durable before the names that it relies on.
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus LockFile(const std::string& path, const rocksdb::IOOptions& options, rocksdb::FileLock** lock,
                             rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus UnlockFile(rocksdb::FileLock* lock, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetTestDirectory(const rocksdb::IOOptions& options, std::string* path,
                                     rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus GetAbsolutePath(const std::string& path, const rocksdb::IOOptions& options, std::string* out,
                                    rocksdb::IODebugContext* context) override;
  rocksdb::IOStatus IsDirectory(const std::string& path, const rocksdb::IOOptions& options, bool* is_dir,
                                rocksdb::IODebugContext* context) override;

 private:
  friend class RocksWritableFile;
  friend class RocksNewRunFile;
  friend class RocksDirectory;

  // What one Append wrote.
  struct Piece {
    uint64_t offset = 0;
    size_t size = 0;
    uint32_t crc = 0;
  };
  // A finished file that is not yet part of the state.
  struct NewRun {
    std::vector<Piece> pieces;
    Status failed;  // the first read that failed
  };

  // Fences on `status` and gives it back.
  Status Fence(Status status);
  Status SyncDir(const std::string& dir);
  // What became of the reads of a run that is linked or removed now.
  Status ForgetRun(const std::string& path);
  // Replaces the content of the temporary file that is about to become CURRENT by its sealed form.
  Status Seal(const std::string& path);
  Result<CurrentSeal> ReadCurrent(const std::string& path);
  // Takes over what CURRENT says.
  Result<std::string> LoadCurrent(const std::string& path);
  Status CheckEnd(const std::string& path, rt::File* file);
  Result<std::string> ReadWhole(const std::string& path);

  rt::Disk* const disk_;
  mutable std::mutex mutex_;
  Status fence_;  // mutex_
  std::atomic<bool> fenced_ = false;
  std::string last_manifest_;              // mutex_; the MANIFEST synced last
  std::map<std::string, FileSeal> seals_;  // mutex_; of the files that are or may become part of the state
  std::map<std::string, std::shared_ptr<NewRun>> new_runs_;  // mutex_; by path
  std::string current_manifest_;  // mutex_; the one that CURRENT names, as far as it is known
};

// An environment with these files, without a clock (it stands still), without background threads, and with one fixed
// database identity: what RocksDB writes then depends on what it is given alone, up to the session number that it draws
// once per process and stores in each file. It aborts if RocksDB asks for background work, which its options exclude.
std::unique_ptr<rocksdb::Env> NewRocksEnv(std::shared_ptr<RocksDisk> files);

}  // namespace quipu::store
