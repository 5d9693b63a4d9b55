#include "store/embedded/rocks_disk.h"

#include "base/crc32c.h"

namespace quipu::store {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// Codes that travel through RocksDB as text, and what they mean when they come out again.
constexpr std::pair<Code, Code> kCarried[] = {
    {Code::kDataLoss, Code::kDataLoss},       {Code::kNotFound, Code::kDataLoss},
    {Code::kStorageFull, Code::kStorageFull}, {Code::kAlreadyExists, Code::kUnavailable},
    {Code::kUnavailable, Code::kUnavailable},
};
IOStatus ToRocks(const Status& status) {
  if (status.ok()) return IOStatus::OK();
  const std::string text = status.ToString();
  switch (status.code()) {
    case Code::kNotFound:
      return IOStatus::PathNotFound(text);
    case Code::kDataLoss:
      return IOStatus::Corruption(text);
    default:
      return IOStatus::IOError(text);
  }
}

class RocksSequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit RocksSequentialFile(std::unique_ptr<rt::File> file) : file_(std::move(file)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch, IODebugContext*) override {
    auto got = file_->ReadAt(offset_, {scratch, n});
    *result = Slice(scratch, got ? *got : 0);
    offset_ += result->size();
    return ToRocks(got.status());
  }
  IOStatus Skip(uint64_t n) override {
    auto size = file_->Size();
    if (size) offset_ = std::min(offset_ + n, *size);
    return ToRocks(size.status());
  }

 private:
  std::unique_ptr<rt::File> file_;
  uint64_t offset_ = 0;
};

class TextSequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit TextSequentialFile(std::string text) : text_(std::move(text)) {}

  IOStatus Read(size_t n, const IOOptions&, Slice* result, char* scratch, IODebugContext*) override {
    n = std::min(n, text_.size() - offset_);
    if (n > 0) std::memcpy(scratch, text_.data() + offset_, n);
    *result = Slice(scratch, n);
    offset_ += n;
    return IOStatus::OK();
  }
  IOStatus Skip(uint64_t n) override {
    offset_ += std::min<uint64_t>(n, text_.size() - offset_);
    return IOStatus::OK();
  }

 private:
  const std::string text_;
  size_t offset_ = 0;
};

class RocksRandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RocksRandomAccessFile(std::unique_ptr<rt::File> file) : file_(std::move(file)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    auto got = file_->ReadAt(offset, {scratch, n});
    *result = Slice(scratch, got ? *got : 0);
    return ToRocks(got.status());
  }

 private:
  const std::unique_ptr<rt::File> file_;
};

class RocksLock final : public rocksdb::FileLock {
 public:
  explicit RocksLock(std::unique_ptr<rt::FileLock> held) : held_(std::move(held)) {}

 private:
  const std::unique_ptr<rt::FileLock> held_;
};

}  // namespace

