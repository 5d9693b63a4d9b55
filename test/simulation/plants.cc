#include "test/simulation/plants.h"

#include "base/assert.h"
#include "rt/loop.h"

namespace quipu::simulation {
namespace {

enum Plant {
  kNoSync = 1,
  kAckBeforeSync = 2,
  kSyncRetried = 3,
  kNoDirSync = 4,
  kRunNotSynced = 6,
  kWriteErrorSwallowed = 9,
  kShortWriteDropped = 10,
  kTokenForgotten = 21,
  kContentNotCompared = 25,
  kReplayShowsToday = 28,
  kCountsTwice = 29,
  kOffByOne = 31,
  kStaleRead = 38,
  kHalfBatch = 40,
};

class PlantedFile final : public rt::File {
 public:
  PlantedFile(const std::string& path, std::unique_ptr<rt::File> file, int plant)
      : is_run_(path.find("/settled/run-") != std::string::npos), file_(std::move(file)), plant_(plant) {}
  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override { return file_->ReadAt(offset, out); }
  Status WriteAt(uint64_t offset, std::span<const char> data) override {
    Status status = file_->WriteAt(offset, data);
    if (plant_ == kWriteErrorSwallowed || plant_ == kShortWriteDropped) return OkStatus();
    return status;
  }
  Status Sync() override {
    if (plant_ == kNoSync || (plant_ == kRunNotSynced && is_run_)) return OkStatus();
    Status status = file_->Sync();
    return status.ok() || plant_ != kSyncRetried ? status : file_->Sync();
  }
  Result<uint64_t> Size() override { return file_->Size(); }
  Status Truncate(uint64_t size) override { return file_->Truncate(size); }

 private:
  const bool is_run_;
  const std::unique_ptr<rt::File> file_;
  const int plant_;
};

// Submits on, then spoils the answers.
class PlantedStore final : public store::EventStore {
 public:
  PlantedStore(std::unique_ptr<store::EventStore> store, int plant, uint64_t seed)
      : store_(std::move(store)), plant_(plant), random_(seed, "plant") {}

  void Submit(store::Batch* batch) override {
    const bool hit = random_.Below(20) == 0;
    std::span<store::Op> ops = batch->ops;
    if (plant_ == kHalfBatch && hit && batch->atomic && ops.size() > 1) batch->ops = ops.first(ops.size() - 1);
    store_->Submit(batch);
    batch->ops = ops;
    if (!batch->decided) return;
    for (store::Op& op : ops) Spoil(hit, &op);
  }
  void Scan(store::ScanOp* op) override { store_->Scan(op); }
  void Events(store::EventsOp* op) override { store_->Events(op); }
  void FindSources(store::SourceId anchor,
                   std::function<void(Result<std::vector<store::SourceState>>)> on_done) override {
    store_->FindSources(anchor, std::move(on_done));
  }
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return store_->Namespaces(); }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override {
    store_->PutNamespace(name, expected_version, settings, std::move(on_done));
  }
  uint64_t CountCounters(NamespaceId ns) const override { return store_->CountCounters(ns); }
  store::StoreInfo Info() const override { return store_->Info(); }
  void Close(std::function<void(Status)> on_done) override { store_->Close(std::move(on_done)); }

 private:
  void Spoil(bool hit, store::Op* op) {
    if (op->code == Code::kTokenConflict && plant_ == kContentNotCompared) op->code = Code::kOk;
    if (op->code != Code::kOk) return;
    if (op->replayed) {
      if (plant_ == kReplayShowsToday) op->value += random_.Below(3) == 0 ? 1 : 0;
      if (plant_ == kTokenForgotten && hit) op->replayed = false;
      if (plant_ == kCountsTwice && hit) op->applied *= 2;
      return;
    }
    if (plant_ == kOffByOne && hit && op->kind == store::OpKind::kAdd) op->value += 1;
    if (plant_ == kStaleRead && op->kind == store::OpKind::kGet) {
      int64_t& seen = seen_[op->hash];
      const int64_t now = op->value;
      if (hit) op->value = seen;
      seen = now;
    }
  }

  const std::unique_ptr<store::EventStore> store_;
  const int plant_;
  sim::SimRandom random_;
  std::map<uint64_t, int64_t> seen_;
};

bool IsOfDisk(int plant) { return plant <= kShortWriteDropped; }
bool IsOfEngine(int plant) { return plant > 100; }

}  // namespace

const std::vector<int>& Plants() {
  static const std::vector<int> kAll = {1, 2, 3, 4, 6, 9, 10, 21, 25, 28, 29, 31, 38, 40};
  return kAll;
}

