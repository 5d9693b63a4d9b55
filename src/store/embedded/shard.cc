// The life of a shard: recovery, waiting answers, namespaces, sources, closing.
#include "store/embedded/shard.h"

#include <algorithm>
#include <bit>

#include "base/plant.h"
#include "base/varint.h"
#include "model/name.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

// Memory is given back a generation at a time and only of what is settled: both in pieces that are small beside it.
ShardOptions WithinMemory(ShardOptions options) {
  TokenWindow::Options& tokens = options.tokens;
  size_t places = std::bit_floor(std::max<size_t>(options.tokens_bytes_max / 8 / TokenWindow::kPlaceBytes, 1));
  tokens.places_max = std::clamp(places, tokens.places_first, std::max(tokens.places_first, tokens.places_max));
  const uint64_t smaller = std::min(options.tokens_bytes_max, options.counters_bytes_max);
  options.settle_bytes = std::min(options.settle_bytes, smaller / 8);
  options.journal.unsettled_bytes_soft = std::min(4 * options.settle_bytes, smaller / 8 * 3);
  return options;
}

}  // namespace

Shard::Shard(const Context& context, const ShardOptions& options)
    : context_(context), options_(WithinMemory(options)), loop_(context.loop), tokens_(options_.tokens) {
  timer_.on_fire = [this] { Maintain(); };
  last_settle_mono_us_ = loop_->MonoMicros();
}

Shard::~Shard() {
  *alive_ = false;
  loop_->Disarm(&timer_);
  if (journal_) loop_->RemoveTurnHook(this);
}

Status Shard::LoadMeta() {
  std::vector<Namespace> all;
  QUIPU_ASSIGN_OR_RETURN(auto rows, context_.settled->ListMeta(kNamespacePrefix));
  for (const auto& [key, value] : rows) {
    Record r;
    const char* p = value.data();
    if (!DecodeRecord(&p, value.data() + value.size(), 0, &r) || r.type != RecordType::kNamespace ||
        r.ns.id != all.size()) {
      return Status(Code::kDataLoss, fmt::format("the settled row of namespace {} does not decode", all.size()));
    }
    QUIPU_ASSIGN_OR_RETURN(NamespaceSettings settings, NamespaceSettingsFromJson(r.ns.settings_json, {}));
    all.push_back({.id = r.ns.id,
                   .name = std::string(r.ns.name),
                   .version = r.ns.version,
                   .deleted = r.ns.deleted,
                   .settings = settings,
                   .tokens_known_since_us = r.ns.tokens_known_since_us});
  }
  SetNamespaces(context_.namespaces ? context_.namespaces : std::make_shared<NamespaceTable>(all));
  // Every shard's own number, and those of shards that are no more.
  QUIPU_ASSIGN_OR_RETURN(auto counts, context_.settled->ListMeta(kCountPrefix));
  for (const auto& [key, value] : counts) {
    uint32_t shard;
    NamespaceId ns;
    uint64_t count;
    if (!DecodeCountKey(key, &shard, &ns) || !GetVarint(value.data(), value.data() + value.size(), &count)) {
      return Status(Code::kDataLoss, "a settled count does not decode");
    }
    if (count != 0) all_resident_ = false;
    if (shard % context_.shards == number()) counts_.Add(ns, count);
  }
  QUIPU_ASSIGN_OR_RETURN(auto sources, context_.settled->ListMeta(kSourcePrefix));
  for (const auto& [key, value] : sources) {
    Record r;
    const char* p = value.data();
    if (!DecodeRecord(&p, value.data() + value.size(), 0, &r) || r.type != RecordType::kSource) {
      return Status(Code::kDataLoss, "a settled source row does not decode");
    }
    SourceId id{r.source.id[0], r.source.id[1]};
    if (ShardOf(id, context_.shards) != number()) continue;
    sources_[id] = ToState(r.source);
  }
  QUIPU_ASSIGN_OR_RETURN(auto expiries, context_.settled->ListMeta(kExpiryPrefix));
  for (const auto& [key, value] : expiries) {
    int64_t due_ms;
    NamespaceId ns;
    uint64_t hash;
    if (!DecodeExpiryKey(key, &due_ms, &ns, &hash))
      return Status(Code::kDataLoss, "a settled expiry row does not decode");
    if (ShardOf(hash, context_.shards) != number()) continue;
    expiries_.Push({.due_ms = due_ms, .ns = ns, .hash = hash});
  }
  QUIPU_ASSIGN_OR_RETURN(auto position, context_.settled->GetMeta(PositionKey(context_.position_generation, number())));
  if (position) {
    SettledPosition p;
    if (!DecodeSettledPosition(*position, &p)) return Status(Code::kDataLoss, "the settled position does not decode");
    settled_ = p.position;
    settled_commit_us_ = p.commit_us;
    settled_newest_own_us_ = p.newest_own_us;
    tokens_.SetDropped(p.commit_us, p.newest_own_us);
  }
  return OkStatus();
}

