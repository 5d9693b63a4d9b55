// One shard of the embedded engine: its hot counters, its tokens, its journal. Decides every op at once in memory,
// appends what changed to the journal's open frame, and shows results when the journal has reached them.
//
// The path of an add: prefetch (counter line, token line) -> token probe -> Decide -> one record -> results; no lock,
// allocation, system call or clock read. Cold counters and old tokens cost a Bloom-filtered look into the sorted runs.
//
// Threads   The shard's loop. Settling and event listings run on its workers and touch only files and the SettledStore.
// Files     shard_submit.cc (ops), shard_scan.cc (listings), shard_settle.cc (settling, retention, memory), shard.cc
// (life). Errors    As EventStore says. A failed journal write fences the shard: mutations kReadOnly, waiting batches
// unknown.
#pragma once
#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rt/disk.h"
#include "rt/loop.h"
#include "store/decide.h"
#include "store/embedded/counter_table.h"
#include "store/embedded/expiry_index.h"
#include "store/embedded/journal.h"
#include "store/embedded/journal_reader.h"
#include "store/embedded/placement.h"
#include "store/embedded/record.h"
#include "store/embedded/settled.h"
#include "store/embedded/settler.h"
#include "store/embedded/token_window.h"
#include "store/event_store.h"

namespace quipu::store {

struct ShardOptions {
  JournalOptions journal;
  size_t counters_bytes_max = 4ull << 30;   // hot counters; beyond it settled ones are dropped from memory
  size_t tokens_bytes_max = 4ull << 30;     // tokens of the recent past
  uint64_t settle_bytes = 256ull << 20;     // settle when this much journal is unsettled: bounds recovery
  int64_t settle_interval_us = 60'000'000;  // and at least this often while there is anything to settle
  size_t sources_max = 65'536;              // sources known; up to 4 KiB each, all in memory
  TokenWindow::Options tokens;
};

class Shard;
using ShardOfOp = std::function<Shard*(const Op&)>;

// How far a step over several shards has come: each participant's part counts down once it is on the medium and all
// steps before it there are open; the last one tells all of them.
struct StepProgress {
  std::vector<std::pair<Shard*, Position>> parts;
  std::atomic<size_t> missing = 0;
};

// Whether this op's result, as decided on paper, means that nothing of its batch may happen; and that outcome.
bool UndoesBatch(const Batch& batch, const Op& op);
void UndoBatch(Batch* batch, size_t failed, Code code);
// Fails the batch and every op of it.
void FailBatch(Batch* batch, Code code);
// How many ops of an atomic batch must be decided on paper first, from the start: those up to the last that can undo
// it.
size_t OpsOnPaper(const Batch& batch, const ShardOfOp& shard_of);
// The order of a listing by name or by value.
bool ScanBefore(const ScanOp& op, const CounterEntry& a, const CounterEntry& b);
// Room that the shard's records of an atomic batch need at most.
size_t AtomicBound(const Batch& batch, const ShardOfOp& shard_of, const Shard& shard);
// Fails the batch because so many bytes do not fit one commit.
void FailLargeBatch(Batch* batch, size_t bytes);

class Shard final : public EventStore, public Journal::Observer, public rt::TurnHook {
 public:
  struct Context {
    rt::Loop* loop = nullptr;
    rt::Disk* disk = nullptr;
    SettledStore* settled = nullptr;
    uint64_t token_seed = 0;  // secret of the data directory
    std::string journal_dir;
    JournalIdentity identity;
    uint32_t shards = 1;
    std::string position_generation;  // names the settled positions of this set of journals
    // Of all shards, this one's too; filled before anything is submitted.
    const std::vector<const NamespaceCounts*>* all_counts = nullptr;
    std::function<void(const Status&)> on_fenced;      // once, on this shard's loop; may be empty
    std::shared_ptr<const NamespaceTable> namespaces;  // as shard 0 recovered them; null for shard 0 itself
    std::vector<std::pair<std::string, NamespaceSettings>> namespace_seeds;  // applied where a namespace is missing
  };
  Shard(const Context& context, const ShardOptions& options);
  ~Shard() override;

  // Reads the journal after the settled position and opens it for writing. Blocking; once, before anything else.
  // `step_holds` says of a step over several shards whether all its parts are there; the journal ends before the first
  // that is not.
  Status Recover(const std::function<bool(const StepRecord&)>& step_holds);

