// The settled state: what the journal has already given up, as sorted runs on disk (RocksDB, fed only by bulk load,
// never by its write path). Counters' checkpoints, the index of their names, interval sums; and per time slice the
// events and the tokens, so that retention drops whole slices. One settle is one atomic step together with the position
// it reaches.
//
// Layout    One column family each for `meta`, `counters`, `names`, `sums`; per slice `events-START-WIDTH` and
//           `tokens-START-WIDTH` in microseconds of commit time, so that another slice width leaves old slices
//           readable. Keys and values: docs/internals/settled.md, golden files in test/golden.
// Threads   Reads from any thread at any time. A SettleRun, Compact and Drop* from one thread at a time: each shard has
//           a worker of its own, which holds changing() from its first read for a change until the change is done.
//           RocksDB starts no work of its own: no memtable is ever filled, automatic compaction is off.
// Durable   What Commit, Compact and Drop* returned kOk for survives power loss. After a crash in Commit all of the run
// is
//           there or none.
// Errors    kDataLoss (a checksum failed, a file is missing, a row does not decode; the message names the file or the
// column
//           family), kStorageFull, kUnavailable. After kStorageFull, and kUnavailable from a write, nothing has changed
//           and the next change may succeed. After a failed sync every further change is kUnavailable and whether the
//           run is there shows only at the next Open; reads go on.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ids.h"
#include "model/token.h"
#include "rt/disk.h"
#include "rt/table_memory.h"
#include "store/embedded/interval.h"
#include "store/event_store.h"

namespace quipu::store {

// A counter's whole state at a position: one value, written as one.
struct Checkpoint {
  int64_t value = 0;
  Position position = 0;
  int64_t expiry_ms = 0;  // 0 = none
  Micros last_write_us = kNoTime;
  bool operator==(const Checkpoint&) const = default;
};

// 128 bits that stand for (namespace, counter, token); made by the engine with the data directory's secret seed.
struct TokenPrint {
  uint64_t hi = 0, lo = 0;
  bool operator==(const TokenPrint&) const = default;
  auto operator<=>(const TokenPrint&) const = default;
};

// A counter as the sorted runs know it. Ordered by (ns, hash, name).
struct CounterRef {
  NamespaceId ns = 0;
  uint64_t hash = 0;
  std::string_view name;
};

// An event row: everything that explain, check and a replay need.
struct SettledEvent {
  Position position = 0;
  OpKind kind = OpKind::kAdd;
  Outcome outcome = Outcome::kApplied;
  bool existed = false;   // the counter, before the event
  bool exists = true;     // and after
  uint32_t events = 1;    // adds without a token that share the record
  int64_t delta = 0;      // asked
  int64_t applied = 0;    // value after less value before, modulo 2^64
  int64_t value = 0;      // after
  int64_t expiry_ms = 0;  // after
  Micros event_us = 0;
  Micros last_write_us = kNoTime;  // of the counter, after
  Micros commit_us = 0;            // decides the slice
  uint64_t content = 0;  // digest of what was asked, to tell a replay from a conflict; 0: a plain add's, by its delta
  TokenBytes token;
  bool operator==(const SettledEvent&) const = default;
};

// A question after a token: where to look, and what was found.
struct TokenLookup {
  TokenPrint print;
  Micros since_commit_us = 0;         // only in slices whose time reaches to or past it
  std::optional<SettledEvent> event;  // without the token's text
};

// Memory for the tokens of a run until they are sorted, to be used again by the next run: fresh pages cost as much as
// the sorting. AddToken fills `tokens`; `spare` is the caller's until Commit, and `tokens` until the first AddToken.
struct RunScratch {
  static constexpr size_t kTokenBytes = 40;
  // Has room for so many tokens in both, whatever they held.
  void Reserve(size_t count);
  rt::TableMemory tokens, spare;
};

// One settle being built. Each kind of row must come in the order stated; kinds may be interleaved.
class SettleRun {
 public:
  virtual Status PutCounter(const CounterRef& counter, const Checkpoint& checkpoint) = 0;
  virtual Status DeleteCounter(const CounterRef& counter) = 0;
  // The index by name, ordered by (ns, name): only names that appear or disappear with this run.
  virtual Status PutName(NamespaceId ns, std::string_view name) = 0;
  virtual Status DeleteName(NamespaceId ns, std::string_view name) = 0;
  // Within one slice ordered by (counter, position); slices may come in any order.
  virtual Status AddEvent(const CounterRef& counter, const SettledEvent& event) = 0;
  // In any order; of equal prints the one of the highest position counts. The positions of one run lie within 2^31.
  virtual Status AddToken(const TokenPrint& print, const SettledEvent& event) = 0;
  // The minutes of one day, ascending, at least one; ordered by (counter, day). Adds to what earlier runs hold.
  virtual Status AddSums(const CounterRef& counter, int64_t day_us, std::span<const MinuteSum> minutes) = 0;
  // Small named values that change with this run (settled positions, namespaces, sources, counts), in any order; the
  // last one of a key counts; empty value = delete.
  virtual Status PutMeta(std::string_view key, std::string_view value) = 0;
  // Everything above in one step. The run is over afterwards, whatever the outcome; destroying it uncommitted discards
  // it.
  virtual Status Commit() = 0;
  virtual ~SettleRun() = default;
};

enum class SettledAccess : uint8_t { kChange, kRead };

struct SettledOptions {
  int64_t slice_us = 86400ll * 1000 * 1000;
  size_t block_cache_bytes = 64u << 20;
  int runs_max = 8;  // Compact merges a column family's runs beyond this many
  // Those of a slice only to runs of this size, or of a sixteenth of the slice where that is more.
  uint64_t slice_merge_bytes = 256u << 20;
  // kRead: nothing on the disk changes, not even what an interrupted run left; only reads may be called. A directory
  // that is not there, or only half made, reads as empty.
  SettledAccess access = SettledAccess::kChange;
};

class SettledStore {
 public:
  // Opens or creates `dir`; its parent must exist. One store per directory at a time. kDataLoss, kUnavailable,
  // kStorageFull. A directory without any file of a store counts as new: who knows that there was one must look
  // (GetMeta) and refuse.
  static Result<std::unique_ptr<SettledStore>> Open(rt::Disk* disk, const std::string& dir,
                                                    const SettledOptions& options);