Status Shard::ReplayFrame(const FrameHeader& header, std::string_view payload) {
  const char* p = payload.data();
  const char* end = p + payload.size();
  Position position = header.first;
  Record record;
  std::array<Replayed, kWindow> window;
  size_t n = 0;
  const auto apply = [&] {
    for (size_t i = 0; i < n; ++i) counters_.Prefetch(window[i].hash);
    for (size_t i = 0; i < n; ++i) Replay(window[i], header.commit_us);
    n = 0;
  };
  for (uint32_t i = 0; i < header.records; ++i, ++position) {
    if (!DecodeRecord(&p, end, header.commit_us, &record)) {
      return Status(Code::kDataLoss, fmt::format("record {} of {} does not decode", i + 1, header.records));
    }
    if (position <= settled_) continue;
    if (QUIPU_PLANTED(111) && i > 0 && i + 1 == header.records) continue;
    switch (record.type) {
      case RecordType::kNamespace: {
        auto settings = NamespaceSettingsFromJson(record.ns.settings_json, {});
        if (!settings.ok()) return Status(Code::kDataLoss, std::string(settings.status().message()));
        if (record.ns.id > namespaces_->all().size())
          return Status(Code::kDataLoss, "a namespace's number leaves a gap");
        ApplyNamespace({.id = record.ns.id,
                        .name = std::string(record.ns.name),
                        .version = record.ns.version,
                        .deleted = record.ns.deleted,
                        .settings = *settings,
                        .tokens_known_since_us = record.ns.tokens_known_since_us});
        break;
      }
      case RecordType::kSource:
        sources_[{record.source.id[0], record.source.id[1]}] = ToState(record.source);
        break;
      case RecordType::kStep:
        break;
      case RecordType::kCounter: {
        const CounterRecord& r = record.counter;
        if (r.ns >= namespaces_->all().size()) return Status(Code::kDataLoss, fmt::format("no namespace {}", r.ns));
        Replayed& next = window[n++];
        next = {.record = r, .hash = HashCounter(r.ns, r.name), .position = position};
        counters_.PrefetchPart(next.hash);
        if (r.token_form != TokenForm::kNone) {
          const TokenBytes token = TokenOf(r);
          next.own_us = TokenOwnTime(token);
          next.print = MakeTokenPrint(context_.token_seed, next.hash, r.ns, r.name, token);
          tokens_.Prefetch(next.print, next.own_us);
        }
        if (n == kWindow) apply();
        break;
      }
    }
  }
  apply();
  if (p != end) return Status(Code::kDataLoss, fmt::format("{} bytes follow the last record", end - p));
  return OkStatus();
}

