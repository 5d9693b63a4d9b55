#include "store/embedded/settled.h"

#include <array>
#include <deque>

#include "store/embedded/settled_db.h"
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

std::string_view CounterOf(const Cursor& events) {
  return events.key().substr(0, events.key().size() - kEventKeySuffix);
}

class Settled final : public SettledStore {
 public:
  explicit Settled(std::unique_ptr<SettledDb> db) : db_(std::move(db)) {}

  Result<std::unique_ptr<SettleRun>> BeginRun() override { return NewSettleRun(db_.get()); }

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
    std::vector<Cursor> slices;
    for (const FamilyRef& events : view->events) {
      Cursor cursor(events);
      cursor.Seek(from);
      QUIPU_RETURN_IF_ERROR(AddWhileOn(prefix, std::move(cursor), &slices));
    }
    // The clock may have stepped back, so positions of several slices interleave. The keys have equal counters and
    // differ in the position alone.
    while (!slices.empty()) {
      const auto next = std::ranges::min_element(slices, {}, &Cursor::key);
      SettledEvent event;
      QUIPU_RETURN_IF_ERROR(ReadEvent(*next, &event));
      if (!visit(event)) return OkStatus();
      next->Next();
      Cursor moved = std::move(*next);
      slices.erase(next);
      QUIPU_RETURN_IF_ERROR(AddWhileOn(prefix, std::move(moved), &slices));
    }
    return OkStatus();
  }

  Status ScanSums(const CounterRef& counter, Interval interval, int64_t from_us, int64_t to_us,
                  const std::function<bool(int64_t start_us, int64_t sum, uint64_t events)>& visit) override {
    QUIPU_ASSIGN_OR_RETURN(const ViewRef view, db_->view());
    std::string from, to;
    SetSumKey(counter, interval, from_us, &from);
    SetSumKey(counter, interval, to_us, &to);
    Cursor cursor(view->sums);
    for (cursor.Seek(from); cursor.valid() && cursor.key() < to; cursor.Next()) {
      std::string_view counter_key;
      Interval row_interval{};
      int64_t start_us = 0;
      SumValue value;
      if (!ParseSumKey(cursor.key(), &counter_key, &row_interval, &start_us)) return cursor.bad_row();
      if (!ParseSumValue(cursor.value(), &value)) return cursor.bad_row();
      const auto sum = static_cast<int64_t>(value.sum);
      if (sum != value.sum) {
        return Status(Code::kOverflow,
                      fmt::format("the sum of the interval that starts at {} is beyond 64 bits", start_us));
      }
      if (!visit(start_us, sum, value.events)) break;
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
    std::vector<Cursor> slices;
    for (const FamilyRef& events : view->events) {
      Cursor cursor(events, Caching::kPass);
      cursor.Seek("");
      QUIPU_RETURN_IF_ERROR(AddWhileOn("", std::move(cursor), &slices));
    }
    QUIPU_RETURN_IF_ERROR(counters.status());
    while (counters.valid() || !slices.empty()) {
      std::string key;
      bool found = false;
      if (counters.valid()) key = counters.key(), found = true;
      for (const Cursor& slice : slices) {
        if (!found || CounterOf(slice) < key) key = CounterOf(slice), found = true;
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

  // Adds the cursor if it stands on an event of a counter that begins with `prefix`; a key of another shape is damage.
  static Status AddWhileOn(std::string_view prefix, Cursor cursor, std::vector<Cursor>* out) {
    if (!cursor.valid()) return cursor.status();
    std::string_view counter_key;
    Position position = 0;
    if (!ParseEventKey(cursor.key(), &counter_key, &position)) return cursor.bad_row();
    if (prefix.empty() || counter_key == prefix) out->push_back(std::move(cursor));
    return OkStatus();
  }

  static Status ReadEvent(const Cursor& cursor, SettledEvent* event) {
    std::string_view counter_key;
    if (!ParseEventKey(cursor.key(), &counter_key, &event->position) ||
        !ParseEventValue(cursor.value(), cursor.family()->id().start_us, event)) {
      return cursor.bad_row();
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
      const std::string& key, Cursor* counters, std::vector<Cursor>* slices,
      const std::function<Status(const CounterRef&, const Checkpoint*, const std::vector<SettledEvent>&)>& visit) {
    CounterRef counter;
    Checkpoint checkpoint;
    const bool has_checkpoint = counters->valid() && counters->key() == key;
    if (has_checkpoint && !ParseCheckpointValue(counters->value(), &checkpoint)) return counters->bad_row();
    if (!ParseCounterKey(key, &counter)) return counters->bad_row();
    std::vector<SettledEvent> events;
    std::deque<std::string> texts;  // what the events' tokens point to
    std::vector<Cursor> going;
    for (Cursor& slice : *slices) {
      while (slice.valid() && CounterOf(slice) == key) {
        SettledEvent event;
        QUIPU_RETURN_IF_ERROR(ReadEvent(slice, &event));
        if (event.token.form == TokenForm::kText) event.token.text = texts.emplace_back(event.token.text);
        events.push_back(event);
        slice.Next();
        if (slice.valid() && slice.key().size() < kEventKeySuffix) return slice.bad_row();
      }
      QUIPU_RETURN_IF_ERROR(AddWhileOn("", std::move(slice), &going));
    }
    *slices = std::move(going);
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
