// Listings: by hash, by name, by value; and the events of one counter.
#include <set>
#include <unordered_set>

#include "model/name.h"
#include "store/embedded/shard.h"

namespace quipu::store {
namespace {

constexpr uint32_t kPartitionsAtOnce = 64;  // of hot counters, before other work gets its turn
constexpr size_t kSettledAtOnce = 2000;     // rows of the sorted runs, likewise

}  // namespace

bool Shard::LiveSlot(const CounterSlot* slot) const {
  return slot->exists && !IsExpired(static_cast<int64_t>(slot->expiry_ms), now_ms_);
}

namespace {

CounterEntry EntryOf(const CounterSlot* slot) {
  return {.name = std::string(slot->name()),
          .value = slot->value,
          .expiry_ms = static_cast<int64_t>(slot->expiry_ms),
          .last_write_us = slot->last_write_us()};
}

// What a listing by name or by value orders by.
struct Rank {
  int64_t value = 0;
  std::string_view name;
};

bool RanksBefore(const ScanOp& op, const Rank& a, const Rank& b) {
  if (op.order == ScanOp::Order::kTop && a.value != b.value)
    return op.ascending ? a.value < b.value : a.value > b.value;
  return a.name < b.name;
}

Rank RankOf(const CounterEntry& entry) { return {.value = entry.value, .name = entry.name}; }

}  // namespace

bool ScanBefore(const ScanOp& op, const CounterEntry& a, const CounterEntry& b) {
  return RanksBefore(op, RankOf(a), RankOf(b));
}

// By name or by value: one pass over the hot counters, a few partitions at a time, then the sorted runs. Counters go
// into memory and out of it meanwhile, so the second pass offers those in memory too: one may be offered twice, with
// two values, but none that exists throughout is left out.
struct Shard::ScanTask {
  ScanOp* op = nullptr;
  uint32_t partition = 0;
  uint32_t partition_end = kPartitions;
  bool started = false;
  // kTop over cold counters.
  uint64_t settled_from = 0;
  bool settled_done = false;
  // The best `limit` (+1, to know whether there are more) so far, in order.
  struct Better {
    using is_transparent = void;
    const ScanOp* op = nullptr;
    bool operator()(const CounterEntry& a, const CounterEntry& b) const { return ScanBefore(*op, a, b); }
    bool operator()(const CounterEntry& a, const Rank& b) const { return RanksBefore(*op, RankOf(a), b); }
    bool operator()(const Rank& a, const CounterEntry& b) const { return RanksBefore(*op, a, RankOf(b)); }
  };
  std::set<CounterEntry, Better> best;
  std::unordered_set<std::string_view> listed;  // kTop: the names in `best`