void Shard::Replay(const Replayed& replayed, Micros commit_us) {
  const CounterRecord& r = replayed.record;
  if (r.token_form != TokenForm::kNone) {
    tokens_.Insert(replayed.print, ResultOf(r, replayed.position, replayed.own_us, commit_us), replayed.own_us,
                   commit_us);
  }
  if (r.outcome == Outcome::kRefused) return;
  CounterSlot* slot = counters_.Find(replayed.hash, r.ns, r.name);
  if (!slot) slot = counters_.Insert(replayed.hash, r.ns, r.name);
  CounterState state;
  if (r.exists) state = {.value = r.value, .expiry_ms = r.expiry_ms, .last_write_us = r.last_write_us, .exists = true};
  SetSlot(slot, state, replayed.position);
  if (r.exists != r.existed) counts_.Add(r.ns, r.exists ? 1 : ~uint64_t{0});
  if (QUIPU_PLANTED(116) && r.exists != r.existed) counts_.Add(r.ns, r.exists ? 1 : ~uint64_t{0});
}

Status Shard::Recover(const std::function<bool(const StepRecord&)>& step_holds) {
  QUIPU_RETURN_IF_ERROR(LoadMeta());
  uint64_t unsettled_bytes = 0;
  auto end = ReadJournal(context_.disk, context_.journal_dir, context_.identity, settled_,
                         [&](const FrameHeader& h, std::string_view payload) {
                           StepRecord step;
                           if (BeginsStep(payload, h.commit_us, &step) && !step_holds(step)) {
                             return Status(Code::kConditionNotMet, "a part of the step is missing");
                           }
                           if (h.first + h.records > settled_ + 1) unsettled_bytes += h.frame_bytes;
                           return ReplayFrame(h, payload);
                         });
  if (!end.ok()) return end.status();
  QUIPU_RETURN_IF_ERROR(WipeBeyond(context_.disk, context_.journal_dir, *end));
  Journal::Start start = end->start;
  // Time goes on from the last commit, also where that was settled and its segment is gone.
  start.commit_us = std::max(start.commit_us, settled_commit_us_);
  start.unsettled_bytes = unsettled_bytes;
  journal_ = std::make_unique<Journal>(loop_, context_.disk, context_.journal_dir, options_.journal, start, this);
  loop_->AddTurnHook(this);
  QUIPU_RETURN_IF_ERROR(journal_->Open());
  last_seen_wall_us_ = loop_->WallMicros();
  last_seen_mono_us_ = loop_->MonoMicros();

  if (number() != 0) return Begin();
  if (namespaces_->all().empty()) {
    Namespace ns{.id = kDefaultNamespace, .name = "default"};
    for (const auto& [name, settings] : context_.namespace_seeds) {
      if (name == ns.name) ns.settings = settings;
    }
    AppendNamespace(ns);
  }
  for (const auto& [name, settings] : context_.namespace_seeds) {
    if (namespaces_->Find(name)) continue;
    AppendNamespace({.id = static_cast<NamespaceId>(namespaces_->all().size()), .name = name, .settings = settings});
  }
  return Begin();
}

