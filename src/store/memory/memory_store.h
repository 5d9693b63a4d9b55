// The store as a plain model: ordered maps, every rule in the order of the contract, nothing clever. It says what the
// other engines must answer (test/contract) and stands in for them where a test needs a store and no disk.
//
// Threads   As EventStore. on_done is posted to the loop, in the order of the calls.
// Memory    Grows with every event and token; nothing is ever given up. An atomic batch copies the whole state, so that
//           undoing is putting the copy back.
// Durable   No. Positions start at 1 and count the events of all namespaces together.
// Errors    Of EventStore: kOverflow, kTokenConflict, kTokenExpired, kTokenInFuture, kTokenRequired,
// kNamespaceNotFound,
//           kNotFound, kConditionNotMet, kQuotaExceeded; kUnavailable after Close.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rt/loop.h"
#include "store/decide.h"
#include "store/event_store.h"

namespace quipu::store {

class MemoryStore final : public EventStore {
 public:
  explicit MemoryStore(rt::Loop* loop);

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

 private:
  struct Key {
    NamespaceId ns = kDefaultNamespace;
    uint64_t hash = 0;
    std::string name;
    auto operator<=>(const Key&) const = default;
  };
  struct TokenKey {
    Key counter;
    std::string token;
    auto operator<=>(const TokenKey&) const = default;
  };
  struct Counter {
    CounterState state;
    Position changed = 0;  // by which event; also its version
  };
  // What is kept of a token's first request.
  struct KeptToken {
    uint64_t content = 0;
    Micros kept_from_us = 0;
    Op answer;  // the output half is what a replay repeats; name and token are empty
  };
  struct Totals {
    uint64_t replays = 0, conflicts = 0, expired_tokens = 0, adds = 0, expired_counters = 0;
  };
  // Everything that a batch may change.
  struct State {
    std::map<Key, Counter> counters;
    std::map<TokenKey, KeptToken> tokens;
    std::map<Key, std::vector<EventEntry>> events;
    std::map<SourceId, SourceState> sources;
    std::map<Key, Position> created;  // when a counter of this name or group last came into being
    Position last_position = 0;
    Totals totals;
  };

  void DecideBatch(Batch* batch);
  void DecideRun(std::span<Op> run);
  void DecideOp(Op* op);
  void Read(const Key& key, Op* op);
  void CheckVersion(const Key& key, Op* op);
  void FindTokenOutcome(const Namespace& ns, const Key& key, Op* op);
  void Mutate(const Namespace& ns, const Key& key, Op* op);
  // The same for the counter and every counter of its group.
  void MutateWhole(const Namespace& ns, const Key& key, Op* op);
  std::vector<Key> MembersOf(NamespaceId ns, std::string_view group);
  void RecordEvent(const Key& key, const Op& op, Position position, bool token_kept);

  int64_t now_ms() const { return now_us_ / 1000; }
  const Namespace* FindNamespace(NamespaceId id) const;
  Counter* FindLive(const Key& key);
  KeptToken* FindKept(const Namespace& ns, const Key& key, std::string_view token);
  std::vector<CounterEntry> NamedEntries(const ScanOp& op) const;
  void FillByHash(ScanOp* op) const;
  void FillByName(ScanOp* op) const;
  void FillTop(ScanOp* op) const;
  Result<Namespace> ChangeNamespace(const std::string& name, uint64_t expected_version,
                                    const NamespaceSettings& settings);

  rt::Loop* loop_;
  State state_;
  std::shared_ptr<const NamespaceTable> namespaces_;
  Micros now_us_ = 0;  // of the call that is being decided
  bool closed_ = false;
};

}  // namespace quipu::store
