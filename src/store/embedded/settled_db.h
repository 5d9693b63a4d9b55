// The RocksDB instance under a settled store: its options, its column families as an immutable view that reads share,
// and the few changes there are: add a run, drop families, merge runs. Included by settled*.cc alone.
//
// Threads   view() from any thread; the changes from one at a time.
// Durable   A change that returned kOk survives power loss; one that failed happened as a whole or not at all.
// Errors    As in settled.h. After a failed change RocksDB takes no other; Prepare() opens the database anew then,
// unless
//           a sync failed: after that only reads go on.
#pragma once
#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"
#include "store/embedded/rocks_disk.h"
#include "store/embedded/settled.h"

namespace quipu::store {

enum class FamilyKind : uint8_t { kMeta, kCounters, kNames, kSums, kEvents, kTokens };

// Which family. Its name on disk is the kind, and for slices kind-START-WIDTH in microseconds.
struct FamilyId {
  FamilyKind kind = FamilyKind::kMeta;
  Micros start_us = 0;  // kEvents and kTokens: the slice
  int64_t width_us = 0;
  bool operator==(const FamilyId&) const = default;
  auto operator<=>(const FamilyId&) const = default;
  bool sliced() const { return kind == FamilyKind::kEvents || kind == FamilyKind::kTokens; }
  Micros end_us() const { return start_us + width_us; }
};
std::string FamilyName(const FamilyId& id);
std::optional<FamilyId> ParseFamilyName(std::string_view name);
FamilyId SliceFamily(FamilyKind kind, Micros commit_us, int64_t width_us);

// A column family, which keeps its database open; a dropped one is deleted with its last reader.
class SettledFamily {
 public:
  SettledFamily(std::shared_ptr<rocksdb::DB> db, rocksdb::ColumnFamilyHandle* handle, FamilyId id)
      : db_(std::move(db)), handle_(handle), id_(id) {}
  ~SettledFamily();
  rocksdb::DB* db() const { return db_.get(); }
  const std::shared_ptr<rocksdb::DB>& shared_db() const { return db_; }
  rocksdb::ColumnFamilyHandle* handle() const { return handle_; }
  const FamilyId& id() const { return id_; }

 private:
  const std::shared_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* const handle_;
  const FamilyId id_;
};
using FamilyRef = std::shared_ptr<const SettledFamily>;

struct SettledView {
  FamilyRef meta, counters, names, sums;  // null where there is none yet and none may be made (SettledAccess::kRead)
  std::vector<FamilyRef> events, tokens;  // ascending by slice
  std::vector<FamilyRef> All() const;     // that there are
};
using ViewRef = std::shared_ptr<const SettledView>;

// A sorted file that is to become part of a family.
struct RunFile {
  FamilyId family;
  std::string path;
  std::string checksum, checksum_name;
};

// How many of a family's newest runs to merge, given the sizes of at least two from the newest to the oldest: as far as
// the next older one is not much larger than all of them together, and together they are no larger than bytes_max. A
// byte is then rewritten about as often as the number of runs doubles, not once per run. 0: none.
size_t RunsToMerge(std::span<const uint64_t> sizes, uint64_t bytes_max);

class SettledDb {
 public:
  static Result<std::unique_ptr<SettledDb>> Open(rt::Disk* disk, const std::string& dir, const SettledOptions& options);
  ~SettledDb();

  Result<ViewRef> view() const;
  const SettledOptions& options() const { return options_; }
  RocksDisk* files() const { return files_.get(); }
  uint64_t pinned_bytes() const { return pinned_bytes_.load(std::memory_order_relaxed); }

  // Before a change: kOk if the database takes one.
  Status Prepare();
  // Options for a file of `kind`, and a path for it that Open clears away if it is left over.
  rocksdb::Options FileOptions(FamilyKind kind) const;
  std::string NewFilePath();
  // Makes all files part of their families in one step; creates missing families first. At most one file per family.
  Status Ingest(const std::vector<RunFile>& files);
  Status Drop(const std::vector<FamilyId>& ids);
  // Merges runs of the family until it has at most runs_max.
  Status Merge(const FamilyId& id);
  // Reads every byte of every file and compares with its checksum.
  Status Verify();

 private:
  SettledDb(rt::Disk* disk, std::string dir, const SettledOptions& options);
  bool only_reads() const { return options_.access == SettledAccess::kRead; }
  // Clears what an interrupted run left; true if the database is to be created.
  Result<bool> ClearLeftovers();
  Result<ViewRef> OpenView();
  rocksdb::ColumnFamilyOptions FamilyOptions(FamilyKind kind) const;
  // Remembers that the database takes no more changes.
  Status Broken(Status status);
  void Publish(SettledView view);
  // What every run keeps in memory is held by the cache, beside the room it has for blocks.
  void SizeCache();
  // Deletes files that no longer belong to the state.
  void Purge(rocksdb::DB* db);

  rt::Disk* const disk_;
  const std::string dir_;
  const SettledOptions options_;
  const std::shared_ptr<RocksDisk> files_;
  const std::unique_ptr<rocksdb::Env> env_;
  rocksdb::DBOptions db_options_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::atomic<uint64_t> pinned_bytes_ = 0;
  std::shared_ptr<const rocksdb::FilterPolicy> filter_;
  uint64_t next_file_ = 0;
  Status broken_;
  mutable std::mutex mutex_;  // view_; held while the database is opened anew, so that reads wait instead of failing
  ViewRef view_;
  Status no_view_;  // why there is none
};

// A settle in the making, over `db`.
Result<std::unique_ptr<SettleRun>> NewSettleRun(SettledDb* db, std::shared_ptr<RunScratch> scratch);

}  // namespace quipu::store
