#include "store/embedded/sharded_store.h"

#include "base/plant.h"
#include "model/name.h"
#include "store/embedded/step.h"

namespace quipu::store {

ShardedStore::ShardedStore(std::vector<Shard*> shards, uint32_t home, rt::Meetings* meetings, uint64_t step_seed,
                           DecisionObserver* observer)
    : shards_(std::move(shards)), home_(home), meetings_(meetings), step_seed_(step_seed), observer_(observer) {}
ShardedStore::~ShardedStore() = default;

void ShardedStore::Submit(Batch* batch) {
  bool local = !batch->source || ShardOf(batch->source->id, count()) == home_;
  for (const Op& op : batch->ops) local &= ShardOf(op.hash, count()) == home_;
  local |= batch->ops.size() > kBatchOpsMax;
  const bool waits = undecided_steps_ > 0 && !QUIPU_PLANTED(146);
  if (local && !waits) return SubmitHere(batch);
  batch->decided = false;
  batch->code = Code::kOk;
  batch->status = OkStatus();
  batch->failed_index = 0;
  batch->source_offset = 0;
  batch->commit_bytes = 0;
  batch->judged_us = kNoTime;
  if (waits) return waiting_.push_back(batch);
  const bool atomic = batch->atomic || batch->all_or_nothing || batch->source;
  atomic ? SubmitStep(batch) : SubmitSplit(batch);
}

void ShardedStore::SubmitHere(Batch* batch) {
  shards_[home_]->Submit(batch);
  if (observer_ != nullptr) observer_->OnPart(*batch, home_, *batch, {});
}

// Once a step is decided: what came after it, up to the next step.
void ShardedStore::SubmitWaiting() {
  while (!waiting_.empty() && undecided_steps_ == 0) {
    Batch* batch = waiting_.front();
    waiting_.pop_front();
    Submit(batch);
  }
}

// One part per shard, each a batch of its own with copies of the ops; results are copied back at home.
struct ShardedStore::Split {
  struct Part {
    Batch batch;
    Split* split = nullptr;
    Shard* shard = nullptr;
    std::vector<Op> ops;
    std::vector<uint32_t> index;  // into the original batch
    // On the shard's loop.
    void Submit() {
      shard->Submit(&batch);
      DecisionObserver* observer = split->store->observer_;
      if (observer != nullptr) observer->OnPart(*split->batch, shard->number(), batch, index);
    }
  };
  ShardedStore* store = nullptr;
  Batch* batch = nullptr;
  std::vector<Part> parts;
  size_t shares = 0;   // parts that have ops
  size_t missing = 0;  // of them, not done
  size_t refused = 0;  // of them, as a whole: nothing happened there
};

// On the home loop.
void ShardedStore::Gather(Split* split, size_t shard) {
  Batch* batch = split->batch;
  const Split::Part& part = split->parts[shard];
  for (size_t i = 0; i < part.ops.size(); ++i) {
    batch->ops[(part.index[i] + (QUIPU_PLANTED(143) ? 1 : 0)) % batch->ops.size()] = part.ops[i];
  }
  if (!part.batch.status.ok()) batch->status = part.batch.status;
  if (part.batch.code != Code::kOk && ++split->refused == split->shares) batch->code = part.batch.code;
  if (split->shares == 1) batch->judged_us = part.batch.judged_us;
  if (--split->missing > 0) return;
  splits_.erase(batch);
  batch->decided = true;
  batch->on_done(batch);
}

void ShardedStore::SubmitSplit(Batch* batch) {
  auto owned = std::make_unique<Split>();
  Split* split = owned.get();
  splits_[batch] = std::move(owned);
  split->store = this;
  split->batch = batch;
  split->parts.resize(count());
  for (uint32_t i = 0; i < batch->ops.size(); ++i) {
    Split::Part& part = split->parts[ShardOf(batch->ops[i].hash, count())];
    part.ops.push_back(batch->ops[i]);
    part.index.push_back(i);
  }
  for (Split::Part& part : split->parts) split->shares += part.ops.empty() ? 0 : 1;
  split->missing = split->shares;
  for (uint32_t s = 0; s < count(); ++s) {
    Split::Part& part = split->parts[s];
    if (part.ops.empty()) continue;
    part.split = split;
    part.shard = shards_[s];
    part.batch.ops = part.ops;
    part.batch.owner = &part;
    part.batch.on_done = [](Batch* b) {
      const auto* done = static_cast<Split::Part*>(b->owner);
      ShardedStore* store = done->split->store;
      store->home_loop()->Post([store, split = done->split, s = done->shard->number()] { store->Gather(split, s); });
    };
    if (s != home_ || QUIPU_PLANTED(145)) shards_[s]->loop()->Post([&part] { part.Submit(); });
  }
  // At once: a batch of this shard alone that comes next is decided at once too.
  if (!split->parts[home_].ops.empty() && !QUIPU_PLANTED(145)) split->parts[home_].Submit();
}

// Of its home, which makes and ends it; the step fills it meanwhile on the thread where it runs.
struct ShardedStore::StepCall {
  ShardedStore* store = nullptr;
  Batch* batch = nullptr;
  size_t missing = 0;
  std::vector<Batch> waits;  // empty batches that are done when a shard shows a position
};

// On the home loop. Only here `decided` may change: until then the home reads it while the step runs on another thread.
void ShardedStore::Finish(StepCall* call) {
  Batch* batch = call->batch;
  step_calls_.erase(batch);
  batch->decided = true;
  batch->on_done(batch);
}

void ShardedStore::SubmitStep(Batch* batch) {
  uint64_t id_hi = step_seed_, id_lo = (static_cast<uint64_t>(home_) << 48) | ++steps_;
  std::vector<rt::Loop*> loops;
  for (Shard* shard : Participants(shards_, *batch)) loops.push_back(shard->loop());
  auto owned = std::make_unique<StepCall>();
  StepCall* call = owned.get();
  call->store = this;
  call->batch = batch;
  step_calls_[batch] = std::move(owned);
  ++undecided_steps_;
  meetings_->Hold(loops, [call, shards = shards_, home = home_loop(), id_hi, id_lo] {
    const uint64_t id[2] = {id_hi, id_lo};
    auto parts = RunStep(shards, id, call->batch);
    if (call->store->observer_ != nullptr) call->store->observer_->OnStep(*call->batch);
    home->Post([store = call->store] {
      --store->undecided_steps_;
      store->SubmitWaiting();
    });
    if (parts.empty()) return home->Post([call] { call->store->Finish(call); });
    call->missing = parts.size();
    call->waits.resize(parts.size());
    for (size_t i = 0; i < parts.size(); ++i) {
      Batch& wait = call->waits[i];
      wait.owner = call;
      wait.on_done = [](Batch* b) {
        auto* done = static_cast<StepCall*>(b->owner);
        done->store->home_loop()->Post([done, status = b->status] {
          if (!status.ok()) done->batch->status = status;
          if (--done->missing == 0) done->store->Finish(done);
        });
      };
      parts[i].first->ShowWhenVisible(&wait, parts[i].second);
    }
  });
}

void ShardedStore::Scan(ScanOp* op) {
  if (op->order == ScanOp::Order::kHash) {
    Shard* shard = shards_[ShardOf(op->cursor, count())];
    if (shard == shards_[home_]) return shard->Scan(op);
    auto* copy = new ScanOp(*op);
    copy->owner = nullptr;
    auto* call = new std::pair<ScanOp*, rt::Loop*>(op, home_loop());
    copy->owner = call;
    copy->on_done = [](ScanOp* done) {
      auto* back = static_cast<std::pair<ScanOp*, rt::Loop*>*>(done->owner);
      back->second->Post([back, done] {
        ScanOp* original = back->first;
        original->status = done->status;
        original->entries = std::move(done->entries);
        original->next_cursor = done->next_cursor;
        delete done;
        delete back;
        original->on_done(original);
      });
    };
    return shard->loop()->Post([shard, copy] { shard->Scan(copy); });
  }
  // By name or value: every shard's best, merged.
  struct Call {
    ScanOp* op;
    rt::Loop* home;
    size_t missing;
    std::vector<ScanOp> parts;
  };
  auto* call = new Call{op, home_loop(), count(), std::vector<ScanOp>(count(), *op)};
  for (uint32_t s = 0; s < count(); ++s) {
    ScanOp& part = call->parts[s];
    part.owner = call;
    part.on_done = [](ScanOp* done) {
      auto* all = static_cast<Call*>(done->owner);
      all->home->Post([all] {
        if (--all->missing > 0) return;
        ScanOp* original = all->op;
        original->status = OkStatus();
        original->entries.clear();
        original->more = false;
        for (ScanOp& p : all->parts) {
          if (!p.status.ok()) original->status = p.status;
          original->more |= p.more;
          std::move(p.entries.begin(), p.entries.end(), std::back_inserter(original->entries));
        }
        std::sort(original->entries.begin(), original->entries.end(),
                  [original](const CounterEntry& a, const CounterEntry& b) { return ScanBefore(*original, a, b); });
        if (original->entries.size() > original->limit) {
          original->entries.resize(original->limit);
          original->more = true;
        }
        delete all;
        original->on_done(original);
      });
    };
    shards_[s]->loop()->Post([shard = shards_[s], &part] { shard->Scan(&part); });
  }
}

void ShardedStore::Events(EventsOp* op) {
  Shard* shard = shards_[ShardOf(HashCounter(op->ns, op->name), count())];
  if (shard == shards_[home_]) return shard->Events(op);
  auto* call = new std::pair<EventsOp*, rt::Loop*>(op, home_loop());
  auto* copy = new EventsOp(*op);
  copy->owner = call;
  copy->on_done = [](EventsOp* done) {
    auto* back = static_cast<std::pair<EventsOp*, rt::Loop*>*>(done->owner);
    back->second->Post([back, done] {
      EventsOp* original = back->first;
      original->status = done->status;
      original->events = std::move(done->events);
      original->more = done->more;
      delete done;
      delete back;
      original->on_done(original);
    });
  };
  shard->loop()->Post([shard, copy] { shard->Events(copy); });
}

void ShardedStore::FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) {
  struct Call {
    size_t missing = 0;  // counted down on the home loop, so it needs no lock
    Status status;
    std::vector<SourceState> found;
    std::function<void(Result<std::vector<SourceState>>)> on_done;
  };
  auto call = std::make_shared<Call>();
  call->missing = count();
  call->on_done = std::move(on_done);
  for (Shard* shard : shards_) {
    shard->loop()->Post([shard, anchor, call, home = home_loop()] {
      shard->FindSources(anchor, [call, home](Result<std::vector<SourceState>> part) {
        home->Post([call, part = std::move(part)] {
          if (part.ok()) {
            call->found.insert(call->found.end(), part->begin(), part->end());
          } else {
            call->status = part.status();
          }
          if (--call->missing > 0) return;
          if (!call->status.ok()) return call->on_done(call->status);
          std::stable_sort(call->found.begin(), call->found.end(),
                           [](const auto& a, const auto& b) { return a.offset > b.offset; });
          call->on_done(call->found);
        });
      });
    });
  }
}

