#include "store/embedded/settled.h"

#include <array>
#include <deque>

#include "store/embedded/settled_db.h"
#include "store/embedded/settled_events.h"
#include "store/embedded/settled_rows.h"

namespace quipu::store {
namespace {

Status BadRow(const FamilyRef& family, std::string_view key) {
  std::string hex;
  for (const char c : key) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return Status(Code::kDataLoss, fmt::format("a row of {} does not decode, key {}", FamilyName(family->id()), hex));
}

Status ReadError(const rocksdb::Status& status, const FamilyRef& family) {
  return FromRocks(status, fmt::format("reading {}", FamilyName(family->id())));
}

enum class Caching { kKeep, kPass };  // kPass: a scan of everything, which would push out what others need

// Rows of one family from a key on; none where there is no family.
class Cursor {
 public:
  explicit Cursor(FamilyRef family, Caching caching = Caching::kKeep) : family_(std::move(family)) {
    rocksdb::ReadOptions options;
    options.fill_cache = caching == Caching::kKeep;
    if (family_) it_.reset(family_->db()->NewIterator(options, family_->handle()));
  }
  void Seek(std::string_view key) {
    if (it_) it_->Seek(key);
  }
  void Next() { it_->Next(); }
  // False at the end and after an error; status() tells them apart.
  bool valid() const { return it_ && it_->Valid(); }
  std::string_view key() const { return it_->key().ToStringView(); }
  std::string_view value() const { return it_->value().ToStringView(); }
  Status status() const { return it_ ? ReadError(it_->status(), family_) : OkStatus(); }
  Status bad_row() const { return BadRow(family_, key()); }
  const FamilyRef& family() const { return family_; }

 private:
  FamilyRef family_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

// The value of a key, or nothing.
Result<std::optional<rocksdb::PinnableSlice>> Get(const FamilyRef& family, std::string_view key) {
  if (!family) return std::optional<rocksdb::PinnableSlice>();
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = family->db()->Get({}, family->handle(), key, &value);
  if (status.IsNotFound()) return std::optional<rocksdb::PinnableSlice>();
  if (!status.ok()) return ReadError(status, family);
  return std::optional(std::move(value));
}

// Events of one slice in the order of (counter, position), row by row.
class EventCursor {
 public:
  EventCursor(FamilyRef family, Caching caching) : rows_(std::move(family), caching) {}
  // To the first row that may have an event at or after (counter, position); `key` is its key.
  Status Seek(std::string_view key) {
    rows_.Seek(key);
    return ReadRow();
  }
  Status Next() {
    if (++at_ < events_.size()) return OkStatus();
    rows_.Next();
    return ReadRow();
  }
  bool valid() const { return rows_.valid(); }
  std::string_view counter_key() const { return rows_.key().substr(0, rows_.key().size() - kEventKeySuffix); }
  // Its token points into the row.
  const SettledEvent& event() const { return events_[at_]; }

 private:
  Status ReadRow() {
    at_ = 0;
    if (!rows_.valid()) return rows_.status();
    std::string_view counter_key;
    Position last = 0;
    if (!ParseEventKey(rows_.key(), &counter_key, &last) ||
        !ParseEventsValue(rows_.value(), rows_.family()->id().start_us, last, &events_)) {
      return rows_.bad_row();
    }
    return OkStatus();
  }

  Cursor rows_;
  std::vector<SettledEvent> events_;
  size_t at_ = 0;
};

class Settled final : public SettledStore {
 public:
  explicit Settled(std::unique_ptr<SettledDb> db) : db_(std::move(db)) {}

  Result<std::unique_ptr<SettleRun>> BeginRun(std::shared_ptr<RunScratch> scratch) override {
    return NewSettleRun(db_.get(), std::move(scratch));
  }

  Result<std::optional<Checkpoint>> GetCounter(const CounterRef& counter) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string key;
    SetCounterKey(counter, &key);
    QUIPU_ASSIGN_OR_RETURN(const auto value, Get(view->counters, key));
    if (!value) return std::optional<Checkpoint>();
    Checkpoint checkpoint;
    if (!ParseCheckpointValue(value->ToStringView(), &checkpoint)) return BadRow(view->counters, key);
    return std::optional(checkpoint);
  }

