// What the store must answer, by an implementation of its own: it shares no code with the store but the structs of the
// contract, and which shard a counter lives on. It judges each decided batch at once, field by field, and keeps every
// change as a step that can be undone, so that what a crash left behind can be compared with every prefix of what was
// decided.
//
// Shards    Each decides on its own: it has a time and an order of steps, and a crash leaves a prefix of them. A batch
//           over several shards is judged part by part, but an atomic one as a whole, which is there on all or on none.
// Threads   One. Memory: every counter and token ever sent, and the steps since the last Forget.
// Errors    A text that says what differs; empty if nothing does.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/namespace.h"
#include "store/embedded/placement.h"
#include "store/event_store.h"

namespace quipu::simulation {

using store::Condition;
using store::ExpireRule;
using store::Op;
using store::OpKind;
using store::Outcome;

// What a mutation asks. Fields that its kind does not use stay at their defaults, so that == is "the same request".
struct Content {
  OpKind kind = OpKind::kAdd;
  Condition condition = Condition::kNone;
  ExpireRule expire_rule = ExpireRule::kKeep;
  bool saturate = false;
  bool bounded = false;
  bool remove = false;
  int64_t delta = 0;
  int64_t floor = std::numeric_limits<int64_t>::min();
  int64_t ceiling = std::numeric_limits<int64_t>::max();
  int64_t expire_at_ms = 0;
  bool operator==(const Content&) const = default;
};

// The fields of an answer that the contract fixes.
struct Answer {
  Outcome outcome = Outcome::kApplied;
  bool existed = false, exists = false, is_protected = false;
  int64_t value = 0, old_value = 0, applied = 0, expiry_ms = 0;
  Micros event_us = kNoTime, last_write_us = kNoTime;
  bool operator==(const Answer&) const = default;
};
Answer AnswerOf(const Op& op);
std::string Describe(const Answer& answer);
// True for what becomes an event.
bool IsMutating(OpKind kind);

struct CounterState {
  bool exists = false;
  int64_t value = 0;
  int64_t expiry_ms = 0;
  Micros last_write_us = kNoTime;
  uint64_t last_step = 0;  // of its shard, that changed any of the above
};
struct Counter : CounterState {
  NamespaceId ns = kDefaultNamespace;
  std::string name;
  uint64_t hash = 0;
  uint32_t shard = 0;
  bool adds_only = false;  // gets nothing but plain adds: the ledger can sum it up
  uint64_t changes = 0;    // of value, expiry or existence, ever; never goes back
  uint64_t events = 0;     // mutations that left the state as it was, ever
};

// A token on one counter: what the client asked with it, and what the store must remember of it.
struct TokenState {
  bool kept = false;
  Content kept_content;
  // Its commit, or its own time if that is later. The commit is that of the frame which holds the record: the one by
  // whose time the batch was judged, or one begun within the batch.
  Micros kept_from_us = 0, kept_from_at_most_us = 0;
  Answer answer;
  Position position = 0;
  uint64_t step = 0;
};
struct Token : TokenState {
  int counter = 0;
  std::string text;
  Micros own_us = kNoTime;         // the time inside the token
  Micros first_time_us = kNoTime;  // generation_time of the first try
  Content content;                 // of the first try: what a retry sends
};

// One op as it was sent. `token` and `counter` are indexes.
struct Request {
  OpKind kind = OpKind::kGet;
  int counter = 0;
  int token = -1;
  Content content;  // mutations
  Micros token_time_us = kNoTime;
  Micros event_time_us = kNoTime;
  uint64_t expected_version = 0;  // kCheckVersion, and what the counter was when it was read
  uint64_t changes_then = 0, events_then = 0;
};

// A set of codes, one bit each.
using CodeSet = uint64_t;
constexpr CodeSet SetOf(Code code) { return CodeSet{1} << static_cast<int>(code); }

std::string NameOf(const Counter& counter);
bool SameNamespace(const Namespace& a, const Namespace& b);

class Model {
 public:
  // Of the store that is open. Before anything else, and again only where nothing can be undone.
  void SetShards(uint32_t shards);
  uint32_t shards() const { return static_cast<uint32_t>(logs_.size()); }
  uint32_t ShardOfSource(const store::SourceId& id) const { return store::ShardOf(id, shards()); }
  int AddCounter(NamespaceId ns, std::string name, uint64_t hash, bool adds_only);
  int AddToken(Token token);
  void SetNamespaces(const NamespaceTable& table);
  // A namespace is changed now. Returns it as it must be from here on.
  const Namespace& ChangeNamespace(NamespaceId id, const NamespaceSettings& settings);
  const std::vector<Namespace>& namespaces() const { return namespaces_; }

  // The time by which a shard judges, as it says itself (the run checks that it may), and the wall clock, by which it
  // may begin a new commit.
  void SetNow(uint32_t shard, Micros now_us, Micros wall_us);

  // Judges a decided batch, or one shard's part of it, whose ops were made from `requests`, and follows it.
  // `allowed`: codes that the state of the world excuses now (a full disk, a fence); what they come with changes
  // nothing.
  std::string Decide(const std::vector<Request>& requests, const store::Batch& batch, CodeSet allowed);