// Shard 0's journal keeps the namespaces; the others learn of a change once it is durable, before the caller does.
void ShardedStore::PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                                std::function<void(Result<Namespace>)> on_done) {
  shards_[0]->loop()->Post([this, name, expected_version, settings, on_done = std::move(on_done)] {
    shards_[0]->PutNamespace(name, expected_version, settings, [this, on_done](Result<Namespace> result) {
      if (!result.ok()) return home_loop()->Post([on_done, result] { on_done(result); });
      std::vector<rt::Loop*> loops;
      for (Shard* shard : shards_) loops.push_back(shard->loop());
      meetings_->Hold(loops, [shards = shards_, home = home_loop(), on_done, result] {
        for (size_t i = 1; i < shards.size(); ++i) shards[i]->ApplyNamespace(*result);
        home->Post([on_done, result] { on_done(result); });
      });
    });
  });
}

StoreInfo ShardedStore::Info() const {
  StoreInfo info = shards_[home_]->Info();
  for (const Shard* shard : shards_) {
    if (shard == shards_[home_]) continue;
    const StoreInfo other = shard->PublishedInfo();
    for (uint64_t StoreInfo::* figure :
         {&StoreInfo::durable_position, &StoreInfo::settled_position, &StoreInfo::counters_with_expiry,
          &StoreInfo::tokens_in_memory, &StoreInfo::replays, &StoreInfo::conflicts, &StoreInfo::expired_tokens,
          &StoreInfo::adds, &StoreInfo::expired_counters, &StoreInfo::unsettled_bytes, &StoreInfo::memory_bytes})
      info.*figure += other.*figure;
    info.last_settle_wall_us = std::max(info.last_settle_wall_us, other.last_settle_wall_us);
    info.fenced |= other.fenced;
    if (info.blocked.ok()) info.blocked = other.blocked;
  }
  info.counters = 0;
  for (const Namespace& ns : Namespaces()->all()) info.counters += CountCounters(ns.id);
  info.counters_with_expiry = std::min(info.counters_with_expiry, info.counters);
  return info;
}

}  // namespace quipu::store