// RocksDB's writer gathers up to 1 MiB before it calls Append, so each call is one write.
class RocksWritableFile final : public rocksdb::FSWritableFile {
 public:
  RocksWritableFile(RocksDisk* disk, std::string path, std::unique_ptr<rt::File> file)
      : disk_(disk),
        path_(std::move(path)),
        file_(std::move(file)),
        is_manifest_(BaseName(path_).starts_with(kManifestPrefix)),
        is_new_run_(path_.ends_with(kNewRunSuffix)),
        is_run_(is_new_run_ || path_.ends_with(kRunSuffix)) {}

  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    if (failed_.ok()) failed_ = disk_->fence();
    if (failed_.ok()) failed_ = file_->WriteAt(size_, {data.data(), data.size()});
    if (!failed_.ok()) return ToRocks(failed_);
    QUIPU_ASSERT(!(is_manifest_ || is_run_) || !synced_,
                 "{} is appended to after its sync, which its seal does not cover", path_);
    if (is_new_run_) pieces_.push_back({size_, data.size(), Crc32c(0, data.data(), data.size())});
    size_ += data.size();
    if (is_manifest_) crc_ = Crc32c(crc_, data.data(), data.size());
    if (is_run_) KeepEnd(data.ToStringView());
    return IOStatus::OK();
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    if (failed_.ok()) failed_ = disk_->fence();
    if (!failed_.ok()) return ToRocks(failed_);
    failed_ = file_->Sync();
    // Out of space: this file is spoiled, and nothing refers to it yet. Anything else may have taken more with it.
    if (!failed_.ok() && failed_.code() != Code::kStorageFull) failed_ = disk_->Fence(std::move(failed_));
    synced_ = true;
    if (failed_.ok() && (is_manifest_ || is_run_)) {
      std::lock_guard lock(disk_->mutex_);
      const std::string name(BaseName(path_));
      if (is_manifest_) disk_->last_manifest_ = name;
      disk_->seals_[name] = {.size = size_, .crc = is_manifest_ ? crc_ : Crc32c(0, end_.data(), end_.size())};
    }
    return ToRocks(failed_);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return ToRocks(failed_); }
  IOStatus Close(const IOOptions&, IODebugContext*) override {
    file_.reset();
    if (is_new_run_ && failed_.ok()) {
      std::lock_guard lock(disk_->mutex_);
      disk_->new_runs_[path_] = std::make_shared<RocksDisk::NewRun>(RocksDisk::NewRun{.pieces = std::move(pieces_)});
    }
    return ToRocks(failed_);
  }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  void KeepEnd(std::string_view data) {
    if (data.size() >= kSealedBytes) {
      end_ = data.substr(data.size() - kSealedBytes);
    } else {
      end_.append(data);
      if (end_.size() > kSealedBytes) end_.erase(0, end_.size() - kSealedBytes);
    }
  }

  RocksDisk* const disk_;
  const std::string path_;
  std::unique_ptr<rt::File> file_;
  const bool is_manifest_, is_new_run_, is_run_;
  std::string end_;  // of a run
  std::vector<RocksDisk::Piece> pieces_;
  uint64_t size_ = 0;
  uint32_t crc_ = 0;
  bool synced_ = false;
  Status failed_;  // the first failure: a file that lost a write is never good again
};

// A run between its last write and its link. One thread reads it, the one that adds it.
class RocksNewRunFile final : public rocksdb::FSRandomAccessFile {
 public:
  RocksNewRunFile(std::string path, std::unique_ptr<rt::File> file, std::shared_ptr<RocksDisk::NewRun> run)
      : path_(std::move(path)), file_(std::move(file)), run_(std::move(run)) {}

  IOStatus Read(uint64_t offset, size_t n, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    auto got = ReadPieces(offset, {scratch, n});
    if (!got && run_->failed.ok()) run_->failed = got.status();
    *result = Slice(scratch, got ? *got : 0);
    return ToRocks(got.status());
  }

 private:
  Result<size_t> ReadPieces(uint64_t offset, std::span<char> out) const {
    size_t done = 0;
    for (const RocksDisk::Piece& piece : run_->pieces) {
      if (piece.offset + piece.size <= offset + done) continue;
      if (done == out.size()) break;
      piece_.resize(piece.size);
      QUIPU_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(piece.offset, piece_));
      if (got != piece.size || Crc32c(0, piece_.data(), got) != piece.crc) {
        return Status(Code::kDataLoss,
                      fmt::format("{}: the {} bytes at {} are not what was written", path_, piece.size, piece.offset));
      }
      const size_t from = static_cast<size_t>(offset + done - piece.offset);
      const size_t take = std::min(piece.size - from, out.size() - done);
      std::memcpy(out.data() + done, piece_.data() + from, take);
      done += take;
    }
    return done;
  }

  const std::string path_;
  const std::unique_ptr<rt::File> file_;
  const std::shared_ptr<RocksDisk::NewRun> run_;
  mutable std::string piece_;
};

