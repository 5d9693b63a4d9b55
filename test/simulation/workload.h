// What the clients of a run ask for: a mix drawn from the seed, so that one seed is all retries and another all clears.
//
// Threads   One. The ops of a batch point into the model's counters and tokens, which stay put.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "sim/sim_random.h"
#include "test/simulation/model.h"
#include "test/simulation/scenario.h"

namespace quipu::simulation {

// A batch as sent, with what is needed to judge it.
struct ClientBatch {
  store::Batch batch;
  std::vector<Op> ops;
  std::vector<Request> requests;
  store::SourceStep source;
  std::vector<store::SourceMark> source_marks;
  std::string label;
  uint64_t number = 0;
  // What a shard has decided of it.
  struct Part {
    uint32_t shard = 0;
    Micros judged_us = kNoTime;
    Code code = Code::kOk;
    uint64_t must_survive = 0;  // the newest step of the shard that its answers reveal
    bool commits = false;       // one of its ops became an event that must survive
  };
  std::vector<Part> parts;
  std::vector<Op> decided;  // with several shards: the ops' answers as the shards gave them
  size_t ops_decided = 0;
  size_t bytes = 0;       // that its records take, at most
  bool unjudged = false;  // looks at what a crash left; the model does not know it yet
  void* run = nullptr;
};

// Sources belong to anchors {0, 7}, {1, 7} and so on.
inline constexpr uint64_t kSourceAnchors = 3;

class Workload {
 public:
  Workload(uint64_t seed, const Scenario& scenario, Model* model);

  // Namespaces to create, by number from 1 on.
  const std::vector<NamespaceSettings>& namespaces() const { return namespaces_; }
  // Other settings for a namespace, now and then: nothing in most calls. Those with an odd number change their
  // durability too.
  std::optional<NamespaceSettings> ChangedSettings(NamespaceId id);
  // Names and namespaces of the counters; after the namespaces exist.
  void MakeCounters(const std::vector<NamespaceId>& ids);

  // The next batch, for a store that sees this wall time.
  std::unique_ptr<ClientBatch> Next(Micros wall_us);
  // Reads of all counters, and outcomes of these tokens.
  std::unique_ptr<ClientBatch> Reads(size_t first, size_t count);
  std::unique_ptr<ClientBatch> Outcomes(const std::vector<int>& tokens, size_t first, size_t count);
  // First tries again, as a client does that does not know what became of them.
  std::unique_ptr<ClientBatch> Retries(const std::vector<int>& tokens, size_t first, size_t count);
  // Remembers the versions of counters that the batch just judged has read, for later checks.
  void SawVersions();
  // A restart ends what watches versions.
  void ForgetVersions() { versions_.clear(); }

 private:
  enum Kind {
    kAdd,
    kTicket,
    kRetry,
    kRestamped,
    kAltered,
    kGet,
    kClear,
    kSet,
    kDelete,
    kExpire,
    kBounded,
    kOutcome,
    kCheck,
    kKinds
  };
  struct Source {
    store::SourceId id, anchor;
    uint64_t sent = 0;
  };

  Request Draw(Micros wall_us);
  Request DrawMutation(Kind kind, Micros wall_us);
  Content DrawContent(Kind kind, Micros wall_us);
  void GiveToken(Request* request, Micros wall_us);
  int64_t DrawDelta();
  int PickCounter(bool adds_only);
  int PickToken();
  std::unique_ptr<ClientBatch> Build(std::vector<Request> requests);
  static void DrawSettings(bool durability_too, sim::SimRandom* random, NamespaceSettings* s);
  std::string NewTokenText(Micros wall_us, const NamespaceSettings& settings, Micros* own_us);

  sim::SimRandom random_;
  Model* const model_;
  std::vector<NamespaceSettings> namespaces_;
  size_t counter_count_ = 1;
  std::array<uint64_t, kKinds> weights_{};
  uint64_t weight_sum_ = 0;
  size_t batch_least_ = 1, batch_max_ = 1;
  double tokenless_ = 0, atomic_ = 0, all_or_nothing_ = 0, from_source_ = 0, huge_delta_ = 0, hot_ = 0, odd_time_ = 0,
         change_namespace_ = 0, fresh_adds_ = 0, one_shard_ = 0;
  std::vector<int> mixed_, adds_only_;
  std::deque<Model::SeenVersion> versions_;
  std::unordered_set<uint64_t> texts_;  // hashes of tokens in use with their counters
  std::vector<Source> sources_;
  uint64_t next_batch_ = 1;
};

}  // namespace quipu::simulation
