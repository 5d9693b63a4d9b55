// The record of what happened, and the counts that follow from it. Front ends submit batches of ops; the store decides
// each op at once and says when the answers may be shown. Engines: memory/ (a plain model, no durability) and embedded/
// (journal, hot state, sorted runs). One contract suite (test/contract) runs on both.
//
// Decide now, show later. Submit runs the ops in order, with nothing between them. When every op belongs to this shard
// (the common case) the results are filled in when it returns: batch->decided. Otherwise, and while an earlier atomic
// batch over several shards is under way, they are filled in when on_done runs. Either way on_done says that the
// results may be shown: what they reveal will survive a crash as far as each namespace promises. A result must not
// leave the process before on_done (docs/adr/0003). Batches of one submitter are decided in the order of their
// submission, on each shard that has a part of them; they may be done in another: a read of something old need not wait
// for the write before it.
//
// Threads   All calls on the loop's thread that owns the store's home shard; on_done too, never inside the call.
// Memory    Ops, and what they point to, must stay put until the batch is decided (Submit returned with `decided`, or
//           on_done); the Batch itself until on_done.
// Errors    Per op a Code; for the batch a Status in on_done. Broken invariants abort.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/ids.h"
#include "model/namespace.h"
#include "store/op.h"
#include "store/source.h"

namespace quipu::store {

inline constexpr size_t kBatchOpsMax = 65536;

struct Batch {
  // ---- in
  std::span<Op> ops;
  // One commit and one moment: after a crash all of it is there or none. Ops with errors leave the others standing
  // (but see Op::joined); a kCheckVersion that fails undoes all of them (WATCH).
  bool atomic = false;
  bool all_or_nothing = false;         // atomic, and the first op with an error or a refusal undoes the rest
  const SourceStep* source = nullptr;  // implies atomic; CheckSourceStep has nothing against it
  void (*on_done)(Batch*) = nullptr;
  void* owner = nullptr;  // for the caller

