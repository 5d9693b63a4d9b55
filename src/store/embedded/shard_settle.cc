// Background care of a shard: settling, retention, expiry, and the memory budget. Everything long runs on the settle
// worker; what stays on the loop comes in small pieces.
#include "base/plant.h"
#include "store/embedded/shard.h"

namespace quipu::store {
namespace {

constexpr int64_t kMaintainEveryUs = 100'000;
constexpr int64_t kRetentionEveryUs = 60'000'000;
constexpr int kSettlesPerRetention = 12;  // at most: each adds a run, which every look at an old token asks
constexpr int64_t kRetrySettleUs = 1'000'000;
constexpr int64_t kJumpUs = 3600ll * 1000 * 1000;
constexpr double kPressureMax = 2.5;    // three eighths above the budget: refuse until settling has caught up
constexpr size_t kSweepSlots = 20'000;  // in one piece, and up to one partition more
constexpr size_t kPopulateBytes = 16u << 20;
constexpr size_t kExpirePieces = 2000;       // counters, in one piece
constexpr int64_t kMaintainAgainUs = 2'000;  // when a piece left more to do

}  // namespace

void Shard::PushExpiry(CounterSlot* slot) {
  expiries_.Push(
      {.due_ms = static_cast<int64_t>(slot->expiry_ms), .ns = static_cast<NamespaceId>(slot->ns), .hash = slot->hash});
  slot->in_heap = 1;
}

// Entries of the index are hints: the counter's own expiry decides.
bool Shard::ExpireOne(const ExpiryIndex::Entry& entry, int64_t now_ms) {
  if (!all_resident_) {
    // A counter that is only in the sorted runs is brought in first.
    std::vector<std::string> names;
    Status s = context_.settled->ScanCounters(entry.ns, entry.hash, [&](const CounterRef& c, const Checkpoint&) {
      if (c.hash != entry.hash) return false;
      names.emplace_back(c.name);
      return true;
    });
    bool looked = s.ok();
    for (size_t i = 0; looked && i < names.size(); ++i) looked = FindOrLoad(entry.hash, entry.ns, names[i]).ok();
    if (!looked) {
      expiries_.Push(entry);
      return false;
    }
  }
  std::vector<std::pair<NamespaceId, std::string>> expired;
  counters_.VisitPartition(PartitionOf(entry.hash), [&](CounterSlot* slot) {
    if (slot->hash != entry.hash || slot->ns != entry.ns) return;
    slot->in_heap = 0;
    if (!slot->exists || slot->expiry_ms == 0) return;
    if (IsExpired(static_cast<int64_t>(slot->expiry_ms), now_ms)) {
      expired.emplace_back(static_cast<NamespaceId>(slot->ns), std::string(slot->name()));
    } else {
      PushExpiry(slot);
    }
  });
  for (const auto& [ns, name] : expired) AppendExpiredDelete(counters_.Find(entry.hash, ns, name), false);
  return true;
}

// Deletes what has expired, one bounded piece; true if there is more.
bool Shard::SweepExpired() {
  if (RefuseWrites() != Code::kOk) return false;
  const int64_t now_ms = journal_->frame_us() / 1000;
  for (size_t n = 0; n < kExpirePieces && expiries_.IsDue(now_ms); ++n) {
    if (!ExpireOne(expiries_.Pop(), now_ms)) return false;
  }
  return expiries_.IsDue(now_ms);
}

void Shard::MakeRoom(const Batch& batch) {
  if (RefuseWrites() != Code::kOk) return;
  std::map<NamespaceId, uint64_t> wanted;  // by namespace with a limit: counters that the batch may make
  for (const Op& op : batch.ops) {
    if (!IsMutation(op.kind) || op.ns >= namespaces_->all().size()) continue;
    if (namespaces_->Get(op.ns).settings.counters_max > 0) ++wanted[op.ns];
  }
  const int64_t now_ms = journal_->frame_us() / 1000;
  // Each deletes one or is a hint that has become void.
  size_t looks = kExpirePieces + batch.ops.size();
  for (const auto& [ns, counters] : wanted) {
    const auto most = static_cast<uint64_t>(namespaces_->Get(ns).settings.counters_max);
    for (; looks > 0 && CountCounters(ns) + counters > most && expiries_.IsDue(ns, now_ms); --looks) {
      if (!ExpireOne(expiries_.Pop(ns), now_ms)) return;
    }
  }
}

Code Shard::CheckRoom(const Namespace& ns, int64_t created) const {
  const int64_t most = ns.settings.counters_max;
  if (most == 0 || static_cast<int64_t>(CountCounters(ns.id)) + created < most) return Code::kOk;
  return expiries_.IsDue(ns.id, now_ms_) && !QUIPU_PLANTED(142) ? Code::kOverloaded : Code::kQuotaExceeded;
}

void Shard::Maintain() {
  loop_->Arm(&timer_, loop_->MonoMicros() + kMaintainEveryUs);
  int64_t wall = loop_->WallMicros(), mono = loop_->MonoMicros();
  if ((wall - last_seen_wall_us_) - (mono - last_seen_mono_us_) > kJumpUs) {
    // The wall clock leapt forward: by its new time tokens look older than they are. Nothing is forgotten until the
    // longest horizon and skew have passed by the clock that does not leap.
    int64_t longest = 0;
    for (const Namespace& ns : namespaces_->all()) {
      longest = std::max(longest, (ns.settings.token_horizon_ms + ns.settings.token_skew_ms) * 1000);
    }
    hold_tokens_until_mono_us_ = mono + longest;
  }
  last_seen_wall_us_ = wall;
  last_seen_mono_us_ = mono;
  if (context_.shards > 1) {
    StoreInfo info = Info();
    std::lock_guard lock(published_mutex_);
    published_ = std::move(info);
  }
  if (Fenced() || closing_) return;
  bool more = SweepExpired();
  KeepWithinMemory();
  PrepareTokens();
  if (!settling_ && Visible() <= settled_) settle_scratch_.reset();
  if (more || sweep_left_ > 0) loop_->Arm(&timer_, mono + kMaintainAgainUs);
  MaybeSettle();
  if (mono - last_retention_mono_us_ > kRetentionEveryUs || settles_since_retention_ >= kSettlesPerRetention) {
    StartRetention();
  }
}

// The filters of the tokens that are in the sorted runs are paid by those in memory, which keep a quarter at least.
size_t Shard::TokensBytesMax() const {
  const size_t filters = context_.settled->PinnedBytes() / context_.shards;
  return options_.tokens_bytes_max - std::min(filters, options_.tokens_bytes_max / 4 * 3);
}

void Shard::KeepWithinMemory() {
  const size_t tokens_max = TokensBytesMax();
  if (tokens_.memory_bytes() > tokens_max) {
    tokens_.Trim(tokens_max, settled_, INT64_MIN);
    settle_wanted_ |= tokens_.memory_bytes() > tokens_max;
  }
  if (counters_.memory_bytes() > options_.counters_bytes_max && !evicting_) {
    evicting_ = true;
    sweep_left_ = kPartitions;
    settle_wanted_ = true;
  }
  SweepCounters();
  memory_exhausted_ = MemoryPressure() > kPressureMax;
}

// What is settled is dropped as soon as memory is above its budget. From a sixteenth above it on adds come faster than
// they are settled.
double Shard::MemoryPressure() const {
  const auto pressure = [](size_t used, size_t max, size_t share) {
    return (static_cast<double>(used) - static_cast<double>(max)) * 8 / static_cast<double>(share) - 0.5;
  };
  return std::max(pressure(counters_.memory_bytes(), options_.counters_bytes_max, options_.counters_bytes_max),
                  pressure(tokens_.memory_bytes(), TokensBytesMax(), options_.tokens_bytes_max));
}

// Forgets deleted counters, and cold ones while memory is short, as far as they are settled: one bounded piece.
void Shard::SweepCounters() {
  for (size_t visited = 0; sweep_left_ > 0 && visited < kSweepSlots; --sweep_left_) {
    size_t dropped = 0;
    counters_.EraseIf(sweep_partition_, [&](CounterSlot* slot) {
      ++visited;
      if (slot->position > settled_) return false;
      if (!slot->exists) {
        --deleted_slots_;
        return true;
      }
      if (!evicting_) return false;
      bool cold = !slot->referenced;
      slot->referenced = 0;
      if (cold) ++dropped;
      return cold;
    });
    if (dropped > 0) all_resident_ = false;
    if (dropped > 0) counters_.Shrink(sweep_partition_);
    sweep_partition_ = (sweep_partition_ + 1) % kPartitions;
    if (counters_.memory_bytes() < options_.counters_bytes_max - options_.counters_bytes_max / 8) evicting_ = false;
  }
  if (sweep_left_ == 0) evicting_ = false;
}

// The first touch of a large index's pages would stop the loop for tens of milliseconds: they are touched ahead, in
// pieces, since the worker has segments to lay out as well.
void Shard::PrepareTokens() {
  const size_t places = tokens_.next_places();
  if (places == 0 || next_tokens_) return;
  next_tokens_ = std::make_shared<TokenWindow::Room>(places);
  PopulateTokens(0);
}

void Shard::PopulateTokens(size_t from) {
  if (from >= next_tokens_->index_bytes()) {
    tokens_.GiveNext(std::move(*next_tokens_));
    next_tokens_.reset();
    return;
  }
  loop_->RunOnWorker(
      rt::Worker::kFiles, [room = next_tokens_, from] { room->memory.Populate(from, kPopulateBytes); },
      [this, alive = alive_, from] {
        if (*alive) PopulateTokens(from + kPopulateBytes);
      });
}

void Shard::MaybeSettle() {
  if (settling_ || Visible() <= settled_) return;
  int64_t now = loop_->MonoMicros();
  bool due = journal_->unsettled_bytes() >= options_.settle_bytes ||
             now - last_settle_mono_us_ >= options_.settle_interval_us || settle_wanted_;
  if (!settle_error_.ok() && now - last_settle_mono_us_ < kRetrySettleUs) due = false;
  if (due) StartSettle();
}

void Shard::StartSettle() {
  settling_ = true;
  settle_wanted_ = false;
  last_settle_mono_us_ = loop_->MonoMicros();
  if (QUIPU_PLANTED(107)) journal_->Release(Visible());
  auto outcome = std::make_shared<SettleOutcome>();
  if (!settle_scratch_) settle_scratch_ = MakeSettleScratch();
  SettleInput input{.disk = context_.disk,
                    .settled = context_.settled,
                    .journal_dir = context_.journal_dir,
                    .segments = journal_->SegmentsAfter(settled_),
                    .shard = number(),
                    .generation = context_.position_generation,
                    .token_seed = context_.token_seed,
                    .after = settled_,
                    .through = Visible(),
                    .bytes_max = options_.settle_bytes,
                    .bytes_expected = journal_->unsettled_bytes(),
                    .scratch = settle_scratch_};
  loop_->RunOnWorker(
      rt::Worker::kSettle, [input, outcome] { *outcome = Settle(input); },
      [this, alive = alive_, outcome] {
        if (*alive) OnSettled(*outcome);
      });
}

void Shard::OnSettled(const SettleOutcome& outcome) {
  settling_ = false;
  settle_error_ = outcome.status;
  if (outcome.status.ok()) {
    settled_ = outcome.settled;
    settled_commit_us_ = outcome.commit_us;
    settled_newest_own_us_ = outcome.newest_own_us;
    info_.last_settle_wall_us = loop_->WallMicros();
    ++settles_since_retention_;
    if (deleted_slots_ > 0) sweep_left_ = kPartitions;
    ReleaseJournal();
    KeepWithinMemory();
  }
  if (outcome.bytes < options_.settle_bytes / 2) settle_scratch_.reset();
  auto waiters = std::exchange(settle_waiters_, {});
  if (outcome.status.ok() && settled_ < Visible() && !waiters.empty()) {
    settle_waiters_ = std::move(waiters);
    return StartSettle();
  }
  for (auto& waiter : waiters) waiter(outcome.status);
}

void Shard::ReleaseJournal() {
  if (journal_readers_ > 0) return;
  journal_->Release(settled_);
}

void Shard::SettleNow(std::function<void(Status)> on_done) {
  settle_waiters_.push_back(std::move(on_done));
  if (settling_) return;
  if (Visible() <= settled_) {
    auto waiters = std::exchange(settle_waiters_, {});
    loop_->Post([waiters = std::move(waiters)] {
      for (auto& waiter : waiters) waiter(OkStatus());
    });
    return;
  }
  StartSettle();
}

// Drops whole slices whose time is over in every namespace, and merges runs where there are too many.
void Shard::StartRetention() {
  last_retention_mono_us_ = loop_->MonoMicros();
  if (retention_running_) return;
  settles_since_retention_ = 0;
  int64_t horizon_us = 0, retention_us = 0;
  for (const Namespace& ns : namespaces_->all()) {
    // A token is kept so long from its own time on, which may lie the greatest skew after its commit.
    const int64_t kept_ms = ns.settings.token_horizon_ms + ns.settings.token_skew_ms;
    horizon_us = std::max(horizon_us, (kept_ms + kTokenSkewMsMax) * 1000);
    retention_us = std::max(retention_us, ns.settings.event_retention_ms * 1000);
  }
  Micros now_us = journal_->frame_us();
  bool hold = loop_->MonoMicros() < hold_tokens_until_mono_us_;
  if (QUIPU_PLANTED(127)) horizon_us /= 16;
  Micros tokens_before = hold ? INT64_MIN : now_us - horizon_us;
  Micros events_before = hold ? INT64_MIN : now_us - std::max(retention_us, horizon_us);
  tokens_.Trim(TokensBytesMax(), settled_, tokens_before);
  if (number() != 0) return;  // the sorted runs are common to all shards: one of them looks after them
  retention_running_ = true;
  loop_->RunOnWorker(
      rt::Worker::kSettle,
      [settled = context_.settled, tokens_before, events_before] {
        std::lock_guard changing(settled->changing());
        // Each is tried again a minute later; nothing depends on the moment.
        if (tokens_before != INT64_MIN) settled->DropTokensBefore(tokens_before).Ignore("tried again in a minute");
        if (events_before != INT64_MIN) settled->DropEventsBefore(events_before).Ignore("tried again in a minute");
        settled->Compact().Ignore("tried again in a minute");
      },
      [this, alive = alive_] {
        if (*alive) retention_running_ = false;
      });
}

}  // namespace quipu::store