  virtual Result<std::unique_ptr<SettleRun>> BeginRun(
      std::shared_ptr<RunScratch> scratch = std::make_shared<RunScratch>()) = 0;

  // Point reads: one Bloom-filtered lookup per run; about 1 us when absent, 3 us when cached.
  virtual Result<std::optional<Checkpoint>> GetCounter(const CounterRef& counter) = 0;
  virtual Result<std::optional<std::string>> GetMeta(std::string_view key) = 0;
  // Named values whose key starts with `prefix`, ascending, until visit returns false.
  virtual Status VisitMeta(std::string_view prefix,
                           const std::function<bool(std::string_view key, std::string_view value)>& visit) = 0;
  // All of them at once, where they are known to be few.
  Result<std::vector<std::pair<std::string, std::string>>> ListMeta(std::string_view prefix) {
    std::vector<std::pair<std::string, std::string>> rows;
    QUIPU_RETURN_IF_ERROR(VisitMeta(prefix, [&](std::string_view key, std::string_view value) {
      rows.emplace_back(key, value);
      return true;
    }));
    return rows;
  }

  // The events that prints stand for. Many at once wait together for the filters' memory.
  virtual Status FindTokens(std::span<TokenLookup> lookups) = 0;
  Result<std::optional<SettledEvent>> FindToken(const TokenPrint& print, Micros since_commit_us) {
    TokenLookup lookup{.print = print, .since_commit_us = since_commit_us, .event = {}};
    QUIPU_RETURN_IF_ERROR(FindTokens({&lookup, 1}));
    return lookup.event;
  }

  // Counters of `ns` in hash order from `from_hash` on, until visit returns false.
  virtual Status ScanCounters(NamespaceId ns, uint64_t from_hash,
                              const std::function<bool(const CounterRef&, const Checkpoint&)>& visit) = 0;
  // Names of `ns` ascending, greater than `after`, that start with `prefix`, until visit returns false.
  virtual Status ScanNames(NamespaceId ns, std::string_view after, std::string_view prefix,
                           const std::function<bool(std::string_view name)>& visit) = 0;
  // Events of a counter in ascending position, greater than `after`, over all slices, until visit returns false.
  virtual Status ScanEvents(const CounterRef& counter, Position after,
                            const std::function<bool(const SettledEvent&)>& visit) = 0;
  // Interval sums of a counter, ascending by start, start >= from_us and < to_us. Sums are kept exactly; kOverflow
  // where one does not fit 64 bits.
  virtual Status ScanSums(const CounterRef& counter, Interval interval, int64_t from_us, int64_t to_us,
                          const std::function<bool(int64_t start_us, int64_t sum, uint64_t events)>& visit) = 0;

  // Retention: drops whole slices that end at or before the time. Events go with their tokens.
  virtual Status DropTokensBefore(Micros commit_us) = 0;
  virtual Status DropEventsBefore(Micros commit_us) = 0;
  // Merges runs where there are too many, the newest ones first. Long; on the worker.
  virtual Status Compact() = 0;

  // Reads every file and compares it with its checksum. What a read checks anyway is less: the blocks that it touches.
  virtual Status VerifyChecksums() = 0;
  // Every counter that has a checkpoint or events, in key order, with its checkpoint (null if none) and its events in
  // ascending position: what `quipu check` recounts. Holds one counter's events in memory.
  virtual Status VisitAll(
      const std::function<Status(const CounterRef&, const Checkpoint*, const std::vector<SettledEvent>&)>& visit) = 0;
  // Every token row, slice by slice.
  virtual Status VisitTokens(const std::function<Status(const TokenPrint&, Position)>& visit) = 0;

  // After a failed sync: reads go on, but nothing is settled any more until the directory is opened anew.
  virtual bool Fenced() const = 0;

  virtual uint64_t DiskBytes() const = 0;
  // Memory beyond the block cache's: the filters of the tokens' runs, 1.25 bytes a token, and the roots of indexes.
  virtual uint64_t PinnedBytes() const = 0;
  // Workers wait for it as long as a settle or a merge takes. Never taken on a loop.
  std::mutex& changing() { return changing_; }
  virtual ~SettledStore() = default;

 private:
  std::mutex changing_;
};

}  // namespace quipu::store