  void Submit(Batch* batch) override;
  void Scan(ScanOp* op) override;
  void Events(EventsOp* op) override;
  void FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) override;
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return namespaces_; }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override;
  uint64_t CountCounters(NamespaceId ns) const override;
  StoreInfo Info() const override;
  void Close(std::function<void(Status)> on_done) override;

  // Settles everything durable now; for tests, backups and orderly ends. on_done when it is in the sorted runs.
  void SettleNow(std::function<void(Status)> on_done);

  void OnJournalProgress() override;
  double MemoryPressure() const override;
  void OnTurnEnd() override;

  // As of a tenth of a second ago at most, and from any thread.
  StoreInfo PublishedInfo() const;

  const NamespaceCounts& counts() const { return counts_; }
  uint32_t number() const { return context_.identity.shard; }
  // As Batch::judged_us, of the last batch that had a part here.
  Micros judged_us() const { return now_us_; }
  rt::Loop* loop() const { return loop_; }

  // ---- for steps over several shards (step.cc), which hold the loops of all participants
  // What an atomic step knows while it is decided on paper.
  struct Paper {
    struct State {
      CounterState state;
      bool changed;
    };
    std::map<std::string, State> states;
    std::map<std::string, std::pair<uint64_t, Outcome>> tokens;  // content, outcome
    std::map<NamespaceId, int64_t> created;
    std::set<std::string> born;  // counters that came into being, and their groups
  };
  // Seals the open frame and begins one that will hold this shard's part alone. Returns the position that the step's
  // own record will take; AppendStep then writes it.
  Position BeginStep(size_t bytes);
  // The same where nothing will be written.
  Position BeginReads();
  // The newest position that the answers since then reveal.
  Position Revealed() const { return gate_; }
  void AppendStep(const StepRecord& record);
  Code DecideOnPaper(const Op& given, Paper* paper, Op* op);
  // Whether this op of a source's step can meet an error that undoes the step (UndoesSourceStep), as far as is known
  // without looking for its counter.
  bool MayUndoSourceStep(const Op& op) const;
  // Decides ops[0, n) on paper. False: one of them undoes the batch, which is filled accordingly.
  static bool HoldsOnPaper(Batch* batch, size_t n, const ShardOfOp& shard_of);
  // Decides the ops for good, in order, each run of joined ones as one.
  static void DecideRuns(std::span<Op> ops, const ShardOfOp& shard_of);
  // Whether the batch's source may take its step: kConditionNotMet, kQuotaExceeded. Sets batch->source_offset.
  Code RefuseSource(Batch* batch) const;
  // Once the ops are decided.
  void ApplySource(Batch* batch);
  Code RefuseWrites() const;
  bool closing() const { return closing_; }
  // Ends the part. Nothing from `position` on is shown here before the step, and each before it on any participant, is
  // on the medium of all of its participants.
  void EndStep(Position position, std::shared_ptr<StepProgress> progress);
  void OnStepDurable(Position position);
  void CountStep();
  bool StepFits(size_t bytes) const { return bytes <= CommitBytesMax(); }
  size_t CommitBytesMax() const { return options_.journal.frame_bytes_max / 2; }
  // Room that the op's records need at most, less those of a group's counters.
  size_t RecordsBound(const Op& op) const;
  // Room that the records of the group's counters need at most, for a mutation with GroupRole::kWhole.
  size_t GroupBound(const Op& op) const;
  Position LastPosition() const;
  // Has batch->on_done called once `position` is shown (or the shard is fenced).
  void ShowWhenVisible(Batch* batch, Position position);
  void ApplyNamespace(const Namespace& ns);
  // Another shard's journal failed: this one must not go on as if nothing had happened.
  void FenceFrom(const Status& reason);
  void FindOwnSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done);

 private:
  static constexpr size_t kCreatedSlots = 1u << 16;
  static constexpr size_t kWindow = 32;  // ops, or records to replay, whose memory is fetched ahead

  // ---- ops (shard_submit.cc)
  struct Prepared {  // what the first pass over a batch works out for an op
    TokenBytes token;
    TokenPrint print;
    Micros own_us = kNoTime;  // the token's own time
    // Where the sorted runs were asked already: their answer.
    const TokenLookup* lookup = nullptr;
  };
  std::array<Prepared, kWindow> prepared_;  // of the ops that DecideOps is at
  void DecideOps(std::span<Op> ops);
  void DecideOp(Op* op, const Prepared& prepared);
  void DecideMutation(Op* op, const Prepared& prepared, const Namespace& ns);
  void DecideTokenOutcome(Op* op, const Prepared& prepared, const Namespace& ns);
  void DecideRead(Op* op, const Namespace& ns);
  static Code RunOnPaper(std::span<const Op> run, const ShardOfOp& shard_of, Paper* paper);
  // Asks the sorted runs at once for those of the ops' tokens that only they can know.
  void LookUpTokens(std::span<const Op> ops, std::span<Prepared> prepared, std::vector<TokenLookup>* lookups);
  // Whether the sorted runs must be asked for a token that is not in memory, and from which commit time on.
  bool MayBeSettled(const Prepared& prepared, const Namespace& ns, Micros* since_commit_us) const;
  // The token's first result if it is known and still protects. kOk, or why that cannot be said.
  Code FindToken(const Prepared& prepared, const Namespace& ns, bool* found, TokenResult* result);
  void FillReplay(Op* op, const Namespace& ns, const TokenResult& r);
  // The counter's line, loaded from the sorted runs if it is only there; null if it is nowhere.
  Result<CounterSlot*> FindOrLoad(uint64_t hash, NamespaceId ns, std::string_view name);
  CounterState StateOf(const CounterSlot* slot) const;
  // Appends the record of a decided mutation and updates the counter's line. Returns the record's position.
  // `token`: kept with it, empty if none.
  Position Commit(Op* op, const TokenBytes& token, CounterSlot** slot, const CounterState& before,
                  const CounterState& after, bool urgent);
  void AppendExpiredDelete(CounterSlot* slot, bool urgent);
  void NoteCreated(const Op& op, Position position);
  void SetSlot(CounterSlot* slot, const CounterState& state, Position position);
  void Gate(Position position) {
    if (position > gate_) gate_ = position;
  }
  // For an answer that tells of whatever has happened so far.
  void GateAll() { Gate(LastPosition()); }
  // Whether what was appended from this position on, if anything, is all in the open frame.
  bool InOpenFrame(Position first) const { return journal_->next() == first || journal_->open_first() <= first; }
  void Finish(Batch* batch);
  void PrepareToken(const Op& op, Prepared* prepared) const;

  // ---- groups (shard_group.cc)
  struct Member {
    std::string name;
    uint64_t hash = 0;
  };
  // The names of the group's counters until visit returns false; some may have ceased to exist. `hash` is of the
  // group's name or of a counter of it.
  Status VisitMemberNames(NamespaceId ns, std::string_view group, uint64_t hash,
                          const std::function<bool(std::string_view name)>& visit) const;
  // Those that exist of the group op.name, loaded; what is revealed thereby is gated.
  Result<std::vector<Member>> LiveMembers(const Op& op, const Namespace& ns);
  // Adds the group to the answer about its counter.
  Code ReadGroup(Op* op, const Namespace& ns);
  // The expiry of a counter of the group that op.name belongs to, 0 if none has one.
  Result<int64_t> ExpiryOfGroup(const Op& op) const;
  void DecideWhole(Op* op, const Namespace& ns, const std::vector<Member>& members);
  Code WholeOnPaper(const Op& given, Paper* paper, Op* op);
  Code CheckWholeOnPaper(const Op& op, const Namespace& ns, const Paper& paper);

  // ---- listings (shard_scan.cc)
  struct ScanTask;
  void ScanHash(ScanOp* op);
  void RunScanTask(const std::shared_ptr<ScanTask>& task);
  void FinishScan(ScanOp* op);
  bool LiveSlot(const CounterSlot* slot) const;

  // ---- settling, retention, memory (shard_settle.cc)
  void MaybeSettle();
  void StartSettle();
  void OnSettled(const SettleOutcome& outcome);
  void Maintain();
  bool SweepExpired();
  // Deletes the counters that this entry of the index is about, as far as they have expired. False: they could not be
  // looked at; the entry is back.
  bool ExpireOne(const ExpiryIndex::Entry& entry, int64_t now_ms);
  // Deletes expired counters of the namespaces that this batch may fill up to their limits.
  void MakeRoom(const Batch& batch);
  // Whether a counter more would be beyond the namespace's limit: kQuotaExceeded; kOverloaded where that is not known
  // yet, since expired ones are still being looked for. `created`: those to be counted beside.
  Code CheckRoom(const Namespace& ns, int64_t created) const;
  size_t TokensBytesMax() const;
  void KeepWithinMemory();
  void SweepCounters();
  void PrepareTokens();
  void PopulateTokens(size_t from);
  void ReleaseJournal();
  void StartRetention();
  void PushExpiry(CounterSlot* slot);

  // ---- life (shard.cc)
  Status LoadMeta();
  struct Replayed {  // a counter's record that recovery has read
    CounterRecord record;
    uint64_t hash = 0;
    Position position = 0;
    TokenPrint print;
    Micros own_us = kNoTime;
  };
  Status ReplayFrame(const FrameHeader& header, std::string_view payload);
  void Replay(const Replayed& replayed, Micros commit_us);
  Position AppendNamespace(const Namespace& ns);
  Status Begin();
  void CloseWhenIdle(const std::function<void(Status)>& on_done);
  // Moves what has become visible from waiting to ready.
  void Show();
  // Sets the time by which requests are judged: that of the open commit, as a recovery will see it. A fenced shard
  // commits nothing any more, and the time of its open frame stands still. Never goes back.
  void SetJudgeTime() {
    const Micros frame_us = journal_->frame_us();
    now_us_ = std::max(now_us_, Fenced() ? std::max(frame_us, loop_->WallMicros()) : frame_us);
    now_ms_ = now_us_ / 1000;
  }
  void SetNamespaces(std::shared_ptr<const NamespaceTable> table);
  bool Fenced() const { return journal_->fenced() || !fenced_from_outside_.ok(); }
  const Status& FenceReason() const { return journal_->fenced() ? journal_->fence_reason() : fenced_from_outside_; }

  Context context_;
  ShardOptions options_;
  rt::Loop* loop_;
  CounterTable counters_;
  TokenWindow tokens_;
  std::unique_ptr<Journal> journal_;

  // This Submit's view of time and the newest position that its results reveal.
  Micros now_us_ = 0;
  int64_t now_ms_ = 0;
  Position gate_ = 0;

  // Adds without a token that the next one for the same counter may join, by hash.
  struct OpenSum {
    Position position = 0;
    uint64_t frame_serial = 0;
    char* record = nullptr;
    SumSlots slots;
  };
  std::array<OpenSum, 256> open_sums_;
  // The newest position at which a counter came into being, by hash of its name and of its group's; for WATCH.
  std::vector<Position> created_ = std::vector<Position>(kCreatedSlots);

  std::shared_ptr<const NamespaceTable> namespaces_;
  bool counts_are_limited_ = false;  // some namespace has a counters_max
  NamespaceCounts counts_;           // counters that exist
  std::map<SourceId, SourceState> sources_;

  bool all_resident_ = true;  // the sorted runs hold no counter that is not in counters_
  Position settled_ = 0;
  Micros settled_commit_us_ = 0;
  Micros settled_newest_own_us_ = kNoTime;  // the newest own time of a token among the settled

  // Batches and scans whose results wait for the journal, ascending by gate; and those to be told at the end of the
  // turn.
  // What may be shown: durable, and before every step that is not yet on the medium of all its participants.
  Position Visible() const {
    return barriers_.empty() ? journal_->durable() : std::min(journal_->durable(), barriers_.front().position - 1);
  }
  struct Barrier {
    Position position = 0;
    std::shared_ptr<StepProgress> progress;
    bool counted = false;  // this shard's part is durable, and so is every step before it
  };
  std::deque<Barrier> barriers_;
  Batch* waiting_head_ = nullptr;
  Batch* waiting_tail_ = nullptr;
  Batch* ready_head_ = nullptr;
  Batch* ready_tail_ = nullptr;
  std::vector<ScanOp*> waiting_scans_;
  std::vector<std::pair<Position, std::function<void(Status)>>> waiting_calls_;

  ExpiryIndex expiries_;

  bool settling_ = false;
  bool settle_wanted_ = false;
  bool retention_running_ = false;
  int settles_since_retention_ = 0;
  int64_t last_settle_mono_us_ = 0;
  int64_t last_retention_mono_us_ = 0;
  int64_t last_seen_wall_us_ = 0, last_seen_mono_us_ = 0;
  int64_t hold_tokens_until_mono_us_ = 0;  // after a forward jump of the wall clock nothing is forgotten early
  Status settle_error_;
  std::shared_ptr<SettleScratch>
      settle_scratch_;  // kept until a settle was small: fresh memory costs as much as sorting
  std::vector<std::function<void(Status)>> settle_waiters_;
  int journal_readers_ = 0;       // jobs that read segments: nothing is recycled meanwhile
  uint32_t sweep_partition_ = 0;  // where the sweep goes on
  uint32_t sweep_left_ = 0;       // partitions that it still has to visit
  bool evicting_ = false;         // the sweep takes cold counters too
  size_t deleted_slots_ = 0;      // counters that are deleted and still in the table
  bool memory_exhausted_ = false;
  std::shared_ptr<TokenWindow::Room> next_tokens_;  // being prepared
  rt::Timer timer_;

  bool closing_ = false;
  Status fenced_from_outside_;
  StoreInfo info_;
  mutable std::mutex published_mutex_;
  StoreInfo published_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quipu::store
