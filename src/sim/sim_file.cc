// The handles of a SimDisk, and how bytes move between the cache and the medium.
#include <algorithm>

#include "base/assert.h"
#include "sim/sim_disk.h"
#include "sim/sim_inode.h"
#include "sim/sim_loop.h"

namespace quipu::sim {

Status Fails(std::string_view call, std::string_view path, std::string_view why, Code code) {
  return Status(code, fmt::format("{} {}: {}", call, path, why));
}

Status FaultStatus(Fault fault, Call call, std::string_view path) {
  if (fault == Fault::kNoSpace) return Fails(CallName(call), path, "ENOSPC (simulated)", Code::kStorageFull);
  return Fails(CallName(call), path, "EIO (simulated)");
}

class SimFile final : public rt::File {
 public:
  SimFile(SimDisk* disk, SimDisk::InodeRef inode, std::string path, bool writable)
      : disk_(disk),
        inode_(std::move(inode)),
        path_(std::move(path)),
        writable_(writable),
        generation_(disk->generation_) {}

  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    Fault fault = Fault::kNone;
    QUIPU_RETURN_IF_ERROR(Enter(Call::kRead, false, &fault));
    if (fault == Fault::kError) return FaultStatus(fault, Call::kRead, path_);
    const size_t n = inode_->cache.Read(offset, out);
    if (fault == Fault::kFlip && n > 0) {
      const uint64_t bit = disk_->faults_.Below(uint64_t{n} * 8);
      out[static_cast<size_t>(bit / 8)] = static_cast<char>(out[static_cast<size_t>(bit / 8)] ^ (1 << (bit % 8)));
    }
    return n;
  }
  Status WriteAt(uint64_t offset, std::span<const char> data) override {
    const bool grows = SimDisk::Inode::PagesOf(offset + data.size()) > inode_->cache.page_count();
    Fault fault = Fault::kNone;
    QUIPU_RETURN_IF_ERROR(Enter(Call::kWrite, grows, &fault));
    if (!writable_) return Fails("write", path_, "opened for reading");
    disk_->trace_->Mix(offset);
    disk_->TraceBytes(path_, data);
    if (fault == Fault::kError || fault == Fault::kNoSpace) return FaultStatus(fault, Call::kWrite, path_);
    if (fault == Fault::kPartial) {
      const size_t part = data.empty() ? 0 : static_cast<size_t>(disk_->faults_.Below(data.size()));
      disk_->WriteCache(inode_.get(), path_, offset, data.first(part)).Ignore("the call fails anyway");
      return FaultStatus(fault, Call::kWrite, path_);
    }
    return disk_->WriteCache(inode_.get(), path_, offset, data);
  }
  Status Sync() override {
    Fault fault = Fault::kNone;
    QUIPU_RETURN_IF_ERROR(Enter(Call::kSync, !inode_->dirty_pages.empty(), &fault));
    disk_->clock_->Block(disk_->DrawLatency(disk_->plan_.sync, Call::kSync));
    if (fault == Fault::kNone) return disk_->SyncInode(inode_.get(), path_);
    // Some pages were written before the device gave up; all count as clean.
    for (uint32_t page : inode_->dirty_pages) {
      if (disk_->faults_.Chance(0.3)) disk_->WriteBack(inode_.get(), page);
    }
    inode_->MarkClean();
    return FaultStatus(fault, Call::kSync, path_);
  }
  Result<uint64_t> Size() override {
    Fault fault = Fault::kNone;
    QUIPU_RETURN_IF_ERROR(Enter(Call::kLook, false, &fault));
    return inode_->cache.size();
  }
  Status Truncate(uint64_t size) override {
    Fault fault = Fault::kNone;
    QUIPU_RETURN_IF_ERROR(Enter(Call::kWrite, size > inode_->cache.size(), &fault));
    if (!writable_) return Fails("truncate", path_, "opened for reading");
    if (fault != Fault::kNone) return FaultStatus(fault, Call::kWrite, path_);
    disk_->trace_->Mix(size);
    return disk_->ResizeCache(inode_.get(), path_, size);
  }

