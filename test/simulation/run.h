// One seed from its first start of the store to its last check: clients, crashes, recoveries, and the judge.
//
// A life is: start the store (cut off now and then), find out what the medium kept, retry what is unknown, compare
// everything, then work under faults until the power goes, the process dies or the store is closed.
//
// Threads   One. Errors: the first thing found wrong, in RunResult::failure.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "test/simulation/engine.h"
#include "test/simulation/ledger.h"
#include "test/simulation/model.h"
#include "test/simulation/plants.h"
#include "test/simulation/scenario.h"
#include "test/simulation/workload.h"

namespace quipu::simulation {

struct RunResult {
  std::string failure;  // empty: nothing was found wrong
  uint64_t trace_hash = 0;
  std::map<std::string, double> counts;  // what gates ask for, and a few more
};

// Where a life and the recovery after it end: before which call of the disk, counted from 1; 0 = nowhere.
struct Script {
  uint64_t crash_at = 0;           // of the first life: its start, its work, its close
  uint64_t recovery_crash_at = 0;  // of the start after it
  bool power = true;               // goes; otherwise the process dies
};

class Run final : private store::DecisionObserver {
 public:
  // `plant` 0 = none.
  Run(uint64_t seed, const Scenario& scenario, const Engine& engine, int plant, bool verbose);
  ~Run();
  RunResult Execute();
  // One life, one recovery and everything compared, without any fault but the script's. The counts `script_calls` and
  // `recovery_calls` say how many calls there were to crash at.
  RunResult ExecuteScript(const Script& script);

 private:
  // What the store holds after a restart, as its own answers say.
  struct Recovered {
    std::vector<Op> counters;  // by counter
    std::map<int, Op> tokens;
    std::map<store::SourceId, store::SourceState> sources;
    std::vector<Namespace> namespaces;
    bool complete = true;  // nothing was refused for damage
  };

  // What is known of a shard of the store.
  struct ShardView {
    uint64_t acked = 0;  // the newest step that must survive
    // The same before the last moment at which an answer arrived, and before the last two: two frames may be in flight
    // at once, and neither says that the other is durable.
    uint64_t acked_prior = 0, acked_before = 0;
    int64_t acked_at_us = 0;
    // Its time: what it said last in this life, and what a commit that was acknowledged says of it.
    Micros judged_us = kNoTime, committed_us = kNoTime;
    uint64_t newest_decided = 0;  // the number of the batch, in this life
  };

  // A request with a token that got no answer.
  struct Unanswered {
    int64_t delta = 0;  // of an add
    Micros judged_us = 0;
  };

  // ---- life and death (run.cc)
  bool Start();
  bool StartOnce();
  void Live();
  void SetUpNamespaces();
  void Work();
  RunResult TakeResult();
  void Tick();
  void Crash();
  void CloseOrderly();
  void AllShown();
  void Destroy();
  void SetFaults(bool on);
  std::string Damage();
  CodeSet AllowedCodes() const;
  Micros Lag() const;
  void NoteSent(size_t bytes);
  void NotePressure();
  std::string CheckTime(uint32_t shard, Micros judged_us);
  Micros JudgedLast() const;
  void NoteWall();
  void Fail(std::string what);
  // With --verbose: what happens, for people.
  template <class... A>
  void Log(fmt::format_string<A...> format, A&&... args) const {
    if (verbose_) fmt::print("{:>14} {}\n", clock_.MonoMicros(), fmt::format(format, std::forward<A>(args)...));
  }
  void LogBatch(const ClientBatch& client, const store::Batch& decided) const;
  bool ok() const { return result_.failure.empty(); }
  bool WaitFor(const std::function<bool()>& done, const char* what);

  // ---- sending and judging batches (run_send.cc)
  void Send(std::unique_ptr<ClientBatch> client);
  bool IsOfHome(const ClientBatch& client) const;
  void OnPart(const store::Batch& whole, uint32_t shard, const store::Batch& part,
              std::span<const uint32_t> index) override;
  void OnStep(const store::Batch& whole) override;
  void JudgePart(ClientBatch* client, uint32_t shard, const store::Batch& part, std::span<const uint32_t> index);
  bool NoteDecided(ClientBatch* client, uint32_t shard, Micros judged_us, Code code);
  void Judge(ClientBatch* client, const std::vector<Request>& requests, const store::Batch& decided);
  std::string CompareWithParts(const ClientBatch& client) const;
  void NoteShown(const ClientBatch::Part& part);
  static void OnDone(store::Batch* batch);
  void Done(ClientBatch* client);
  bool InLedger(int counter) const;
  void ChangeNamespaces();
  void NoteUnanswered(const ClientBatch& client);
  void NoteInLedger(const ClientBatch& client);
  bool SendAndWait(std::vector<std::unique_ptr<ClientBatch>> batches);