  Result<std::optional<std::string>> GetMeta(std::string_view key) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    QUIPU_ASSIGN_OR_RETURN(const auto value, Get(view->meta, key));
    if (!value) return std::optional<std::string>();
    std::string_view bytes;
    if (!ParseMetaValue(value->ToStringView(), &bytes)) return BadRow(view->meta, key);
    return std::optional(std::string(bytes));
  }

  Status VisitMeta(std::string_view prefix,
                   const std::function<bool(std::string_view key, std::string_view value)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    Cursor cursor(view->meta);
    for (cursor.Seek(prefix); cursor.valid() && cursor.key().starts_with(prefix); cursor.Next()) {
      std::string_view bytes;
      if (!ParseMetaValue(cursor.value(), &bytes)) return cursor.bad_row();
      if (!visit(cursor.key(), bytes)) return OkStatus();
    }
    return cursor.status();
  }

  Status FindTokens(std::span<TokenLookup> lookups) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    for (; lookups.size() > kLookupsAtOnce; lookups = lookups.subspan(kLookupsAtOnce)) {
      QUIPU_RETURN_IF_ERROR(FindSomeTokens(*view, lookups.first(kLookupsAtOnce)));
    }
    return FindSomeTokens(*view, lookups);
  }

  Status ScanCounters(NamespaceId ns, uint64_t from_hash,
                      const std::function<bool(const CounterRef&, const Checkpoint&)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string from;
    SetCounterKey({.ns = ns, .hash = from_hash, .name = {}}, &from);
    Cursor cursor(view->counters);
    for (cursor.Seek(from); cursor.valid(); cursor.Next()) {
      CounterRef counter;
      Checkpoint checkpoint;
      if (!ParseCounterKey(cursor.key(), &counter)) return cursor.bad_row();
      if (counter.ns != ns) break;
      if (!ParseCheckpointValue(cursor.value(), &checkpoint)) return cursor.bad_row();
      if (!visit(counter, checkpoint)) break;
    }
    return cursor.status();
  }

  Status ScanNames(NamespaceId ns, std::string_view after, std::string_view prefix,
                   const std::function<bool(std::string_view name)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string from;
    SetNameKey(ns, std::max(after, prefix), &from);
    Cursor cursor(view->names);
    for (cursor.Seek(from); cursor.valid(); cursor.Next()) {
      NamespaceId row_ns = 0;
      std::string_view name;
      if (!ParseNameKey(cursor.key(), &row_ns, &name) || !ParseNameValue(cursor.value())) return cursor.bad_row();
      if (row_ns != ns || !name.starts_with(prefix)) break;
      if (name > after && !visit(name)) break;
    }
    return cursor.status();
  }

  Status ScanEvents(const CounterRef& counter, Position after,
                    const std::function<bool(const SettledEvent&)>& visit) override {
    if (after == std::numeric_limits<Position>::max()) return OkStatus();
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string prefix, from;
    SetCounterKey(counter, &prefix);
    SetEventKey(counter, after + 1, &from);
    std::vector<EventCursor> slices;
    for (const FamilyRef& events : view->events) {
      EventCursor cursor(events, Caching::kKeep);
      QUIPU_RETURN_IF_ERROR(cursor.Seek(from));
      const auto is_on = [&] { return cursor.valid() && cursor.counter_key() == prefix; };
      while (is_on() && cursor.event().position <= after) QUIPU_RETURN_IF_ERROR(cursor.Next());
      if (is_on()) slices.push_back(std::move(cursor));
    }
    // The clock may have stepped back, so positions of several slices interleave.
    const auto position = [](const EventCursor& cursor) { return cursor.event().position; };
    while (!slices.empty()) {
      const auto next = std::ranges::min_element(slices, {}, position);
      if (!visit(next->event())) return OkStatus();
      QUIPU_RETURN_IF_ERROR(next->Next());
      if (!next->valid() || next->counter_key() != prefix) slices.erase(next);
    }
    return OkStatus();
  }