 private:
  Status Enter(Call call, bool allocates, Fault* fault) {
    if (generation_ != disk_->generation_) return Fails(CallName(call), path_, "the handle is from before the restart");
    Status status;
    *fault = disk_->Enter(call, path_, allocates, &status);
    return status;
  }

  SimDisk* const disk_;
  const SimDisk::InodeRef inode_;
  const std::string path_;
  const bool writable_;
  const uint64_t generation_;
};

class SimLogFile final : public rt::LogFile {
 public:
  SimLogFile(SimDisk* disk, SimLoop* loop, SimDisk::InodeRef inode, std::string path)
      : disk_(disk), loop_(loop), inode_(std::move(inode)), path_(std::move(path)), generation_(disk->generation_) {}
  ~SimLogFile() override {
    if (generation_ != disk_->generation_) return;
    for (const auto& write : inode_->in_flight) {
      QUIPU_ASSERT(disk_->off_ || write->op == nullptr, "{} closed with a write at {} in flight", path_, write->offset);
      write->op = nullptr;
    }
  }

  void Write(WriteOp* op) override {
    const size_t a = disk_->log_alignment_;
    QUIPU_ASSERT(op->offset % a == 0 && op->data.size() % a == 0 && !op->data.empty(), "{} bytes at {}",
                 op->data.size(), op->offset);
    QUIPU_ASSERT(reinterpret_cast<uintptr_t>(op->data.data()) % a == 0, "the memory is not aligned to {}", a);
    auto write = std::make_shared<SimDisk::InFlight>();
    write->inode = inode_;
    write->path = path_;
    write->op = op;
    write->offset = op->offset;
    write->generation = generation_;
    op->status = Status();
    if (generation_ != disk_->generation_) {
      op->status = Fails("log write", path_, "the handle is from before the restart");
    } else if (op->offset + op->data.size() > inode_->cache.size()) {
      op->status = Fails(
          "log write", path_,
          fmt::format("ends at {}, beyond the laid-out size {}", op->offset + op->data.size(), inode_->cache.size()));
    } else {
      write->fault = disk_->Enter(Call::kLogWrite, path_, false, &op->status);
    }
    int64_t latency = 0;
    const bool cut_short = disk_->off_ && disk_->calls_ == disk_->crash_at_;  // the write that power went with
    if (op->status.ok() || cut_short) {
      disk_->trace_->Mix(op->offset);
      disk_->TraceBytes(path_, op->data);
      if (disk_->log_) disk_->log_(fmt::format("    {} bytes at {}", op->data.size(), op->offset));
      write->data.assign(op->data.data(), op->data.size());
      latency = disk_->DrawLatency(disk_->plan_.log_write, Call::kLogWrite);
    }
    inode_->in_flight.push_back(write);
    loop_->At(loop_->MonoMicros() + latency, SimLoop::Life::kProcess,
              [disk = disk_, write] { disk->CompleteLogWrite(write); });
  }
  size_t alignment() const override { return disk_->log_alignment_; }

 private:
  SimDisk* const disk_;
  SimLoop* const loop_;
  const SimDisk::InodeRef inode_;
  const std::string path_;
  const uint64_t generation_;
};

class SimLock final : public rt::FileLock {
 public:
  SimLock(SimDisk* disk, std::string key) : disk_(disk), key_(std::move(key)), generation_(disk->generation_) {}
  ~SimLock() override {
    if (generation_ != disk_->generation_) return;
    const auto lock = disk_->locks_.find(key_);
    if (lock->second == kExclusive || --lock->second == 0) disk_->locks_.erase(lock);
  }
  static constexpr int kExclusive = -1;

 private:
  SimDisk* const disk_;
  const std::string key_;
  const uint64_t generation_;
};