  // ---- after a restart (run_verify.cc)
  void VerifyRecovery();
  void VerifyDamaged();
  bool Collect(const std::vector<int>& tokens, Recovered* out);
  // `steps` and `floors` are by shard.
  std::vector<int> TokensSince(const std::vector<uint64_t>& steps) const;
  // Undoes the model's steps until it equals what was recovered. Empty, or what no prefix from `floors` on explains.
  std::string FindPrefix(const Recovered& recovered, const std::vector<int>& tokens,
                         const std::vector<uint64_t>& floors);
  std::string FindShardPrefix(uint32_t shard, const Recovered& recovered, const std::vector<int>& tokens,
                              uint64_t floor);
  std::vector<uint64_t> Each(uint64_t ShardView::* figure) const;
  bool Differs(const Recovered& recovered, int counter) const;
  bool TokenDiffers(const Recovered& recovered, int token) const;
  void ResolveUnknown();
  void NoteUnresolved(int token, const std::vector<Unanswered>& requests);
  bool CollectSources(std::map<store::SourceId, store::SourceState>* out);
  void CompareSources();
  static std::string SourcesText(const std::map<store::SourceId, store::SourceState>& sources);

  // ---- while nothing else happens (run_compare.cc)
  void CompareAll();
  // In the middle of a life, once all that is under way is answered.
  void CompareAlive();
  void CompareListings(NamespaceId ns);
  void JudgeLedger();
  // Of the closed store: what is on the disk adds up.
  void CheckData();

  const uint64_t seed_;
  const Scenario& scenario_;
  const Engine& engine_;
  const int plant_;
  const bool verbose_;
  RunResult result_;

  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimLoop loop_;
  sim::SimDisk disk_;
  std::unique_ptr<PlantedDisk> planted_disk_;
  sim::SimRandom random_;  // lives, crashes, damage
  sim::SimRandom store_random_;
  sim::SimRandom tuning_;
  std::unique_ptr<store::EventStore> store_;

  Model model_;
  Workload workload_;
  Ledger ledger_;
  sim::FaultPlan plan_;  // the swarm's choice for this seed
  double clock_jump_ = 0;

  std::map<uint64_t, std::unique_ptr<ClientBatch>> in_flight_;
  std::vector<std::unique_ptr<ClientBatch>> collected_;  // unjudged ones that are done
  std::set<int> lost_;                                   // tokens whose steps the last crash has undone
  std::map<int, std::vector<Unanswered>> unanswered_;    // by token: requests without an answer, ascending by time
  uint64_t next_done_ = 0;                               // order of on_done
  std::vector<ShardView> shards_ = std::vector<ShardView>(1);
  OpenShards opened_;
  uint64_t steps_undecided_ = 0;  // over several shards, submitted
  uint32_t shard_count_ = 1;
  std::map<NamespaceId, int64_t> horizon_ms_least_;  // ever
  Micros wall_highest_us_ = kNoTime;                 // ever
  std::deque<std::pair<int64_t, Micros>> walls_;     // mono and wall time before and after each jump
  EngineLimits limits_;
  std::deque<std::pair<int64_t, uint64_t>> sent_;  // mono time and bytes at most of batches of the last moments
  uint64_t sent_bytes_ = 0;
  bool pressed_ =
      false;  // memory was short, or the settler behind, in this life: writes were delayed, and may be still
  uint64_t batches_left_ = 0;
  bool fenced_ = false;
  bool closing_ = false;
  bool quiet_ = true;  // no faults now
  bool damaged_ = false;
  uint64_t faults_before_ = 0;  // at the start of this life
  size_t tokens_at_start_ = 0;  // of this life
  size_t tokens_compared_ = 0;  // when everything was last compared
};

}  // namespace quipu::simulation
