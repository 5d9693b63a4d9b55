// The store as a front end sees it when an engine has several shards: one per loop. Batches whose counters all live on
// the loop's own shard go straight to it; others travel as one message per shard and come back as one. Atomic batches
// over several shards become a step (step.h).
//
// Threads   The home loop. Other shards are reached only by Loop::Post and in meetings.
// Order     Batches of one submitter reach each shard in the order of their submission.
// Errors    As EventStore says.
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "rt/meetings.h"
#include "rt/random.h"
#include "store/embedded/shard.h"

namespace quipu::store {

class ShardedStore final : public EventStore {
 public:
  ShardedStore(std::vector<Shard*> shards, uint32_t home, rt::Meetings* meetings, uint64_t step_seed);
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
  void SubmitSplit(Batch* batch);
  void SubmitStep(Batch* batch);
  void Finish(StepCall* call);

  std::vector<Shard*> shards_;
  uint32_t home_;
  rt::Meetings* meetings_;
  uint64_t step_seed_;
  uint64_t steps_ = 0;
  // In flight.
  std::unordered_map<Batch*, std::unique_ptr<Split>> splits_;
  std::unordered_map<Batch*, std::unique_ptr<StepCall>> step_calls_;
};

}  // namespace quipu::store