  Status ScanSums(const CounterRef& counter, Interval interval, int64_t from_us, int64_t to_us,
                  const std::function<bool(int64_t start_us, int64_t sum, uint64_t events)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string prefix, from;
    SetCounterKey(counter, &prefix);
    SetSumsKey(counter, IntervalStart(Interval::kDay, from_us), &from);
    Cursor cursor(view->sums);
    std::vector<MinuteSum> minutes;
    for (cursor.Seek(from); cursor.valid(); cursor.Next()) {
      std::string_view counter_key;
      int64_t day_us = 0;
      if (!ParseSumsKey(cursor.key(), &counter_key, &day_us)) return cursor.bad_row();
      if (counter_key != prefix || day_us >= to_us) break;
      if (!ParseSumsValue(cursor.value(), &minutes)) return cursor.bad_row();
      for (size_t i = 0; i < minutes.size();) {
        const auto start_of = [&](const MinuteSum& m) {
          const int64_t within = m.minute * IntervalWidth(Interval::kMinute);
          // Modulo 2^64: a damaged row may name a minute beyond the last one.
          return static_cast<int64_t>(
              static_cast<uint64_t>(day_us) +
              static_cast<uint64_t>(within / IntervalWidth(interval) * IntervalWidth(interval)));
        };
        const int64_t start_us = start_of(minutes[i]);
        MinuteSum all;
        for (; i < minutes.size() && start_of(minutes[i]) == start_us; ++i) {
          all.sum += minutes[i].sum;
          all.events += minutes[i].events;
        }
        if (start_us < from_us) continue;
        if (start_us >= to_us) return OkStatus();
        const auto sum = static_cast<int64_t>(all.sum);
        if (sum != all.sum) {
          return Status(Code::kOverflow,
                        fmt::format("the sum of the interval that starts at {} is beyond 64 bits", start_us));
        }
        if (!visit(start_us, sum, all.events)) return OkStatus();
      }
    }
    return cursor.status();
  }