Status Shard::Begin() {
  loop_->Arm(&timer_, loop_->MonoMicros() + 100'000);
  return OkStatus();
}

void Shard::ApplyNamespace(const Namespace& ns) {
  std::vector<Namespace> all = namespaces_->all();
  if (ns.id == all.size()) {
    all.push_back(ns);
  } else {
    all[ns.id] = ns;
  }
  SetNamespaces(std::make_shared<NamespaceTable>(std::move(all)));
}

void Shard::SetNamespaces(std::shared_ptr<const NamespaceTable> table) {
  namespaces_ = std::move(table);
  counts_are_limited_ = std::any_of(namespaces_->all().begin(), namespaces_->all().end(),
                                    [](const Namespace& ns) { return ns.settings.counters_max > 0; });
}

Position Shard::AppendNamespace(const Namespace& ns) {
  std::string json = NamespaceSettingsToJson(ns.settings);
  NamespaceRecord r{.id = ns.id,
                    .version = ns.version,
                    .deleted = ns.deleted,
                    .tokens_known_since_us = ns.tokens_known_since_us,
                    .name = ns.name,
                    .settings_json = json};
  char* at = journal_->Reserve(kRecordBytesMax);
  Position position = journal_->Append(EncodeNamespace(r, at), 1, true);
  ApplyNamespace(ns);
  return position;
}

void Shard::PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                         std::function<void(Result<Namespace>)> on_done) {
  auto answer = [this, &on_done](Status status) {
    loop_->Post([status = std::move(status), on_done = std::move(on_done)] { on_done(status); });
  };
  if (closing_) return answer(Status(Code::kUnavailable, "the store is closing"));
  if (Status s = CheckNamespaceName(name); !s.ok()) return answer(s);
  if (Status s = CheckNamespaceSettings(settings); !s.ok()) return answer(s);
  if (Code refuse = RefuseWrites(); refuse != Code::kOk)
    return answer(Status(refuse, "the journal takes no writes now"));
  const Namespace* known = namespaces_->Find(name);
  Namespace ns;
  SetJudgeTime();
  if (expected_version == 0) {
    if (known) return answer(Status(Code::kAlreadyExists, fmt::format("namespace {} exists", name)));
    if (namespaces_->all().size() > kNamespaceIdMax) {
      return answer(Status(Code::kQuotaExceeded,
                           fmt::format("there are {} namespaces, no more are allowed", namespaces_->all().size())));
    }
    ns = {.id = static_cast<NamespaceId>(namespaces_->all().size()), .name = name, .settings = settings};
  } else {
    if (!known) return answer(Status(Code::kNamespaceNotFound, fmt::format("no such namespace: {}", name)));
    if (known->version != expected_version) {
      return answer(Status(Code::kVersionMismatch,
                           fmt::format("namespace {} has version {}, not {}", name, known->version, expected_version)));
    }
    ns = *known;
    ns.tokens_known_since_us = TokensKnownSince(*known, settings, now_us_);
    ns.settings = settings;
    ++ns.version;
  }
  Position position = AppendNamespace(ns);
  waiting_calls_.emplace_back(position, [ns, on_done = std::move(on_done)](Status s) {
    if (s.ok()) {
      on_done(ns);
    } else {
      on_done(s);
    }
  });
}

void Shard::FindSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) {
  FindOwnSources(anchor, std::move(on_done));
}

void Shard::FindOwnSources(SourceId anchor, std::function<void(Result<std::vector<SourceState>>)> on_done) {
  std::vector<SourceState> found;
  for (const auto& [id, source] : sources_) {
    if (source.anchor == anchor) found.push_back(source);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.offset > b.offset; });
  journal_->Hurry();
  waiting_calls_.emplace_back(journal_->next() - 1, [found = std::move(found), on_done = std::move(on_done)](Status s) {
    if (s.ok()) {
      on_done(found);
    } else {
      on_done(s);
    }
  });
}

uint64_t Shard::CountCounters(NamespaceId ns) const {
  if (!context_.all_counts) return counts_.Get(ns);
  uint64_t sum = 0;
  for (const NamespaceCounts* counts : *context_.all_counts) sum += counts->Get(ns);
  return sum;
}

StoreInfo Shard::Info() const {
  StoreInfo info = info_;
  info.engine = "embedded";
  info.durable_position = journal_->durable();
  info.settled_position = settled_;
  for (const Namespace& ns : namespaces_->all()) info.counters += counts_.Get(ns.id);
  info.counters_with_expiry = expiries_.size();
  // With several shards a counter may count on another one than its expiry: only all together have a bound.
  if (context_.shards == 1) info.counters_with_expiry = std::min(info.counters_with_expiry, info.counters);
  info.tokens_in_memory = tokens_.size();
  info.unsettled_bytes = journal_->unsettled_bytes();
  info.memory_bytes = counters_.memory_bytes() + tokens_.memory_bytes();
  info.fenced = Fenced() || context_.settled->Fenced();
  info.blocked = journal_->blocked();
  info.commit_bytes_max = CommitBytesMax();
  info.loss_window_us = options_.journal.lazy_commit_us;
  return info;
}

StoreInfo Shard::PublishedInfo() const {
  std::lock_guard lock(published_mutex_);
  return published_;
}