  // ---- out, when Submit returns
  bool decided = false;  // the results below and in the ops hold already (but may not be shown)
  // ---- out, when decided
  // kOk; kConditionNotMet (atomic: nothing happened, failed_index says where; source: it stands elsewhere, see
  // source_offset, or an op's error undoes the step, UndoesSourceStep); kQuotaExceeded (a source never seen, and the
  // engine may know no more of them); kTooLarge (more than kBatchOpsMax ops, or atomic and beyond the journal's frame);
  // kUnavailable (closing); kReadOnly (fenced). Other than kOk: nothing happened, and every op has an error too: the
  // one at failed_index its own (a refusal becomes kConditionNotMet), the others the batch's. Where some shards refused
  // their part of a batch that is not atomic, and others did not: kOk, and the ops say which.
  Code code = Code::kOk;
  size_t failed_index = 0;
  uint64_t source_offset = 0;  // where the source stands after the call
  uint64_t commit_bytes = 0;   // kTooLarge for bytes: what its records may need; StoreInfo::commit_bytes_max is allowed
  // The time by which expiry and the age of tokens were judged; it never goes back while the store is open. kNoTime
  // where several shards had a part.
  Micros judged_us = kNoTime;
  // ---- out, when on_done runs
  // kOk: results may be shown. kUnknownOutcome: the commit failed; mutations of this batch may be there or not, and
  // reads must not be shown.
  Status status;
  // ---- for the store
  uint64_t gate = 0;
  Batch* next = nullptr;
};

// A page of the counters of a namespace. Results may be shown at once only when on_done runs. Other ops go on
// meanwhile: a counter is listed once at most, with a value that it had at some moment between the call and on_done,
// and one that is there throughout is left out only where others come before it.
struct ScanOp {
  enum class Order : uint8_t {
    kHash,  // from `cursor`, about `limit` of them; every counter present throughout a full scan comes exactly once
    kName,  // ascending by name, names > after_name that start with `prefix`, at most `limit`
    kTop,   // the `limit` largest values (smallest if `ascending`) among names with `prefix`; ties by name
  };
  // ---- in
  Order order = Order::kHash;
  NamespaceId ns = kDefaultNamespace;
  uint64_t cursor = 0;     // kHash: 0 starts
  std::string after_name;  // kName: empty starts
  std::string prefix;
  bool ascending = false;  // kTop
  size_t limit = 100;      // 1 to 100,000
  void (*on_done)(ScanOp*) = nullptr;
  void* owner = nullptr;
  // ---- out
  Status status;  // kOk, kDataLoss, kUnavailable, kUnknownOutcome (fenced meanwhile)
  std::vector<CounterEntry> entries;
  uint64_t next_cursor = 0;  // kHash: 0 = the scan is complete
  bool more = false;         // kName: there are further ones
  // ---- for the store
  uint64_t gate = 0;
  ScanOp* next = nullptr;
};

// One stored event of a counter, as explain, check and export see it.
struct EventEntry {
  Position position = 0;
  OpKind kind = OpKind::kAdd;
  Outcome outcome = Outcome::kApplied;
  int64_t delta = 0;    // asked
  int64_t applied = 0;  // value after less value before (kClear, kSet, kDelete too): the events add up to the value
  int64_t value = 0;    // after
  uint32_t events = 1;  // adds without a token that share the record
  Micros event_us = 0;
  std::string token;
};
struct EventsOp {
  // ---- in
  NamespaceId ns = kDefaultNamespace;
  std::string name;
  Position after = 0;  // events with position > after, ascending
  size_t limit = 100;  // 1 to 10,000
  void (*on_done)(EventsOp*) = nullptr;
  void* owner = nullptr;
  // ---- out
  Status status;
  std::vector<EventEntry> events;
  bool more = false;
};

struct StoreInfo {
  std::string engine;             // "memory", "embedded"
  Position durable_position = 0;  // summed over shards: a progress figure
  Position settled_position = 0;
  uint64_t counters = 0;              // that exist, all namespaces, exact
  uint64_t counters_with_expiry = 0;  // about: an expiry that was taken back counts until it would have come
  uint64_t tokens_in_memory = 0;
  uint64_t replays = 0, conflicts = 0, expired_tokens = 0;  // since start
  uint64_t adds = 0;                                        // since start, replays not counted
  uint64_t expired_counters = 0;                            // since start
  int64_t last_settle_wall_us = 0;
  uint64_t unsettled_bytes = 0;
  uint64_t memory_bytes = 0;  // of counters and tokens
  // Durability async and memory: an event is on its way to the medium at the latest so long after its answer; a loss of
  // power takes no older one, but for the time that the writes take.
  int64_t loss_window_us = 0;
  uint64_t commit_bytes_max = 0;  // that the records of one atomic batch may need; 0: any number
  // A write or sync has failed, of the journal (mutations are refused) or of what is settled (nothing more is): only a
  // restart helps.
  bool fenced = false;
  // Why the disk keeps adds from being taken at the moment: they are refused with this code. It may pass by itself.
  Status blocked;
};

class EventStore {
 public:
  // Decides every op of the batch, in order. Codes per op, all meaning "nothing happened":
  //   kOk                 result fields hold; a replay has replayed = true and repeats the first result.
  //   kOverflow           the value would leave 64 bits (kAdd without `bounded`), or `applied` would (saturate).
  //   kTokenConflict      the token is known on this counter with other content.
  //   kTokenExpired       the token's time is older than the horizon; kTokenInFuture: beyond the skew limit.
  //   kEventTooOld, kEventInFuture  the event time is beyond kEventUsMax.
  //   kTokenRequired      the namespace demands a token, and the op has none and no source.
  //   kNamespaceNotFound  no such id, or deleted.  kNotFound (kTokenOutcome).  kConditionNotMet (kCheckVersion).
  //   kQuotaExceeded      counters_max reached.    kStorageFull  disk or memory budget reached; reads go on.
  //   kUnavailable        closing, or the disk fails where nothing was written yet (StoreInfo::blocked); reads go on.
  //   kReadOnly           fenced after a failed sync.  kDataLoss  a checksum failed where this op must look.
  //   kTooLarge           a group (GroupRole::kWhole) of more counters than one commit holds.
  // Cost per add: one hash lookup, one token probe, one append; no allocation, lock, system call or clock read. An op
  // that heeds a group also walks the partition that the group shares with a 4,096th of the counters, unless no hot
  // counter there is of a group, and looks the group up among the settled names.
  virtual void Submit(Batch* batch) = 0;

  // Pages of counters and of one counter's events. May read disk; runs in pieces so that adds go on in between.
  virtual void Scan(ScanOp* op) = 0;
  virtual void Events(EventsOp* op) = 0;

  // The known sources with this anchor, furthest first. What is returned is durable.
  virtual void FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) = 0;

  // The namespaces now; the pointer stays valid for ever, a change makes a new table.
  virtual std::shared_ptr<const NamespaceTable> Namespaces() const = 0;
  // Creates (expected_version 0) or changes a namespace. kAlreadyExists, kVersionMismatch, kNamespaceNotFound,
  // kInvalidArgument, kReadOnly. on_done when durable.
  virtual void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                            std::function<void(Result<Namespace>)> on_done) = 0;

  // Counters that exist in a namespace: exact.
  virtual uint64_t CountCounters(NamespaceId ns) const = 0;
  virtual StoreInfo Info() const = 0;

  // Refuses new batches (kUnavailable), finishes what is in flight, syncs, then calls on_done once.
  virtual void Close(std::function<void(Status)> on_done) = 0;

  virtual ~EventStore() = default;
};

}  // namespace quipu::store
