// A settle in the making: one sorted file per family, written as rows come, then added in one step.
#include <rocksdb/sst_file_writer.h>

#include <array>

#include "base/varint.h"
#include "store/embedded/settled_db.h"
#include "store/embedded/settled_events.h"
#include "store/embedded/settled_rows.h"
#include "store/embedded/sort_rows.h"

namespace quipu::store {

void RunScratch::Reserve(size_t count) {
  for (rt::TableMemory* memory : {&tokens, &spare}) {
    // Some more, so that a next run of about the same size finds its memory there.
    if (memory->bytes() < count * kTokenBytes) *memory = rt::TableMemory((count + count / 8) * kTokenBytes);
  }
}

namespace {

// A token's row until all are sorted.
struct TokenRow {
  TokenPrint print;
  uint32_t position;  // its lower bits
  uint16_t slice;     // in token_slices_
  uint8_t bytes;      // kElsewhere: `event` begins with an index into longer_events_
  std::array<char, 17> event;
};
static_assert(sizeof(TokenRow) == RunScratch::kTokenBytes);
constexpr uint8_t kElsewhere = 255;

class SettledRun final : public SettleRun {
 public:
  SettledRun(SettledDb* db, std::shared_ptr<RunScratch> scratch) : db_(db), scratch_(std::move(scratch)) {}
  ~SettledRun() override;

  Status PutCounter(const CounterRef& counter, const Checkpoint& checkpoint) override {
    SetCounterKey(counter, &key_);
    SetCheckpointValue(checkpoint, &value_);
    return Put({.kind = FamilyKind::kCounters});
  }
  Status DeleteCounter(const CounterRef& counter) override {
    SetCounterKey(counter, &key_);
    return Delete({.kind = FamilyKind::kCounters});
  }
  Status PutName(NamespaceId ns, std::string_view name) override {
    SetNameKey(ns, name, &key_);
    SetNameValue(&value_);
    return Put({.kind = FamilyKind::kNames});
  }
  Status DeleteName(NamespaceId ns, std::string_view name) override {
    SetNameKey(ns, name, &key_);
    return Delete({.kind = FamilyKind::kNames});
  }
  Status AddEvent(const CounterRef& counter, const SettledEvent& event) override {
    const FamilyId slice = SliceOf(FamilyKind::kEvents, event.commit_us);
    if (events_.size() == kEventsInRowMax || (events_.size() > 0 && (slice != events_slice_ || !IsOfRow(counter)))) {
      QUIPU_RETURN_IF_ERROR(WriteEvents());
    }
    if (events_.size() == 0) {
      events_.Begin(slice.start_us);
      events_slice_ = slice;
      events_name_ = counter.name;
      events_counter_ = counter;
    }
    events_.Add(event);
    return failed_;
  }
  Status AddToken(const TokenPrint& print, const SettledEvent& event) override;
  Status AddSums(const CounterRef& counter, int64_t day_us, std::span<const MinuteSum> minutes) override {
    SetSumsKey(counter, day_us, &key_);
    SetSumsValue(minutes, &value_);
    return Write({.kind = FamilyKind::kSums}, [this](rocksdb::SstFileWriter* w) { return w->Merge(key_, value_); });
  }
  Status PutMeta(std::string_view key, std::string_view value) override {
    QUIPU_ASSERT(!key.empty(), "a meta row needs a key");
    meta_.insert_or_assign(std::string(key), std::string(value));
    return failed_;
  }
  Status Commit() override;

 private:
  struct Output {
    FamilyId family;
    std::string path;
    std::unique_ptr<rocksdb::SstFileWriter> writer;
  };

