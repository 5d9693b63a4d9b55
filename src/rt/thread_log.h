// The journal's writes where io_uring is forbidden: one writer thread per loop takes what has gathered, writes it in
// order, syncs each file once and hands all of it back.
//
// Threads   LogThread and its files belong to the loop's thread; the writer is its own.
// Memory    Two queues of small records, reused.
// Cost      A ring's write and two wake-ups across cores: the writer's and the loop's.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "rt/completion_source.h"
#include "rt/disk.h"
#include "rt/log_target.h"

namespace quipu::rt {

class RealLoop;
class ThreadLogFile;

class LogThread final : public CompletionSource {
 public:
  explicit LogThread(RealLoop* loop);
  // Nothing is queued by then: a LogFile goes only after its writes.
  ~LogThread() override;
  void Reap() override;
  void Write(ThreadLogFile* file, LogFile::WriteOp* op);

 private:
  struct Item {
    LogFile::WriteOp* op;
    ThreadLogFile* file;
  };
  void Main();
  static void WriteAndSync(std::vector<Item>& batch);

  RealLoop* const loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> queue_;  // these three guarded by mutex_
  std::vector<Item> done_;
  bool stopping_ = false;
  std::atomic<bool> has_done_{false};
  std::vector<Item> reaping_;  // the loop's own
  std::thread thread_;
};

class ThreadLogFile final : public LogFile {
 public:
  ThreadLogFile(LogThread* thread, LogTarget target) : thread_(thread), target_(std::move(target)) {}
  ~ThreadLogFile() override;
  void Write(WriteOp* op) override;
  size_t alignment() const override { return target_.alignment; }

 private:
  friend class LogThread;
  LogThread* const thread_;
  const LogTarget target_;
  size_t in_flight_ = 0;  // the loop's
  // The writer's, for the batch at hand.
  bool synced_ = false;
  int sync_error_ = 0;
};

}  // namespace quipu::rt