  Status DropTokensBefore(Micros commit_us) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    return db_->Drop(EndedBefore(view->tokens, commit_us));
  }

  Status DropEventsBefore(Micros commit_us) override {
    // Tokens first: one is explained by its event.
    QUIPU_RETURN_IF_ERROR(DropTokensBefore(commit_us));
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    return db_->Drop(EndedBefore(view->events, commit_us));
  }

  Status Compact() override {
    std::vector<FamilyId> ids;
    {
      QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
      for (const FamilyRef& family : view->All()) ids.push_back(family->id());
    }
    for (const FamilyId& id : ids) QUIPU_RETURN_IF_ERROR(db_->Merge(id));
    return OkStatus();
  }

  Status VerifyChecksums() override { return db_->Verify(); }

  Status VisitAll(const std::function<Status(const CounterRef&, const Checkpoint*, const std::vector<SettledEvent>&)>&
                      visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    Cursor counters(view->counters, Caching::kPass);
    counters.Seek("");
    std::vector<EventCursor> slices;
    for (const FamilyRef& events : view->events) {
      EventCursor cursor(events, Caching::kPass);
      QUIPU_RETURN_IF_ERROR(cursor.Seek(""));
      if (cursor.valid()) slices.push_back(std::move(cursor));
    }
    QUIPU_RETURN_IF_ERROR(counters.status());
    while (counters.valid() || !slices.empty()) {
      std::string key;
      bool found = false;
      if (counters.valid()) key = counters.key(), found = true;
      for (const EventCursor& slice : slices) {
        if (!found || slice.counter_key() < key) key = slice.counter_key(), found = true;
      }
      QUIPU_RETURN_IF_ERROR(VisitOne(key, &counters, &slices, visit));
    }
    return OkStatus();
  }

  Status VisitTokens(const std::function<Status(const TokenPrint&, Position)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    for (const FamilyRef& tokens : view->tokens) {
      Cursor cursor(tokens, Caching::kPass);
      for (cursor.Seek(""); cursor.valid(); cursor.Next()) {
        TokenPrint print;
        SettledEvent event;
        if (!ParseTokenKey(cursor.key(), &print) || !ParseTokenValue(cursor.value(), tokens->id().start_us, &event))
          return cursor.bad_row();
        QUIPU_RETURN_IF_ERROR(visit(print, event.position));
      }
      QUIPU_RETURN_IF_ERROR(cursor.status());
    }
    return OkStatus();
  }

  uint64_t PinnedBytes() const override { return db_->pinned_bytes(); }

  bool Fenced() const override { return !db_->files()->fence().ok(); }
  uint64_t DiskBytes() const override {
    const auto view = db_->view();
    if (!view) return 0;
    uint64_t bytes = 0;
    for (const FamilyRef& family : (*view)->All()) {
      rocksdb::ColumnFamilyMetaData meta;
      family->db()->GetColumnFamilyMetaData(family->handle(), &meta);
      bytes += meta.size;
    }
    return bytes;
  }

 private:
  static constexpr size_t kLookupsAtOnce = 32;

  static Status FindSomeTokens(const SettledView& view, std::span<TokenLookup> lookups) {
    std::array<std::string, kLookupsAtOnce> keys;
    for (size_t i = 0; i < lookups.size(); ++i) SetTokenKey(lookups[i].print, &keys[i]);
    for (auto tokens = view.tokens.rbegin(); tokens != view.tokens.rend(); ++tokens) {
      const FamilyId& slice = (*tokens)->id();
      std::array<size_t, kLookupsAtOnce> asked;
      std::array<rocksdb::Slice, kLookupsAtOnce> slices;
      std::array<rocksdb::PinnableSlice, kLookupsAtOnce> values;
      std::array<rocksdb::Status, kLookupsAtOnce> statuses;
      size_t n = 0;
      for (size_t i = 0; i < lookups.size(); ++i) {
        if (lookups[i].event || slice.end_us() <= lookups[i].since_commit_us) continue;
        asked[n] = i;
        slices[n++] = keys[i];
      }
      if (n == 0) continue;
      rocksdb::DB* const db = (*tokens)->db();
      if (n == 1) {
        statuses[0] = db->Get({}, (*tokens)->handle(), slices[0], &values[0]);
      } else {
        db->MultiGet({}, (*tokens)->handle(), n, slices.data(), values.data(), statuses.data());
      }
      for (size_t k = 0; k < n; ++k) {
        if (statuses[k].IsNotFound()) continue;
        if (!statuses[k].ok()) return ReadError(statuses[k], *tokens);
        SettledEvent event;
        if (!ParseTokenValue(values[k].ToStringView(), slice.start_us, &event))
          return BadRow(*tokens, slices[k].ToStringView());
        lookups[asked[k]].event = event;
      }
    }
    return OkStatus();
  }

  static std::vector<FamilyId> EndedBefore(const std::vector<FamilyRef>& slices, Micros commit_us) {
    std::vector<FamilyId> ids;
    for (const FamilyRef& slice : slices) {
      if (slice->id().end_us() <= commit_us) ids.push_back(slice->id());
    }
    return ids;
  }

  // Calls visit for the counter at `key`, and moves all cursors past it.
  static Status VisitOne(
      const std::string& key, Cursor* counters, std::vector<EventCursor>* slices,
      const std::function<Status(const CounterRef&, const Checkpoint*, const std::vector<SettledEvent>&)>& visit) {
    CounterRef counter;
    Checkpoint checkpoint;
    const bool has_checkpoint = counters->valid() && counters->key() == key;
    if (has_checkpoint && !ParseCheckpointValue(counters->value(), &checkpoint)) return counters->bad_row();
    if (!ParseCounterKey(key, &counter)) return counters->bad_row();
    std::vector<SettledEvent> events;
    std::deque<std::string> texts;  // what the events' tokens point to
    for (EventCursor& slice : *slices) {
      while (slice.valid() && slice.counter_key() == key) {
        SettledEvent& event = events.emplace_back(slice.event());
        if (event.token.form == TokenForm::kText) event.token.text = texts.emplace_back(event.token.text);
        QUIPU_RETURN_IF_ERROR(slice.Next());
      }
    }
    std::erase_if(*slices, [](const EventCursor& slice) { return !slice.valid(); });
    std::ranges::sort(events, {}, &SettledEvent::position);
    QUIPU_RETURN_IF_ERROR(visit(counter, has_checkpoint ? &checkpoint : nullptr, events));
    if (has_checkpoint) counters->Next();
    return counters->status();
  }

  const std::unique_ptr<SettledDb> db_;
};

}  // namespace

Result<std::unique_ptr<SettledStore>> SettledStore::Open(rt::Disk* disk, const std::string& dir,
                                                         const SettledOptions& options) {
  QUIPU_ASSIGN_OR_RETURN(auto db, SettledDb::Open(disk, dir, options));
  return std::unique_ptr<SettledStore>(std::make_unique<Settled>(std::move(db)));
}

}  // namespace quipu::store
