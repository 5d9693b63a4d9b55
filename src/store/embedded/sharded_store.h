// The store as a front end sees it when an engine has several shards: one per loop. Batches whose counters all live on
// the loop's own shard go straight to it; others travel as one message per shard and come back as one. Atomic batches
// over several shards become a step (step.h).
//
// Threads   The home loop. Other shards are reached only by Loop::Post and in meetings.
// Order     Batches of one submitter reach each shard in the order of their submission: a part at home is decided at
//           once, and what comes after a step waits until the step is decided.
// Errors    As EventStore says.
#pragma once
#include <deque>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "rt/meetings.h"
#include "rt/random.h"
#include "store/embedded/shard.h"

namespace quipu::store {

// Sees what is decided, when it is decided; for the simulator, whose judge knows no other way to tell the moment.
class DecisionObserver {
 public:
  // Shard `shard` has decided its part of `whole`, on its loop. part.ops[i] is whole.ops[index[i]]; the whole batch is
  // its own part (and `index` empty) where all of it lives on the home shard.
  virtual void OnPart(const Batch& whole, uint32_t shard, const Batch& part, std::span<const uint32_t> index) = 0;
  // A step is decided, in its meeting: the results stand in `whole`, all but `decided`.
  virtual void OnStep(const Batch& whole) = 0;

 protected:
  ~DecisionObserver() = default;
};

class ShardedStore final : public EventStore {
 public:
  // `observer` may be null.
  ShardedStore(std::vector<Shard*> shards, uint32_t home, rt::Meetings* meetings, uint64_t step_seed,
               DecisionObserver* observer);
  ~ShardedStore() override;

  void Submit(Batch* batch) override;
  void Scan(ScanOp* op) override;
  void Events(EventsOp* op) override;
  void FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) override;
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return shards_[home_]->Namespaces(); }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override;
  uint64_t CountCounters(NamespaceId ns) const override { return shards_[home_]->CountCounters(ns); }
  // The home shard's as they are, the others' as they were a tenth of a second ago at most; counters exactly.
  StoreInfo Info() const override;
  void Close(std::function<void(Status)> on_done) override { shards_[home_]->Close(std::move(on_done)); }

 private:
  struct Split;
  struct StepCall;
  uint32_t count() const { return static_cast<uint32_t>(shards_.size()); }
  rt::Loop* home_loop() const { return shards_[home_]->loop(); }
  void SubmitHere(Batch* batch);
  void SubmitSplit(Batch* batch);
  void Gather(Split* split, size_t shard);
  void SubmitStep(Batch* batch);
  void SubmitWaiting();
  void Finish(StepCall* call);

  std::vector<Shard*> shards_;
  uint32_t home_;
  rt::Meetings* meetings_;
  uint64_t step_seed_;
  DecisionObserver* observer_;
  uint64_t steps_ = 0;
  uint64_t undecided_steps_ = 0;
  std::deque<Batch*> waiting_;  // came after a step that is not decided yet
  // In flight.
  std::unordered_map<Batch*, std::unique_ptr<Split>> splits_;
  std::unordered_map<Batch*, std::unique_ptr<StepCall>> step_calls_;
};

}  // namespace quipu::store
