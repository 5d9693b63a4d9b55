// The machine that add_cost runs on: a loop whose clock moves by fixed steps, whose workers work at once and whose
// log writes are done in the next turn; sockets that play a text. Two runs execute the same instructions.
//
// Threads   One.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "rt/disk.h"
#include "rt/loop.h"
#include "rt/random.h"
#include "rt/real.h"
#include "rt/timer_heap.h"

namespace quipu::bench {

class StillRandom final : public rt::Random {
 public:
  uint64_t Next() override {  // splitmix64
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_ = 1;
};

class StillLoop final : public rt::Loop {
 public:
  // One turn, 100 us after the last. `input` runs where the sockets' turn comes.
  template <class Input>
  void Turn(Input&& input) {
    now_us_ += 100;
    std::vector<std::function<void()>> completed;
    completed.swap(completions_);
    for (auto& done : completed) done();
    while (rt::Timer* timer = timers_.PopDue(now_us_)) timer->on_fire();
    for (size_t n = posts_.size(); n > 0; --n) {
      std::function<void()> fn = std::move(posts_.front());
      posts_.pop_front();
      fn();
    }
    input();
    for (rt::TurnHook* hook : hooks_) hook->OnTurnEnd();
  }
  void TurnUntil(const bool* done) {
    for (int turns = 0; !*done; ++turns) {
      QUIPU_ASSERT(turns < 1'000'000, "{} turns without the end that was waited for", turns);
      Turn([] {});
    }
  }
  // Runs at the start of the next turn.
  void Complete(std::function<void()> done) { completions_.push_back(std::move(done)); }

  int64_t WallMicros() const override { return 1'700'000'000'000'000 + now_us_; }
  int64_t MonoMicros() const override { return now_us_; }
  void Arm(rt::Timer* timer, int64_t due_mono_us) override { timers_.Arm(timer, due_mono_us); }
  void Disarm(rt::Timer* timer) override { timers_.Disarm(timer); }
  void Post(std::function<void()> fn) override { posts_.push_back(std::move(fn)); }
  void RunOnWorker(rt::Worker, std::function<void()> job, std::function<void()> done) override {
    posts_.push_back([job = std::move(job), done = std::move(done)] {
      job();
      done();
    });
  }
  void AddTurnHook(rt::TurnHook* hook) override { hooks_.push_back(hook); }
  void RemoveTurnHook(rt::TurnHook* hook) override { std::erase(hooks_, hook); }
  Result<std::unique_ptr<rt::Listener>> Listen(const std::string& address, rt::AcceptHandler*) override {
    return Status(Code::kUnavailable, "there is no network to listen at " + address);
  }
  void Watch(rt::Socket*, rt::SocketHandler* handler) override { handlers.push_back(handler); }
  void Run() override {}
  void Stop() override {}

  std::vector<rt::SocketHandler*> handlers;

 private:
  int64_t now_us_ = 0;
  rt::TimerHeap timers_;
  std::deque<std::function<void()>> posts_;
  std::vector<std::function<void()>> completions_;
  std::vector<rt::TurnHook*> hooks_;
};

// The real disk, but for log files: a write is made at once, without a sync, and is done in the next turn.
class StillDisk final : public rt::Disk {
 public:
  Result<std::unique_ptr<rt::File>> Open(const std::string& path, rt::OpenMode mode) override {
    return real_->Open(path, mode);
  }
  Result<std::unique_ptr<rt::LogFile>> OpenLog(const std::string& path, rt::Loop* loop) override {
    QUIPU_ASSIGN_OR_RETURN(std::unique_ptr<rt::File> file, real_->Open(path, rt::OpenMode::kReadWrite));
    return std::unique_ptr<rt::LogFile>(new Log(std::move(file), static_cast<StillLoop*>(loop)));
  }
  Result<std::unique_ptr<rt::FileLock>> Lock(const std::string& path) override { return real_->Lock(path); }
  Result<std::unique_ptr<rt::FileLock>> LockShared(const std::string& path) override { return real_->LockShared(path); }
  Status Rename(const std::string& from, const std::string& to) override { return real_->Rename(from, to); }
  Status Remove(const std::string& path) override { return real_->Remove(path); }
  Status MakeDir(const std::string& path) override { return real_->MakeDir(path); }
  Status RemoveDir(const std::string& path) override { return real_->RemoveDir(path); }
  Status SyncDir(const std::string& path) override { return real_->SyncDir(path); }
  bool Exists(const std::string& path) override { return real_->Exists(path); }
  bool IsDir(const std::string& path) override { return real_->IsDir(path); }
  Result<std::vector<std::string>> List(const std::string& dir) override { return real_->List(dir); }
  // The machine's own would make a difference.
  Result<rt::DiskSpace> Space(const std::string&) override {
    return rt::DiskSpace{.free_bytes = 1ull << 40, .total_bytes = 1ull << 41};
  }

 private:
  class Log final : public rt::LogFile {
   public:
    Log(std::unique_ptr<rt::File> file, StillLoop* loop) : file_(std::move(file)), loop_(loop) {}
    void Write(WriteOp* op) override {
      op->status = file_->WriteAt(op->offset, op->data);
      loop_->Complete([op] { op->on_done(op); });
    }
    size_t alignment() const override { return 4096; }

   private:
    const std::unique_ptr<rt::File> file_;
    StillLoop* const loop_;
  };
  const std::unique_ptr<rt::Disk> real_ = rt::MakeRealDisk();
};

// Gives one piece a Read; what is written to it is counted.
class PlayedSocket final : public rt::Socket {
 public:
  IoResult Read(std::span<char> into) override {
    if (piece_.empty()) return {Io::kWouldBlock, 0};
    const size_t bytes = std::min(into.size(), piece_.size());
    std::memcpy(into.data(), piece_.data(), bytes);
    piece_.remove_prefix(bytes);
    return {Io::kOk, bytes};
  }
  IoResult Write(std::span<const char> data) override {
    written += data.size();
    return {Io::kOk, data.size()};
  }
  void Play(std::string_view piece) {
    QUIPU_ASSERT(piece_.empty(), "{} bytes of the last piece are unread", piece_.size());
    piece_ = piece;
  }
  void SetInterest(bool, bool) override {}
  void ShutdownWrite() override {}
  std::string peer_address() const override { return "127.0.0.1:1"; }
  std::string local_address() const override { return "127.0.0.1:2"; }
  bool peer_is_loopback() const override { return true; }

  uint64_t written = 0;

 private:
  std::string_view piece_;
};

}  // namespace quipu::bench