  // Most rows lie in the slice of the one before.
  FamilyId SliceOf(FamilyKind kind, Micros commit_us) {
    if (slice_.width_us == 0 || commit_us < slice_.start_us || commit_us >= slice_.end_us()) {
      slice_ = SliceFamily(kind, commit_us, db_->options().slice_us);
    }
    slice_.kind = kind;
    return slice_;
  }
  Status Put(const FamilyId& family) {
    return Write(family, [this](rocksdb::SstFileWriter* w) { return w->Put(key_, value_); });
  }
  Status Delete(const FamilyId& family) {
    return Write(family, [this](rocksdb::SstFileWriter* w) { return w->Delete(key_); });
  }
  template <class Call>
  Status Write(const FamilyId& family, Call call) {
    if (!failed_.ok()) return failed_;
    rocksdb::SstFileWriter* const writer = Writer(family);
    if (writer == nullptr) return failed_;
    if (const rocksdb::Status status = call(writer); !status.ok()) Fail(status, family);
    return failed_;
  }
  rocksdb::SstFileWriter* Writer(const FamilyId& family);
  void Fail(const rocksdb::Status& status, const FamilyId& family);
  bool IsOfRow(const CounterRef& counter) const {
    return counter.hash == events_counter_.hash && counter.ns == events_counter_.ns && counter.name == events_name_;
  }
  Status WriteEvents();
  void GrowTokens();
  Status WriteTokens();
  Status WriteMeta();

