// A settle in the making: one sorted file per family, written as rows come, then added in one step.
#include <rocksdb/sst_file_writer.h>

#include "store/embedded/settled_db.h"
#include "store/embedded/settled_rows.h"

namespace quipu::store {
namespace {

class SettledRun final : public SettleRun {
 public:
  explicit SettledRun(SettledDb* db) : db_(db) {}
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
    SetEventKey(counter, event.position, &key_);
    SetEventValue(event, slice.start_us, &value_);
    return Put(slice);
  }
  Status AddToken(const TokenPrint& print, const SettledEvent& event) override {
    const FamilyId slice = SliceOf(FamilyKind::kTokens, event.commit_us);
    SetTokenKey(print, &key_);
    SetTokenValue(event, slice.start_us, &value_);
    return Put(slice);
  }
  Status AddSum(const CounterRef& counter, Interval interval, int64_t start_us, __int128 sum,
                uint64_t events) override {
    SetSumKey(counter, interval, start_us, &key_);
    SetSumValue({.sum = sum, .events = events}, &value_);
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
  Status WriteMeta();

  SettledDb* const db_;
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

Result<std::unique_ptr<SettleRun>> NewSettleRun(SettledDb* db) {
  QUIPU_RETURN_IF_ERROR(db->Prepare());
  return std::unique_ptr<SettleRun>(std::make_unique<SettledRun>(db));
}

}  // namespace quipu::store