Result<std::unique_ptr<rt::File>> SimDisk::Open(const std::string& path, rt::OpenMode mode) {
  const Place place = Find(path);
  const bool creates = !place.inode && (mode == rt::OpenMode::kCreate || mode == rt::OpenMode::kTruncate);
  Status status;
  const Fault fault = Enter(Call::kOpen, path, creates, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kOpen, path);
  if (!place.dir || (!place.inode && !creates)) return Fails("open", path, "ENOENT", Code::kNotFound);
  InodeRef inode = place.inode;
  if (creates) {
    inode = NewInode(false);
    Change({.from_dir = nullptr, .from = "", .to_dir = place.dir, .to = place.name, .inode = inode});
  }
  if (inode->is_dir) return Fails("open", path, "EISDIR");
  if (mode == rt::OpenMode::kTruncate && inode->cache.size() > 0)
    QUIPU_RETURN_IF_ERROR(ResizeCache(inode.get(), path, 0));
  return std::unique_ptr<rt::File>(
      std::make_unique<SimFile>(this, std::move(inode), path, mode != rt::OpenMode::kRead));
}

Result<std::unique_ptr<rt::LogFile>> SimDisk::OpenLog(const std::string& path, rt::Loop* loop) {
  auto* sim_loop = dynamic_cast<SimLoop*>(loop);
  QUIPU_ASSERT(sim_loop != nullptr, "{}: a simulated disk completes on a simulated loop", path);
  Status status;
  const Fault fault = Enter(Call::kOpen, path, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kOpen, path);
  Place place = Find(path);
  if (!place.inode) return Fails("open", path, "ENOENT", Code::kNotFound);
  if (place.inode->is_dir) return Fails("open", path, "EISDIR");
  return std::unique_ptr<rt::LogFile>(std::make_unique<SimLogFile>(this, sim_loop, std::move(place.inode), path));
}

std::string SimDisk::LockKey(const std::string& path) {
  std::string key;
  for (const std::string& part : Split(path)) key += "/" + part;
  return key;
}

Result<std::unique_ptr<rt::FileLock>> SimDisk::LockShared(const std::string& path) {
  std::string key = LockKey(path);
  const auto held = locks_.find(key);
  if (held != locks_.end() && held->second == SimLock::kExclusive)
    return Fails("lock", path, "held by another process", Code::kAlreadyExists);
  Result<std::unique_ptr<rt::File>> file = Open(path, rt::OpenMode::kRead);
  QUIPU_RETURN_IF_ERROR(file.status());
  ++locks_[key];
  return std::unique_ptr<rt::FileLock>(std::make_unique<SimLock>(this, std::move(key)));
}

Result<std::unique_ptr<rt::FileLock>> SimDisk::Lock(const std::string& path) {
  std::string key = LockKey(path);
  if (locks_.contains(key)) return Fails("lock", path, "held by another process", Code::kAlreadyExists);
  Result<std::unique_ptr<rt::File>> file = Open(path, rt::OpenMode::kCreate);
  QUIPU_RETURN_IF_ERROR(file.status());
  locks_[key] = SimLock::kExclusive;
  return std::unique_ptr<rt::FileLock>(std::make_unique<SimLock>(this, std::move(key)));
}

Status SimDisk::ResizeCache(Inode* inode, const std::string& path, uint64_t size) {
  const uint64_t old_pages = inode->cache.page_count();
  const uint64_t new_pages = Inode::PagesOf(size);
  if (new_pages > old_pages && new_pages - old_pages > FreePages()) {
    ++counts_.faults[static_cast<size_t>(Call::kWrite)][static_cast<size_t>(Fault::kNoSpace)];
    return FaultStatus(Fault::kNoSpace, Call::kWrite, path);
  }
  if (size % kPageBytes != 0 && size < inode->cache.size()) inode->MarkDirty(new_pages - 1, new_pages - 1);
  if (new_pages > old_pages) inode->MarkDirty(old_pages, new_pages - 1);
  inode->cache.Resize(size);
  if (inode->links > 0) used_pages_ = used_pages_ + new_pages - old_pages;
  return OkStatus();
}