  // The first of a counter's values stays: taking it out again would leave room for one that was pushed out before.
  void Offer(std::string_view name, int64_t value, int64_t expiry_ms, Micros last_write_us) {
    const Rank rank{.value = value, .name = name};
    if (best.size() > op->limit && !RanksBefore(*op, rank, RankOf(*best.rbegin()))) return;
    const bool by_value = op->order == ScanOp::Order::kTop;
    if (by_value ? listed.contains(name) : best.contains(rank)) return;
    const auto in = best.insert(
        {.name = std::string(name), .value = value, .expiry_ms = expiry_ms, .last_write_us = last_write_us});
    if (by_value) listed.insert(in.first->name);
    if (best.size() <= op->limit + 1) return;
    const auto last = std::prev(best.end());
    if (by_value) listed.erase(last->name);
    best.erase(last);
  }
};

void Shard::Scan(ScanOp* op) {
  op->status = OkStatus();
  op->entries.clear();
  op->next_cursor = 0;
  op->more = false;
  op->gate = 0;
  op->limit = std::clamp<size_t>(op->limit, 1, 100'000);
  SetJudgeTime();
  if (closing_) {
    op->status = Status(Code::kUnavailable, "the store is closing");
    return FinishScan(op);
  }
  if (op->ns >= namespaces_->all().size() || namespaces_->Get(op->ns).deleted) {
    op->status = Status(Code::kNamespaceNotFound, "no such namespace");
    return FinishScan(op);
  }
  if (op->order == ScanOp::Order::kHash) {
    ScanHash(op);
    return FinishScan(op);
  }
  auto task = std::make_shared<ScanTask>();
  task->op = op;
  RunScanTask(task);
}

void Shard::FinishScan(ScanOp* op) {
  if (namespaces_->all().size() > op->ns && namespaces_->Get(op->ns).settings.durability != Durability::kSync)
    op->gate = 0;
  if (op->gate > Visible()) {
    if (Fenced()) {
      op->status = Status(Code::kUnknownOutcome, "the journal is fenced");
    } else {
      journal_->Hurry();
      waiting_scans_.push_back(op);
      return;
    }
  }
  loop_->Post([op] { op->on_done(op); });
}

// A page of hash order: hot counters of [cursor, end) from the table, cold ones of the same range from the sorted runs.
// A page ends only between different hashes, so the next cursor says exactly what has been seen.
void Shard::ScanHash(ScanOp* op) {
  uint64_t cursor = op->cursor;
  // No row of the sorted runs lies between the cursor and here: what is settled meanwhile is still hot.
  uint64_t cold_from = cursor;
  for (;;) {
    uint64_t end = 0;
    std::vector<std::pair<uint64_t, CounterEntry>> hot;
    Position gate = op->gate;
    counters_.VisitFrom(cursor, [&](const CounterSlot* slot, uint64_t gap) {
      if (!slot) {
        end = gap;
        return op->entries.size() + hot.size() < op->limit;
      }
      if (slot->hash >= cursor && slot->ns == op->ns) {
        gate = std::max<Position>(gate, slot->position);
        if (LiveSlot(slot)) hot.emplace_back(slot->hash, EntryOf(slot));
      }
      return true;
    });
    if (!all_resident_ && (end == 0 || cold_from < end)) {
      uint64_t last_hash = cursor;
      cold_from = std::numeric_limits<uint64_t>::max();
      std::vector<std::pair<uint64_t, CounterEntry>> cold;
      Status s = context_.settled->ScanCounters(op->ns, cursor, [&](const CounterRef& c, const Checkpoint& k) {
        if (end != 0 && c.hash >= end) {
          cold_from = c.hash;
          return false;
        }
        if (op->entries.size() + cold.size() >= op->limit && c.hash != last_hash) {
          cold_from = end = c.hash;
          return false;
        }
        last_hash = c.hash;
        if (!counters_.Find(c.hash, c.ns, c.name) && !IsExpired(k.expiry_ms, now_ms_)) {
          cold.emplace_back(c.hash, CounterEntry{.name = std::string(c.name),
                                                 .value = k.value,
                                                 .expiry_ms = k.expiry_ms,
                                                 .last_write_us = k.last_write_us});
        }
        return true;
      });
      if (!s.ok()) {
        op->status = s;
        op->entries.clear();
        return;
      }
      for (auto& [hash, entry] : cold) op->entries.push_back(std::move(entry));
      std::erase_if(hot, [&](const auto& h) { return end != 0 && h.first >= end; });
    }
    for (auto& [hash, entry] : hot) op->entries.push_back(std::move(entry));
    op->gate = gate;
    cursor = end;
    // The next partition may be another shard's.
    if (cursor != 0 && ShardOf(cursor, context_.shards) != number()) break;
    if (cursor == 0 || op->entries.size() >= op->limit) break;
  }
  op->next_cursor = cursor;
}

void Shard::RunScanTask(const std::shared_ptr<ScanTask>& task) {
  ScanOp* op = task->op;
  bool by_name = op->order == ScanOp::Order::kName;
  SetJudgeTime();
  if (!task->started) {
    task->started = true;
    task->best = std::set<CounterEntry, ScanTask::Better>(ScanTask::Better{op});
    // All names of a group `k[` stand in one partition.
    if (size_t bracket = op->prefix.find('[');
        bracket != std::string::npos && bracket > 0 && op->prefix.find(']') == std::string::npos) {
      std::string sample = op->prefix.substr(0, bracket) + "[x]";
      if (!SplitGrouped(sample).group.empty() && op->prefix.find('[', bracket + 1) == std::string::npos) {
        task->partition = PartitionOf(HashCounter(op->ns, sample));
        task->partition_end = task->partition + 1;
      }
    }
  }
  const auto offer_slot = [&](const CounterSlot* slot) {
    op->gate = std::max<Position>(op->gate, slot->position);
    if (!LiveSlot(slot)) return;
    task->Offer(slot->name(), slot->value, static_cast<int64_t>(slot->expiry_ms), slot->last_write_us());
  };
  const auto offer_settled = [&](std::string_view name, const Checkpoint& k) {
    if (!IsExpired(k.expiry_ms, now_ms_)) task->Offer(name, k.value, k.expiry_ms, k.last_write_us);
  };
  uint32_t until = std::min(task->partition_end, task->partition + kPartitionsAtOnce);
  for (; task->partition < until; ++task->partition) {
    counters_.VisitPartition(task->partition, [&](const CounterSlot* slot) {
      if (slot->ns != op->ns || !slot->name().starts_with(op->prefix)) return;
      if (by_name && slot->name() <= op->after_name && !op->after_name.empty()) return;
      offer_slot(slot);
    });
  }
  auto again = [&] { loop_->Post([this, alive = alive_, task] { *alive ? RunScanTask(task) : void(); }); };
  if (task->partition < task->partition_end) return again();

  Status s;
  if (!all_resident_ && by_name) {
    s = context_.settled->ScanNames(op->ns, op->after_name, op->prefix, [&](std::string_view name) {
      // Beyond the last of a full page nothing can come in any more.
      if (task->best.size() > op->limit && name > task->best.rbegin()->name) return false;
      uint64_t hash = HashCounter(op->ns, name);
      if (ShardOf(hash, context_.shards) != number()) return true;
      if (const CounterSlot* slot = counters_.Find(hash, op->ns, name)) {
        offer_slot(slot);
        return true;
      }
      auto found = context_.settled->GetCounter({.ns = op->ns, .hash = hash, .name = name});
      if (!found.ok()) {
        op->status = found.status();
        return false;
      }
      if (found->has_value()) offer_settled(name, **found);
      return true;
    });
  } else if (!all_resident_ && !task->settled_done) {
    size_t rows = 0;
    task->settled_done = true;
    s = context_.settled->ScanCounters(op->ns, task->settled_from, [&](const CounterRef& c, const Checkpoint& k) {
      if (++rows > kSettledAtOnce && c.hash != task->settled_from) {
        task->settled_from = c.hash;
        task->settled_done = false;
        return false;
      }
      task->settled_from = c.hash;
      if (ShardOf(c.hash, context_.shards) != number() || !c.name.starts_with(op->prefix)) return true;
      const CounterSlot* slot = counters_.Find(c.hash, c.ns, c.name);
      slot != nullptr ? offer_slot(slot) : offer_settled(c.name, k);
      return true;
    });
    if (s.ok() && !task->settled_done) return again();
  }
  if (op->status.ok()) op->status = s;
  if (op->status.ok()) {
    op->more = task->best.size() > op->limit;
    for (const CounterEntry& entry : task->best) {
      if (op->entries.size() == op->limit) break;
      op->entries.push_back(entry);
    }
  }
  FinishScan(op);
}

// Settled events from the sorted runs, then those still in the journal, on the settle worker: a settle cannot run
// meanwhile, and no segment is recycled while a reader is at work.
void Shard::Events(EventsOp* op) {
  op->status = OkStatus();
  op->events.clear();
  op->more = false;
  op->limit = std::clamp<size_t>(op->limit, 1, 10'000);
  struct Job {
    NamespaceId ns;
    std::string name;
    uint64_t hash;
    Position after;
    size_t limit;
    std::vector<uint64_t> segments;
    Position durable;
    Status status;
    std::vector<EventEntry> events;
    bool more = false;
  };
  auto job = std::make_shared<Job>();
  job->ns = op->ns;
  job->name = op->name;
  job->hash = HashCounter(op->ns, op->name);
  job->after = std::min(op->after, Visible());  // there is nothing beyond
  job->limit = op->limit;
  job->segments = journal_->SegmentsAfter(settled_);
  job->durable = Visible();
  ++journal_readers_;
  auto run = [context = context_, job] {
    CounterRef counter{.ns = job->ns, .hash = job->hash, .name = job->name};
    auto add = [&](const SettledEvent& e) {
      if (job->events.size() == job->limit) {
        job->more = true;
        return false;
      }
      job->events.push_back({.position = e.position,
                             .kind = e.kind,
                             .outcome = e.outcome,
                             .delta = e.delta,
                             .applied = e.applied,
                             .value = e.value,
                             .events = e.events,
                             .event_us = e.event_us,
                             .token = TokenText(e.token)});
      return true;
    };
    job->status = context.settled->ScanEvents(counter, job->after, add);
    if (!job->status.ok() || job->more) return;
    auto row = context.settled->GetMeta(PositionKey(context.position_generation, context.identity.shard));
    SettledPosition settled;
    if (!row.ok() || (row->has_value() && !DecodeSettledPosition(**row, &settled))) {
      job->status = Status(Code::kDataLoss, "the settled position does not decode");
      return;
    }
    if (settled.position >= job->durable) return;
    Status s = ReadFrames(context.disk, context.journal_dir, job->segments, std::max(settled.position, job->after),
                          job->durable, [&](const FrameHeader& h, std::string_view payload) -> Status {
                            const char* p = payload.data();
                            const char* end = p + payload.size();
                            Record record;
                            for (uint32_t i = 0; i < h.records; ++i) {
                              if (!DecodeRecord(&p, end, h.commit_us, &record))
                                return Status(Code::kDataLoss, "a record does not decode");
                              Position position = h.first + i;
                              const CounterRecord& r = record.counter;
                              if (record.type != RecordType::kCounter || position <= job->after ||
                                  position <= settled.position || r.ns != job->ns || r.name != job->name) {
                                continue;
                              }
                              if (!add(EventOf(r, position, h.commit_us)))
                                return Status(Code::kConditionNotMet, "the page is full");
                            }
                            return OkStatus();
                          });
    if (!s.ok() && s.code() != Code::kConditionNotMet) job->status = s;
  };
  loop_->RunOnWorker(rt::Worker::kSettle, run, [this, alive = alive_, op, job] {
    if (!*alive) return;
    if (--journal_readers_ == 0) ReleaseJournal();
    op->status = job->status;
    op->events = std::move(job->events);
    op->more = job->more;
    op->on_done(op);
  });
}

}  // namespace quipu::store