  const std::vector<Counter>& counters() const { return counters_; }
  const std::deque<Token>& tokens() const { return tokens_; }
  // Their updated_us is 0.
  const std::map<store::SourceId, store::SourceState>& sources() const { return sources_; }
  const NamespaceSettings& settings(NamespaceId ns) const { return namespaces_[ns].settings; }
  bool NamespaceExists(NamespaceId ns) const { return ns < namespaces_.size() && !namespaces_[ns].deleted; }
  // It exists and has not expired.
  bool IsLive(const Counter& counter) const;
  // A kept token that is inside its horizon; and one that may be.
  bool MustBeKnown(const Token& token) const;
  bool MayBeKnown(const Token& token) const;
  uint64_t last_step(uint32_t shard) const { return logs_[shard].last(); }
  // By shard, the newest step that the answers of the last judged batch reveal; 0 if nothing that must survive.
  const std::vector<uint64_t>& revealed() const { return revealed_; }

  // ---- after a crash
  // True if a prefix may end after this step (an atomic batch is not cut).
  bool IsBoundary(uint32_t shard, uint64_t step) const;
  // Undoes the shard's last step. Returns the counter and the token it touched, -1 for none.
  struct Touched {
    int counter = -1;
    int token = -1;
    bool is_namespace = false;
    bool is_source = false;
  };
  Touched UndoLast(uint32_t shard);
  // Steps up to this one can never be undone any more.
  void Forget(uint32_t shard, uint64_t through);
  uint64_t first_undoable(uint32_t shard) const { return logs_[shard].first_step; }
  // An atomic batch with steps on several shards, by its last one on each.
  struct Across {
    std::vector<std::pair<uint32_t, uint64_t>> parts;
  };
  const std::deque<Across>& across() const { return across_; }

  // The versions that the last judged batch has read, with what the counters were at that moment.
  struct SeenVersion {
    int counter = 0;
    uint64_t version = 0, changes = 0, events = 0;
  };
  const std::vector<SeenVersion>& versions_seen() const { return versions_seen_; }

  struct Tally {
    uint64_t adds = 0, replays = 0, conflicts = 0, expired = 0, refusals = 0, comparisons = 0, undone_batches = 0;
  };
  const Tally& tally() const { return tally_; }

 private:
  struct Step {
    int counter = -1;
    int token = -1;
    CounterState counter_before;
    uint64_t changes_before = 0;
    TokenState token_before;
    std::shared_ptr<const store::SourceState> source_before;  // of a step that took a source further
    std::optional<Namespace> namespace_before;
    bool ends_group = true;
  };
  struct ShardLog {
    std::deque<Step> steps;
    uint64_t first_step = 1;  // number of steps.front()
    Micros now_us = 0;
    Micros commit_at_most_us = 0;
    uint64_t last() const { return first_step + steps.size() - 1; }
    Step& at(uint64_t step) { return steps[static_cast<size_t>(step - first_step)]; }
  };
  struct Verdict {
    Code code = Code::kOk;
    bool replayed = false;
    Answer answer;
  };

  std::string DecideOp(const Request& request, const Op& op, CodeSet allowed);
  std::string DecideUndone(const std::vector<Request>& requests, const store::Batch& batch, CodeSet allowed);
  std::string DecideMutation(const Request& request, const Op& op, CodeSet allowed);
  std::string DecideRead(const Request& request, const Op& op);
  std::string DecideTokenOutcome(const Request& request, const Op& op);
  std::string DecideCheckVersion(const Request& request, const Op& op);
  std::string Compare(const Request& request, const Op& op, const Verdict& want);
  // What the content makes of the counter. Errors in `verdict`; true if it is an event.
  bool Apply(const Content& content, Micros event_us, Counter* counter, Verdict* verdict) const;
  uint64_t RevealedStep(const Request& request, const Op& op) const;
  // The counter as a request sees it: an expired one is a missing one.
  Counter Live(const Counter& counter) const;
  // How many counters of the namespace count against its limit for this shard: the expired ones of its own only if
  // `unswept`, those of other shards as long as they have not been swept there.
  struct CountRange {
    uint64_t least = 0, most = 0;
  };
  CountRange Count(NamespaceId ns, uint32_t shard, bool unswept) const;
  Micros Floor(NamespaceId ns, uint32_t shard) const;
  std::vector<uint64_t> LastSteps() const;
  ShardLog& LogOf(const Counter& counter) { return logs_[counter.shard]; }
  const ShardLog& LogOf(const Counter& counter) const { return logs_[counter.shard]; }

  std::vector<Counter> counters_;
  std::deque<Token> tokens_;  // stable addresses: ops point to their text
  std::map<store::SourceId, store::SourceState> sources_;
  std::vector<Namespace> namespaces_;
  bool unsure_ = false;          // a guess had more than one right outcome
  bool in_source_step_ = false;  // the batch that is being judged has a source, which needs no tokens
  std::vector<ShardLog> logs_ = std::vector<ShardLog>(1);
  std::deque<Across> across_;  // of steps that can be undone
  std::vector<SeenVersion> versions_seen_;
  std::vector<uint64_t> revealed_;
  Tally tally_;
};

}  // namespace quipu::simulation
