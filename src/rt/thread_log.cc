#include "rt/thread_log.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "rt/real_loop.h"

namespace quipu::rt {

LogThread::LogThread(RealLoop* loop) : loop_(loop), thread_([this] { Main(); }) {}

LogThread::~LogThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LogThread::Write(ThreadLogFile* file, LogFile::WriteOp* op) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back({op, file});
  }
  changed_.notify_one();
}

void LogThread::Reap() {
  if (!has_done_.load(std::memory_order_relaxed)) return;
  {
    std::lock_guard lock(mutex_);
    reaping_.swap(done_);
    has_done_.store(false, std::memory_order_relaxed);
  }
  for (const Item& item : reaping_) {
    --item.file->in_flight_;
    item.op->on_done(item.op);
  }
  reaping_.clear();
}

void LogThread::Main() {
  std::vector<Item> batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      batch.swap(queue_);
    }
    WriteAndSync(batch);
    {
      std::lock_guard lock(mutex_);
      done_.insert(done_.end(), batch.begin(), batch.end());
      has_done_.store(true, std::memory_order_relaxed);
    }
    loop_->Wake();
    batch.clear();
  }
}

void LogThread::WriteAndSync(std::vector<Item>& batch) {
  for (const Item& item : batch) {
    const auto& op = *item.op;
    ssize_t n = -1;
    do {
      n = ::pwrite(item.file->target_.fd.get(), op.data.data(), op.data.size(), static_cast<off_t>(op.offset));
    } while (n < 0 && errno == EINTR);  // interrupted before it wrote a byte
    item.op->status = LogWriteStatus(item.file->target_, op, n < 0 ? -int64_t{errno} : int64_t{n});
    item.file->synced_ = false;
  }
  for (const Item& item : batch) {
    ThreadLogFile& file = *item.file;
    if (!file.synced_) {
      file.synced_ = true;
      file.sync_error_ = ::fdatasync(file.target_.fd.get()) == 0 ? 0 : errno;
    }
    if (file.sync_error_ != 0 && item.op->status.ok()) {
      item.op->status = LogSyncStatus(file.target_, *item.op, file.sync_error_);
    }
  }
}

ThreadLogFile::~ThreadLogFile() { QUIPU_ASSERT(in_flight_ == 0, "{}: {} writes in flight", target_.path, in_flight_); }

void ThreadLogFile::Write(WriteOp* op) {
  CheckLogWrite(target_, *op);
  ++in_flight_;
  thread_->Write(this, op);
}

}  // namespace quipu::rt