class RocksDirectory final : public rocksdb::FSDirectory {
 public:
  RocksDirectory(RocksDisk* disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return ToRocks(disk_->SyncDir(path_)); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  RocksDisk* const disk_;
  const std::string path_;
};

std::string DirName(std::string_view path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string_view::npos ? "." : std::string(path.substr(0, slash));
}

Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return OkStatus();
  const std::string text = status.ToString();
  // What the disk reported says more than the kind that RocksDB makes of it.
  for (const auto& [carried, code] : kCarried) {
    if (text.find(fmt::format("{}: ", CodeName(carried))) != std::string::npos) {
      return Status(code, fmt::format("{}: {}", what, text));
    }
  }
  const bool is_damage = status.IsCorruption() || status.IsPathNotFound() || status.IsNotFound();
  const Code code = is_damage ? Code::kDataLoss : Code::kUnavailable;
  return Status(code, fmt::format("{}: {}", what, text));
}

Status RocksDisk::fence() const {
  if (!fenced_.load(std::memory_order_acquire)) return OkStatus();
  std::lock_guard lock(mutex_);
  return fence_;
}

Status RocksDisk::Fence(Status status) {
  std::lock_guard lock(mutex_);
  if (fence_.ok()) {
    fence_ = Status(Code::kUnavailable,
                    fmt::format("nothing is written any more after a failed sync: {}", status.message()));
  }
  fenced_.store(true, std::memory_order_release);
  return status;
}

Status RocksDisk::ForgetRun(const std::string& path) {
  std::lock_guard lock(mutex_);
  const auto run = new_runs_.extract(path);
  return run.empty() ? OkStatus() : run.mapped()->failed;
}

Status RocksDisk::SyncDir(const std::string& dir) {
  QUIPU_RETURN_IF_ERROR(fence());
  Status status = disk_->SyncDir(dir);
  return status.ok() ? status : Fence(std::move(status));
}

IOStatus RocksDisk::NewSequentialFile(const std::string& path, const FileOptions&,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* out, IODebugContext*) {
  if (BaseName(path) == kCurrentName) {
    auto text = LoadCurrent(path);
    if (text) *out = std::make_unique<TextSequentialFile>(std::move(*text));
    return ToRocks(text.status());
  }
  auto file = disk_->Open(path, rt::OpenMode::kRead);
  if (file) *out = std::make_unique<RocksSequentialFile>(std::move(*file));
  return ToRocks(file.status());
}

IOStatus RocksDisk::NewRandomAccessFile(const std::string& path, const FileOptions&,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* out, IODebugContext*) {
  auto file = disk_->Open(path, rt::OpenMode::kRead);
  if (file) {
    if (path.ends_with(kRunSuffix)) {
      if (const Status status = CheckEnd(path, file->get()); !status.ok()) return ToRocks(status);
    }
    std::lock_guard lock(mutex_);
    const auto run = new_runs_.find(path);
    if (run == new_runs_.end()) {
      *out = std::make_unique<RocksRandomAccessFile>(std::move(*file));
    } else {
      *out = std::make_unique<RocksNewRunFile>(path, std::move(*file), run->second);
    }
    return IOStatus::OK();
  }
  // Only runs are opened so, and the state names them. (For "not found" RocksDB would look for its older suffix.)
  if (file.code() == Code::kNotFound) return ToRocks(Status(Code::kDataLoss, std::string(file.status().message())));
  return ToRocks(file.status());
}

IOStatus RocksDisk::NewWritableFile(const std::string& path, const FileOptions&,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext*) {
  if (Status status = fence(); !status.ok()) return ToRocks(status);
  if (BaseName(path).starts_with(kOptionsPrefix)) return IOStatus::NotSupported("options are not kept", path);
  auto file = disk_->Open(path, rt::OpenMode::kTruncate);
  if (file) *out = std::make_unique<RocksWritableFile>(this, path, std::move(*file));
  return ToRocks(file.status());
}

IOStatus RocksDisk::ReopenWritableFile(const std::string& path, const FileOptions&,
                                       std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) {
  return IOStatus::NotSupported("files are written once", path);
}