const std::vector<EnginePlant>& EnginePlants() {
  static const std::vector<EnginePlant> kAll = {
      {104, "tokens leave memory before they are settled"},
      {105, "it is not noted that tokens have left memory", "bulk"},
      {107, "journal cut before what it held is settled"},
      {108, "a commit acknowledges what only gathers"},
      {109, "a segment's new name is not made durable"},
      {111, "recovery stops one record early"},
      {112, "a torn tail is taken for damage"},
      {113, "damage in the middle is taken for a tail"},
      {114, "a frame's checksum is not compared"},
      {115, "frames of a recycled segment's former life are accepted"},
      {116, "a record is counted twice"},
      {117, "what was read is not made durable before it is built on"},
      {118, "a failed write of the journal is believed"},
      {120, "an atomic batch may be cut at a frame's end", "atomic"},
      {121, "a token is lost when the generation rotates"},
      {122, "settled tokens are not asked"},
      {123, "the horizon is off by one"},
      {124, "an expired token counts as new"},
      {125, "content is not compared"},
      {126, "a token holds for every counter"},
      {127, "tokens are dropped long before their horizon", "clock"},
      {129, "a token is known only once it is durable: checked in two steps"},
      {130, "an expiry is not settled"},
      {132, "the name of a deleted counter stays in the index"},
      {135, "a deleted counter stays in the sorted runs"},
      {136, "the record at the boundary of two settles is counted twice"},
      {137, "an expired counter is not deleted before it begins anew"},
      {139, "a read shows what is not committed"},
      {141, "an add joins a sum from before a refusal"},
      {142, "expired counters count against the limit"},
      {143, "answers of several shards come back one op too late", "shards"},
      {144, "half of an atomic batch over several shards comes back", "shards"},
      {145, "a batch of the home shard overtakes a part at home of an earlier one", "shards"},
      {146, "a batch overtakes an atomic one over several shards", "shards"},
      {147, "an atomic batch is shown before all of its shards have it on the medium", "shards"},
  };
  return kAll;
}

Result<std::unique_ptr<rt::File>> PlantedDisk::Open(const std::string& path, rt::OpenMode mode) {
  Result<std::unique_ptr<rt::File>> file = disk_->Open(path, mode);
  if (!file.ok() || plant_ == 0 || !IsOfDisk(plant_)) return file;
  return std::unique_ptr<rt::File>(std::make_unique<PlantedFile>(path, std::move(file).value(), plant_));
}

// A write as passed on, which may outlive what the caller was told about it.
struct PlantedDisk::LogWrite {
  rt::LogFile::WriteOp inner;
  rt::LogFile::WriteOp* outer = nullptr;  // null: was told already
  std::shared_ptr<rt::LogFile> log;
};

// Writes through, but reports otherwise.
class PlantedDisk::Log final : public rt::LogFile {
 public:
  Log(PlantedDisk* disk, std::unique_ptr<rt::LogFile> log, rt::Loop* loop)
      : disk_(disk), log_(std::move(log)), loop_(loop) {}
  void Write(WriteOp* op) override {
    auto write = std::make_unique<LogWrite>();
    write->log = log_;
    write->outer = op;
    write->inner.offset = op->offset;
    write->inner.data = op->data;
    write->inner.owner = write.get();
    write->inner.on_done = [](WriteOp* inner) {
      auto* done = static_cast<LogWrite*>(inner->owner);
      done->log.reset();
      if (done->outer == nullptr) return;
      done->outer->status = OkStatus();
      done->outer->on_done(done->outer);
    };
    if (disk_->plant_ == kAckBeforeSync || disk_->plant_ == kNoSync) {
      write->outer = nullptr;
      op->status = OkStatus();
      loop_->Post([op] { op->on_done(op); });
    }
    log_->Write(&write->inner);
    disk_->log_writes_.push_back(std::move(write));
  }
  size_t alignment() const override { return log_->alignment(); }

 private:
  PlantedDisk* const disk_;
  const std::shared_ptr<rt::LogFile> log_;
  rt::Loop* const loop_;
};

PlantedDisk::PlantedDisk(rt::Disk* disk, int plant) : disk_(disk), plant_(plant) {}
PlantedDisk::~PlantedDisk() = default;

Result<std::unique_ptr<rt::LogFile>> PlantedDisk::OpenLog(const std::string& path, rt::Loop* loop) {
  Result<std::unique_ptr<rt::LogFile>> log = disk_->OpenLog(path, loop);
  const bool lies =
      plant_ == kNoSync || plant_ == kAckBeforeSync || plant_ == kWriteErrorSwallowed || plant_ == kShortWriteDropped;
  if (!log.ok() || !lies) return log;
  return std::unique_ptr<rt::LogFile>(std::make_unique<Log>(this, std::move(log).value(), loop));
}

Status PlantedDisk::SyncDir(const std::string& path) {
  return plant_ == kNoDirSync ? OkStatus() : disk_->SyncDir(path);
}

std::unique_ptr<store::EventStore> PlantInStore(std::unique_ptr<store::EventStore> store, int plant, uint64_t seed) {
  if (plant == 0 || IsOfDisk(plant) || IsOfEngine(plant)) return store;
  return std::make_unique<PlantedStore>(std::move(store), plant, seed);
}

}  // namespace quipu::simulation