  SettledDb* const db_;
  const std::shared_ptr<RunScratch> scratch_;
  size_t tokens_ = 0;         // in the scratch
  Position first_token_ = 0;  // that was added
  size_t token_slice_ = 0;    // of the last one
  std::vector<FamilyId> token_slices_;
  std::vector<std::string> longer_events_;
  EventsRow events_;  // being made; of this slice and counter
  FamilyId events_slice_;
  CounterRef events_counter_;
  std::string events_name_;
  std::vector<Output> outputs_;  // few: four kinds, and two for each slice that the run touches
  std::map<std::string, std::string> meta_;
  std::string key_, value_;
  FamilyId slice_;
  Status failed_;
  bool over_ = false;
};

rocksdb::SstFileWriter* SettledRun::Writer(const FamilyId& family) {
  QUIPU_ASSERT(!over_, "a row for {} after the run was committed", FamilyName(family));
  for (const Output& output : outputs_) {
    if (output.family == family) return output.writer.get();
  }
  Output output{.family = family, .path = db_->NewFilePath()};
  const rocksdb::Options options = db_->FileOptions(family.kind);
  output.writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options, nullptr, false);
  const rocksdb::Status opened = output.writer->Open(output.path);
  outputs_.push_back(std::move(output));
  if (!opened.ok()) {
    Fail(opened, family);
    return nullptr;
  }
  return outputs_.back().writer.get();
}

void SettledRun::Fail(const rocksdb::Status& status, const FamilyId& family) {
  QUIPU_ASSERT(!status.IsInvalidArgument(), "row {:?} of {}: {}", key_, FamilyName(family), status.ToString());
  failed_ = FromRocks(status, fmt::format("writing a run of {}", FamilyName(family)));
}

Status SettledRun::WriteEvents() {
  if (events_.size() == 0) return failed_;
  events_counter_.name = events_name_;
  SetEventKey(events_counter_, events_.last(), &key_);
  events_.Finish(&value_);
  events_.Begin(0);
  return Put(events_slice_);
}

Status SettledRun::AddToken(const TokenPrint& print, const SettledEvent& event) {
  const FamilyId slice = SliceOf(FamilyKind::kTokens, event.commit_us);
  if (token_slice_ >= token_slices_.size() || token_slices_[token_slice_] != slice) {
    token_slice_ = static_cast<size_t>(std::ranges::find(token_slices_, slice) - token_slices_.begin());
    if (token_slice_ == token_slices_.size()) token_slices_.push_back(slice);
    QUIPU_ASSERT(token_slices_.size() <= std::numeric_limits<uint16_t>::max(), "{} slices", token_slices_.size());
  }
  if (tokens_ == 0) first_token_ = event.position;
  if ((tokens_ + 1) * sizeof(TokenRow) > scratch_->tokens.bytes()) GrowTokens();
  char bytes[kTokenEventBytesMax];
  const auto size = static_cast<size_t>(PutTokenEvent(event, slice.start_us, bytes) - bytes);
  TokenRow& row = static_cast<TokenRow*>(scratch_->tokens.data())[tokens_++];
  row.print = print;
  row.position = static_cast<uint32_t>(event.position);
  row.slice = static_cast<uint16_t>(token_slice_);
  if (size <= row.event.size()) {
    row.bytes = static_cast<uint8_t>(size);
    std::memcpy(row.event.data(), bytes, row.event.size());
  } else {
    row.bytes = kElsewhere;
    PutFixed(row.event.data(), static_cast<uint32_t>(longer_events_.size()));
    longer_events_.emplace_back(bytes, size);
  }
  return failed_;
}

void SettledRun::GrowTokens() {
  rt::TableMemory larger(std::max<size_t>(1024, 2 * tokens_) * sizeof(TokenRow));
  if (tokens_ > 0) std::memcpy(larger.data(), scratch_->tokens.data(), tokens_ * sizeof(TokenRow));
  scratch_->tokens = std::move(larger);
}

Status SettledRun::WriteTokens() {
  if (tokens_ == 0) return failed_;
  const auto position_of = [this](const TokenRow& row) {
    const auto after_first = static_cast<int32_t>(row.position - static_cast<uint32_t>(first_token_));
    return first_token_ + static_cast<Position>(after_first);
  };
  if (scratch_->spare.bytes() < tokens_ * sizeof(TokenRow)) {
    scratch_->spare = rt::TableMemory(tokens_ * sizeof(TokenRow));
  }
  const std::span<TokenRow> rows(static_cast<TokenRow*>(scratch_->tokens.data()), tokens_);
  SortByWord(
      rows, static_cast<TokenRow*>(scratch_->spare.data()), [](const TokenRow& row) { return row.print.hi; },
      [&](const TokenRow& a, const TokenRow& b) {
        return a.print != b.print ? a.print < b.print : position_of(a) < position_of(b);
      });
  for (size_t i = 0; i < tokens_; ++i) {
    const TokenRow& row = rows[i];
    // A token whose protection was over may come again within one run: the later one counts.
    if (i + 1 < tokens_ && rows[i + 1].print == row.print) continue;
    std::string_view event(row.event.data(), row.bytes);
    if (row.bytes == kElsewhere) event = longer_events_[GetFixed<uint32_t>(row.event.data())];
    SetTokenKey(row.print, &key_);
    SetTokenValue(position_of(row), event, &value_);
    QUIPU_RETURN_IF_ERROR(Put(token_slices_[row.slice]));
  }
  return failed_;
}

Status SettledRun::WriteMeta() {
  constexpr FamilyId kMeta{.kind = FamilyKind::kMeta};
  for (const auto& [key, value] : meta_) {
    key_ = key;
    SetMetaValue(value, &value_);
    QUIPU_RETURN_IF_ERROR(value.empty() ? Delete(kMeta) : Put(kMeta));
  }
  return OkStatus();
}

Status SettledRun::Commit() {
  QUIPU_ASSERT(!over_, "a run is committed once");
  QUIPU_RETURN_IF_ERROR(failed_);
  QUIPU_RETURN_IF_ERROR(WriteEvents());
  QUIPU_RETURN_IF_ERROR(WriteTokens());
  QUIPU_RETURN_IF_ERROR(WriteMeta());
  over_ = true;
  std::vector<RunFile> files;
  for (Output& output : outputs_) {
    rocksdb::ExternalSstFileInfo info;
    if (const rocksdb::Status finished = output.writer->Finish(&info); !finished.ok()) {
      Fail(finished, output.family);
      return failed_;
    }
    files.push_back({.family = output.family,
                     .path = output.path,
                     .checksum = info.file_checksum,
                     .checksum_name = info.file_checksum_func_name});
  }
  failed_ = db_->Ingest(files);
  if (failed_.ok()) outputs_.clear();
  return failed_;
}

SettledRun::~SettledRun() {
  for (Output& output : outputs_) {
    output.writer.reset();
    db_->files()->DeleteFile(output.path, {}, nullptr).PermitUncheckedError();  // Open clears what is left
  }
}

}  // namespace

Result<std::unique_ptr<SettleRun>> NewSettleRun(SettledDb* db, std::shared_ptr<RunScratch> scratch) {
  QUIPU_RETURN_IF_ERROR(db->Prepare());
  return std::unique_ptr<SettleRun>(std::make_unique<SettledRun>(db, std::move(scratch)));
}

}  // namespace quipu::store