void Shard::FenceFrom(const Status& reason) {
  if (Fenced()) return;
  fenced_from_outside_ = reason;
  Show();
}

void Shard::OnJournalProgress() {
  if (journal_->fenced() && context_.on_fenced) std::exchange(context_.on_fenced, nullptr)(journal_->fence_reason());
  CountStep();
  Show();
}

// Only the first: what comes after it is cut with it, so no part of a later step is safe before this one is. The steps
// have one order on all shards (rt::Meetings), so one of them is always the first wherever it has a part.
void Shard::CountStep() {
  if (barriers_.empty()) return;
  Barrier& barrier = barriers_.front();
  if (barrier.counted || barrier.position > journal_->durable()) return;
  barrier.counted = true;
  if (barrier.progress->missing.fetch_sub(1) != 1) return;
  for (const auto& [shard, position] : barrier.progress->parts) {
    shard->loop()->Post([shard, position, alive = shard->alive_] {
      if (*alive) shard->OnStepDurable(position);
    });
  }
}

void Shard::OnStepDurable(Position position) {
  QUIPU_ASSERT(!barriers_.empty() && barriers_.front().position == position, "step {} is not the first of {}", position,
               barriers_.size());
  barriers_.pop_front();
  CountStep();
  Show();
}

void Shard::Show() {
  Position visible = Visible();
  bool fenced = Fenced();
  Status unknown = fenced ? Status(Code::kUnknownOutcome, fmt::format("the commit failed: {}", FenceReason().message()))
                          : OkStatus();
  while (waiting_head_ && (fenced || waiting_head_->gate <= visible)) {
    Batch* batch = waiting_head_;
    waiting_head_ = batch->next;
    if (!waiting_head_) waiting_tail_ = nullptr;
    batch->next = nullptr;
    batch->status = unknown;
    (ready_tail_ ? ready_tail_->next : ready_head_) = batch;
    ready_tail_ = batch;
  }
  for (size_t i = 0; i < waiting_scans_.size();) {
    ScanOp* op = waiting_scans_[i];
    if (!fenced && op->gate > visible) {
      ++i;
      continue;
    }
    waiting_scans_.erase(waiting_scans_.begin() + static_cast<ptrdiff_t>(i));
    if (fenced) op->status = unknown;
    op->on_done(op);
  }
}

// Results that wait for nothing any more are told at the end of the turn, before the sockets are flushed.
void Shard::OnTurnEnd() {
  while (ready_head_) {
    Batch* batch = ready_head_;
    ready_head_ = batch->next;
    if (!ready_head_) ready_tail_ = nullptr;
    batch->next = nullptr;
    batch->on_done(batch);
  }
  // A new generation of tokens has begun: the oldest makes room now rather than at the next look at memory.
  if (const size_t max = TokensBytesMax(); tokens_.memory_bytes() > max) tokens_.Trim(max, settled_, INT64_MIN);
  if (!waiting_calls_.empty()) {
    auto calls = std::exchange(waiting_calls_, {});
    for (auto& call : calls) {
      if (Fenced() && call.first > Visible()) {
        call.second(Status(Code::kUnknownOutcome, "the commit failed"));
      } else if (call.first <= Visible()) {
        call.second(OkStatus());
      } else {
        waiting_calls_.push_back(std::move(call));
      }
    }
  }
}

void Shard::Close(std::function<void(Status)> on_done) {
  closing_ = true;
  journal_->Close([this, on_done = std::move(on_done)] {
    OnTurnEnd();
    timer_.on_fire = [this, on_done] { CloseWhenIdle(on_done); };
    CloseWhenIdle(on_done);
  });
}

// The workers still read the settled store: whoever hears that the shard is closed may destroy it.
void Shard::CloseWhenIdle(const std::function<void(Status)>& on_done) {
  if (settling_ || retention_running_ || journal_readers_ > 0) {
    loop_->Arm(&timer_, loop_->MonoMicros() + 1000);
    return;
  }
  on_done(Fenced() ? FenceReason() : OkStatus());
}

}  // namespace quipu::store
