#include "test/contract/store_contract.h"

#include "model/name.h"
#include "model/token.h"

namespace quipu::store {

Op Add(std::string_view name, int64_t delta, std::string_view token) {
  return {.kind = OpKind::kAdd, .name = name, .token = token, .delta = delta};
}
Op Set(std::string_view name, int64_t value, std::string_view token) {
  return {.kind = OpKind::kSet, .name = name, .token = token, .delta = value};
}
Op Get(std::string_view name) { return {.kind = OpKind::kGet, .name = name}; }
Op Clear(std::string_view name, std::string_view token) {
  return {.kind = OpKind::kClear, .name = name, .token = token};
}
Op Delete(std::string_view name, std::string_view token) {
  return {.kind = OpKind::kDelete, .name = name, .token = token};
}
Op Expire(std::string_view name, ExpireRule rule, int64_t at_ms, std::string_view token) {
  return {.kind = OpKind::kExpire, .expire_rule = rule, .name = name, .token = token, .expire_at_ms = at_ms};
}
Op TokenOutcome(std::string_view name, std::string_view token) {
  return {.kind = OpKind::kTokenOutcome, .name = name, .token = token};
}
Op CheckVersion(std::string_view name, uint64_t version) {
  return {.kind = OpKind::kCheckVersion, .name = name, .expected_version = version};
}

Op In(NamespaceId ns, Op op) {
  op.ns = ns;
  return op;
}
Op Bounded(Op op, int64_t floor, int64_t ceiling) {
  op.bounded = true;
  op.floor = floor;
  op.ceiling = ceiling;
  return op;
}
Op Saturating(Op op, int64_t floor, int64_t ceiling) {
  op = Bounded(op, floor, ceiling);
  op.saturate = true;
  return op;
}
Op If(Condition condition, Op op) {
  op.condition = condition;
  return op;
}
Op Expiring(Op op, ExpireRule rule, int64_t at_ms) {
  op.expire_rule = rule;
  op.expire_at_ms = at_ms;
  return op;
}
Op Stamped(Op op, Micros token_time_us) {
  op.token_time_us = token_time_us;
  return op;
}
Op At(Op op, Micros event_time_us) {
  op.event_time_us = event_time_us;
  return op;
}

std::string ResultText(const Op& op) {
  if (op.code != Code::kOk) return std::string(CodeName(op.code));
  constexpr std::string_view kOutcomes[] = {"applied", "saturated", "refused"};
  return fmt::format(
      "{}{}{} value {} was {} by {} existed {} exists {} expiry {} event {} last write {} original {} token until {}",
      kOutcomes[static_cast<size_t>(op.outcome)], op.replayed ? " replayed" : "", op.is_protected ? " protected" : "",
      op.value, op.old_value, op.applied, op.existed, op.exists, op.expiry_ms, op.event_us, op.last_write_us,
      static_cast<int>(op.original_kind), op.token_expires_us);
}

std::string EngineName(const testing::TestParamInfo<EngineKind>& row) { return row.param.name; }

StoreContract::StoreContract() { engine_ = GetParam().make(&machine_); }

RanBatch StoreContract::Run(std::vector<Op> ops, BatchOptions options) {
  struct Watch {
    bool submitting = false;
    bool done = false;
  } watch;
  for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
  Batch batch;
  batch.ops = ops;
  batch.atomic = options.atomic;
  batch.all_or_nothing = options.all_or_nothing;
  batch.source = options.source;
  batch.owner = &watch;
  batch.on_done = [](Batch* b) {
    auto* w = static_cast<Watch*>(b->owner);
    EXPECT_FALSE(w->submitting) << "on_done ran inside Submit";
    EXPECT_FALSE(w->done) << "on_done ran twice";
    w->done = true;
  };
  machine_.Run(
      [&] {
        watch.submitting = true;
        store().Submit(&batch);
        watch.submitting = false;
      },
      &watch.done);
  EXPECT_TRUE(batch.decided);
  EXPECT_TRUE(batch.status.ok()) << batch.status.ToString();
  RanBatch ran{.code = batch.code,
               .failed_index = batch.failed_index,
               .source_offset = batch.source_offset,
               .commit_bytes = batch.commit_bytes,
               .ops = {}};
  ran.ops = std::move(ops);
  const auto& troubles = GetParam().troubles;
  if (!troubles.empty() && !closed_) engine_->Endure(troubles[batches_++ % troubles.size()]);
  return ran;
}

Op StoreContract::Do(Op op) { return Run({op}).ops[0]; }

int64_t StoreContract::Value(std::string_view name, NamespaceId ns) {
  Op op = Do(In(ns, Get(name)));
  EXPECT_EQ(op.code, Code::kOk);
  return op.value;
}

bool StoreContract::Exists(std::string_view name, NamespaceId ns) { return Do(In(ns, Get(name))).exists; }

ScanOp StoreContract::Scan(ScanOp op) {
  bool done = false;
  op.owner = &done;
  op.on_done = [](ScanOp* o) { *static_cast<bool*>(o->owner) = true; };
  machine_.Run([&] { store().Scan(&op); }, &done);
  return op;
}

std::vector<CounterEntry> StoreContract::EntriesByHash(size_t limit, NamespaceId ns) {
  std::vector<CounterEntry> entries;
  uint64_t cursor = 0;
  do {
    ScanOp page = Scan({.order = ScanOp::Order::kHash, .ns = ns, .cursor = cursor, .limit = limit});
    EXPECT_TRUE(page.status.ok()) << page.status.ToString();
    entries.insert(entries.end(), page.entries.begin(), page.entries.end());
    cursor = page.next_cursor;
  } while (cursor != 0);
  return entries;
}

std::vector<CounterEntry> StoreContract::EntriesBy(ScanOp::Order order, NamespaceId ns) {
  if (order == ScanOp::Order::kHash) return EntriesByHash(100, ns);
  ScanOp page = Scan({.order = order, .ns = ns});
  EXPECT_TRUE(page.status.ok()) << page.status.ToString();
  return page.entries;
}

std::vector<std::string> NamesOf(const std::vector<CounterEntry>& entries) {
  std::vector<std::string> names;
  for (const CounterEntry& entry : entries) names.push_back(entry.name);
  return names;
}

std::vector<EventEntry> StoreContract::EventsOf(std::string_view name, Position after) {
  std::vector<EventEntry> events;
  bool more = true;
  while (more) {
    bool done = false;
    EventsOp op{.name = std::string(name), .after = events.empty() ? after : events.back().position, .limit = 3};
    op.owner = &done;
    op.on_done = [](EventsOp* o) { *static_cast<bool*>(o->owner) = true; };
    machine_.Run([&] { store().Events(&op); }, &done);
    EXPECT_TRUE(op.status.ok()) << op.status.ToString();
    EXPECT_TRUE(op.events.size() == op.limit || !op.more);
    events.insert(events.end(), op.events.begin(), op.events.end());
    more = op.more;
  }
  return events;
}

std::vector<SourceState> StoreContract::SourcesOf(SourceId anchor) {
  bool done = false;
  std::vector<SourceState> sources;
  machine_.Run(
      [&] {
        store().FindSources(anchor, [&](Result<std::vector<SourceState>> r) {
          EXPECT_TRUE(r.ok()) << r.status().ToString();
          sources = *r;
          done = true;
        });
      },
      &done);
  return sources;
}

Result<Namespace> StoreContract::Put(const std::string& name, uint64_t expected_version,
                                     const NamespaceSettings& settings) {
  bool done = false;
  Result<Namespace> result = Status(Code::kInternal, "no answer");
  machine_.Run(
      [&] {
        store().PutNamespace(name, expected_version, settings, [&](Result<Namespace> r) {
          result = std::move(r);
          done = true;
        });
      },
      &done);
  return result;
}

NamespaceId StoreContract::MakeNamespace(const std::string& name, const NamespaceSettings& settings) {
  Result<Namespace> ns = Put(name, 0, settings);
  EXPECT_TRUE(ns.ok()) << ns.status().ToString();
  return ns->id;
}

std::string_view StoreContract::TokenOf(Micros time_us, uint64_t n) {
  return Keep(MakeUuidV7(time_us / 1000, 0, n << 2));
}

std::string_view StoreContract::Keep(std::string s) { return kept_.emplace_back(std::move(s)); }

void StoreContract::Close() {
  closed_ = true;
  engine_->Close();
}

}  // namespace quipu::store