IOStatus RocksDisk::NewDirectory(const std::string& path, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* out,
                                 IODebugContext*) {
  *out = std::make_unique<RocksDirectory>(this, path);
  return IOStatus::OK();
}

IOStatus RocksDisk::FileExists(const std::string& path, const IOOptions&, IODebugContext*) {
  return disk_->Exists(path) ? IOStatus::OK() : IOStatus::NotFound(path);
}

IOStatus RocksDisk::GetChildren(const std::string& dir, const IOOptions&, std::vector<std::string>* out,
                                IODebugContext*) {
  auto names = disk_->List(dir);
  if (names) *out = std::move(*names);
  return ToRocks(names.status());
}

IOStatus RocksDisk::DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) {
  // The state that is on the medium may be the one that needs this file.
  if (Status status = fence(); !status.ok()) return ToRocks(status);
  {
    std::lock_guard lock(mutex_);
    if (BaseName(path) == current_manifest_) return IOStatus::NotSupported("CURRENT names it", path);
  }
  ForgetRun(path).Ignore("it goes anyway");
  const Status status = disk_->Remove(path);
  if (status.ok()) {
    std::lock_guard lock(mutex_);
    seals_.erase(std::string(BaseName(path)));
  }
  return ToRocks(status);
}

IOStatus RocksDisk::CreateDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return ToRocks(disk_->MakeDir(path));
}

IOStatus RocksDisk::CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) {
  return ToRocks(disk_->MakeDir(path));
}

IOStatus RocksDisk::DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) {
  return ToRocks(disk_->RemoveDir(path));
}

IOStatus RocksDisk::GetFileSize(const std::string& path, const IOOptions&, uint64_t* size, IODebugContext*) {
  auto file = disk_->Open(path, rt::OpenMode::kRead);
  if (!file) return ToRocks(file.status());
  auto got = (*file)->Size();
  if (got) *size = *got;
  return ToRocks(got.status());
}

IOStatus RocksDisk::GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time, IODebugContext*) {
  *time = 0;
  return IOStatus::OK();
}

IOStatus RocksDisk::RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) {
  Status status = fence();
  if (status.ok() && BaseName(to) == kCurrentName) status = Seal(from);
  if (status.ok()) status = SyncDir(DirName(to));
  if (status.ok()) {
    status = disk_->Rename(from, to);
    if (!status.ok() && status.code() != Code::kStorageFull) status = Fence(std::move(status));
  }
  if (status.ok() && BaseName(to) == kCurrentName) {
    std::lock_guard lock(mutex_);
    current_manifest_ = last_manifest_;
  }
  return ToRocks(status);
}

IOStatus RocksDisk::LinkFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) {
  Status status = fence();
  if (status.ok()) status = ForgetRun(from);
  if (status.ok()) status = disk_->Rename(from, to);
  if (status.ok()) {
    std::lock_guard lock(mutex_);
    auto seal = seals_.extract(std::string(BaseName(from)));
    QUIPU_ASSERT(!seal.empty(), "{} becomes a run and was never synced", from);
    seal.key() = BaseName(to);
    seals_.insert(std::move(seal));
  }
  return ToRocks(status);
}

IOStatus RocksDisk::LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock, IODebugContext*) {
  auto held = disk_->Lock(path);
  if (held) *lock = new RocksLock(std::move(*held));
  return ToRocks(held.status());
}

IOStatus RocksDisk::UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) {
  delete lock;
  return IOStatus::OK();
}

IOStatus RocksDisk::GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) {
  return IOStatus::NotSupported("no test directory");
}

IOStatus RocksDisk::GetAbsolutePath(const std::string& path, const IOOptions&, std::string* out, IODebugContext*) {
  *out = path;
  return IOStatus::OK();
}

IOStatus RocksDisk::IsDirectory(const std::string& path, const IOOptions&, bool* is_dir, IODebugContext*) {
  *is_dir = disk_->IsDir(path);
  return IOStatus::OK();
}

}  // namespace quipu::store
