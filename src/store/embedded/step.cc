#include "store/embedded/step.h"

#include "base/plant.h"

namespace quipu::store {
namespace {

bool Writes(const Batch& batch) {
  return batch.source != nullptr ||
         std::any_of(batch.ops.begin(), batch.ops.end(), [](const Op& op) { return IsMutation(op.kind); });
}

}  // namespace

std::vector<Shard*> Participants(const std::vector<Shard*>& shards, const Batch& batch) {
  auto n = static_cast<uint32_t>(shards.size());
  std::vector<bool> in(n);
  for (const Op& op : batch.ops) in[ShardOf(op.hash, n)] = true;
  if (batch.source) in[ShardOf(batch.source->id, n)] = true;
  std::vector<Shard*> out;
  for (uint32_t i = 0; i < n; ++i) {
    if (in[i]) out.push_back(shards[i]);
  }
  return out;
}

std::vector<std::pair<Shard*, Position>> RunStep(const std::vector<Shard*>& shards, const uint64_t (&id)[2],
                                                 Batch* batch) {
  auto n = static_cast<uint32_t>(shards.size());
  const ShardOfOp shard_of = [&](const Op& op) { return shards[ShardOf(op.hash, n)]; };
  std::vector<Shard*> participants = Participants(shards, *batch);
  const bool writes = Writes(*batch);
  Shard* source_home = batch->source ? shards[ShardOf(batch->source->id, n)] : nullptr;
  const Code stands = source_home ? source_home->RefuseSource(batch) : Code::kOk;
  for (Shard* shard : participants) {
    Code refuse = shard->closing() ? Code::kUnavailable : Code::kOk;
    if (refuse == Code::kOk && writes) refuse = shard->RefuseWrites();
    if (refuse == Code::kOk) continue;
    FailBatch(batch, refuse);
    return {};
  }
  if (stands != Code::kOk) {
    FailBatch(batch, stands);
    return {{source_home, source_home->LastPosition()}};
  }
  std::vector<size_t> bytes(n);
  for (const Shard* shard : participants) {
    if (!writes) break;
    bytes[shard->number()] = AtomicBound(*batch, shard_of, *shard) + StepRecordBound(participants.size());
    if (shard->StepFits(bytes[shard->number()])) continue;
    FailLargeBatch(batch, bytes[shard->number()]);
    return {};
  }
  if (batch->source) {
    for (Op& op : batch->ops) op.in_source_step = true;
  }
  StepRecord record{.id = {id[0], id[1]}, .parts = {}};
  std::vector<std::pair<Shard*, Position>> parts;
  for (Shard* shard : participants) {
    Position position = writes ? shard->BeginStep(bytes[shard->number()]) : shard->BeginReads();
    record.parts.push_back({.shard = shard->number(), .position = position});
    parts.emplace_back(shard, position);
  }
  if (participants.size() == 1) batch->judged_us = participants[0]->judged_us();
  const bool holds = Shard::HoldsOnPaper(batch, OpsOnPaper(*batch, shard_of), shard_of);
  if (holds && writes) {
    for (Shard* shard : participants) shard->AppendStep(record);
  }
  if (holds) Shard::DecideRuns(batch->ops, shard_of);
  if (!holds || !writes) {
    for (auto& [shard, position] : parts) position = shard->Revealed();
    return parts;
  }
  if (source_home) source_home->ApplySource(batch);
  auto progress = std::make_shared<StepProgress>();
  progress->parts = parts;
  progress->missing = parts.size();
  for (auto& [shard, position] : parts) shard->EndStep(position, progress);
  // What the step reveals may be older than the step itself, but never newer than its last record.
  for (auto& [shard, position] : parts) position = shard->LastPosition();
  return parts;
}

// ---- the shard's side

Position Shard::LastPosition() const { return journal_->next() - 1; }

Position Shard::BeginStep(size_t bytes) {
  journal_->Seal();
  SetJudgeTime();
  gate_ = 0;
  journal_->Reserve(bytes);
  return journal_->next();
}

void Shard::ApplySource(Batch* batch) {
  SourceState& state = sources_[batch->source->id];
  TakeSourceStep(*batch->source, batch->ops, now_us_, &state);
  batch->source_offset = state.offset;
  char* at = journal_->Reserve(kRecordBytesMax);
  Gate(journal_->Append(EncodeSource(ToRecord(state), at), 1, true));
}

Position Shard::BeginReads() {
  SetJudgeTime();
  gate_ = 0;
  return 0;
}

void Shard::AppendStep(const StepRecord& record) {
  char* at = journal_->Reserve(kRecordBytesMax);
  journal_->Append(EncodeStep(record, at), 1, true);
}

void Shard::ShowWhenVisible(Batch* batch, Position position) {
  batch->status = OkStatus();
  batch->next = nullptr;
  gate_ = position;
  Finish(batch);
}

void Shard::EndStep(Position position, std::shared_ptr<StepProgress> progress) {
  QUIPU_ASSERT(InOpenFrame(position), "a step's part from {} to {} is in several frames", position, LastPosition());
  journal_->Seal();
  if (QUIPU_PLANTED(147)) return;
  barriers_.push_back({.position = position, .progress = std::move(progress), .counted = false});
}

}  // namespace quipu::store