Status SimDisk::WriteCache(Inode* inode, const std::string& path, uint64_t offset, std::span<const char> data) {
  if (data.empty()) return OkStatus();
  const uint64_t end = offset + data.size();
  if (end > inode->cache.size()) {
    const Status status = ResizeCache(inode, path, end);
    if (!status.ok()) {
      // What still fits is written before the error.
      const uint64_t fits = (inode->cache.page_count() + FreePages()) * kPageBytes;
      if (fits > offset)
        WriteCache(inode, path, offset, data.first(static_cast<size_t>(fits - offset))).Ignore("the call fails anyway");
      return status;
    }
  }
  inode->cache.Write(offset, data);
  inode->MarkDirty(static_cast<size_t>(offset / kPageBytes), static_cast<size_t>((end - 1) / kPageBytes));
  if (faults_.Chance(plan_.write_back)) WriteBack(inode, inode->dirty_pages[faults_.Below(inode->dirty_pages.size())]);
  return OkStatus();
}

// Data only: the size is metadata and waits for a sync.
void SimDisk::WriteBack(Inode* inode, size_t page) {
  if (page >= inode->cache.page_count() || page >= inode->medium.page_count()) return;
  inode->medium.SetPage(page, inode->cache.page(page));
}

Status SimDisk::SyncInode(Inode* inode, const std::string& path) {
  trace_->MixText(path);
  inode->medium.Resize(inode->cache.size());
  for (uint32_t page : inode->dirty_pages) {
    if (page < inode->cache.page_count()) inode->medium.SetPage(page, inode->cache.page(page));
  }
  inode->MarkClean();
  return OkStatus();
}

void SimDisk::WriteThrough(Inode* inode, uint64_t offset, std::span<const char> data) {
  const uint64_t end = offset + data.size();
  if (end > inode->medium.size()) inode->medium.Resize(end);
  const size_t first = static_cast<size_t>(offset / kPageBytes);
  const size_t last = static_cast<size_t>((end - 1) / kPageBytes);
  const bool whole = offset % kPageBytes == 0 && (data.size() % kPageBytes == 0 || end == inode->medium.size());
  // A page that only cache and medium share is written in place: give up the cache's share meanwhile.
  if (whole) {
    for (size_t p = first; p <= last; ++p) inode->cache.SetPage(p, nullptr);
  } else {
    inode->cache.Write(offset, data);
  }
  inode->medium.Write(offset, data);
  for (size_t p = first; p <= last; ++p) {
    if (whole || p >= inode->dirty.size() || !inode->dirty[p]) inode->cache.SetPage(p, inode->medium.page(p));
  }
}

void SimDisk::CompleteLogWrite(const std::shared_ptr<InFlight>& write) {
  if (write->generation != generation_) {
    // The handle died with the restart before; whoever waits is told so.
    if (write->op != nullptr && !write->op->status.ok()) write->op->on_done(write->op);
    return;
  }
  rt::LogFile::WriteOp* op = write->op;
  write->op = nullptr;
  if (op == nullptr) return;
  const InodeRef inode = write->inode.lock();
  QUIPU_ASSERT(inode != nullptr, "{}: a log write outlived its file", write->path);
  if (!op->status.ok()) {
    if (write->data.empty()) std::erase(inode->in_flight, write);  // it never started
  } else if (off_) {
    op->status = Fails("log write", write->path, "power is off");  // stays in flight: its end is decided by PowerLoss
  } else {
    std::erase(inode->in_flight, write);
    if (write->fault == Fault::kNone) {
      WriteThrough(inode.get(), write->offset, write->data);
    } else {
      if (write->fault == Fault::kPartial) WriteSectors(inode.get(), *write, 2 + faults_.Below(2));
      op->status = FaultStatus(write->fault, Call::kLogWrite, write->path);
    }
  }
  if (log_)
    log_(fmt::format("disk: log write at {} of {} is done: {}", op->offset, write->path, op->status.ToString()));
  op->on_done(op);
}

}  // namespace quipu::sim
