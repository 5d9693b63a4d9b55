// The loop on raw epoll. docs/adr/0002 says why not a library's.
//
//   wait -> clocks -> completions (journal) -> timers -> posts -> socket events -> turn hooks -> wait ...
//
// Completions come first so that replies held for the journal leave in the same turn's flush; sockets come last so that
// what they add is committed by the hooks of the same turn. A turn waits for nothing else: with a post pending it only
// looks, with a timer armed it waits until that is due.
//
// Threads   As rt/loop.h says. Wake from any thread.
// Memory    16 bytes per descriptor number, 16 per armed timer; nothing is allocated per event or per turn.
// Cost      An idle-free turn: one epoll call, two or three vDSO clock reads, a few atomic operations.
#pragma once
#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rt/completion_source.h"
#include "rt/loop.h"
#include "rt/real.h"
#include "rt/real_clock.h"
#include "rt/timer_heap.h"
#include "rt/unique_fd.h"
#include "rt/worker_thread.h"

namespace quipu::rt {

class LogThread;
class UringRing;

// What a registered descriptor wakes. Known to rt/ only.
class FdSource {
 public:
  // `events` is epoll's mask. May unregister and destroy itself or any other source.
  virtual void OnEvents(uint32_t events) = 0;
  virtual ~FdSource() = default;
};

class RealLoop final : public Loop {
 public:
  explicit RealLoop(const LoopOptions& options);
  // Each worker finishes the job that it is in; jobs and posts behind it are dropped.
  ~RealLoop() override;

  int64_t WallMicros() const override { return wall_us_; }
  int64_t MonoMicros() const override { return mono_us_; }
  void Arm(Timer* timer, int64_t due_mono_us) override;
  void Disarm(Timer* timer) override;
  void Post(std::function<void()> fn) override;
  void RunOnWorker(Worker worker, std::function<void()> job, std::function<void()> done) override;
  void AddTurnHook(TurnHook* hook) override;
  void RemoveTurnHook(TurnHook* hook) override;
  Result<std::unique_ptr<Listener>> Listen(const std::string& address, AcceptHandler* handler) override;
  void Watch(Socket* socket, SocketHandler* handler) override;
  // Run may be called again after it returned. A Stop before Run makes Run return at once.
  void Run() override;
  void Stop() override;

  // For rt/ only from here on.

  // The loop that a call was given; anything but a RealLoop is a broken invariant.
  static RealLoop* From(Loop* loop);

  // A registration is (fd, generation): an event that was fetched for an earlier owner of the number finds another
  // generation and is dropped, so a source may go away in the middle of a turn. A null source only wakes the loop.
  uint32_t Register(int fd, uint32_t events, FdSource* source);
  void ChangeEvents(int fd, uint32_t events);
  // Before the descriptor is closed.
  void Unregister(int fd);
  bool IsRegistered(int fd, uint32_t generation) const;

  // Makes a loop that waits, or is about to, go through a turn. From any thread.
  void Wake();

  // Each is made at the first call and reaped at the start of every turn. Ring is null where io_uring is forbidden.
  UringRing* Ring();
  LogThread* WriterThread();

 private:
  struct Slot {
    FdSource* source = nullptr;
    uint32_t generation = 0;
    bool registered = false;
  };

  void AssertOnLoopThread() const;
  size_t Wait();
  void FireTimers();
  void RunPosts();
  void Dispatch(size_t events);
  void RunTurnHooks();
  void WakeIfAsleep();

  const LoopOptions options_;
  const RealClock clock_;
  UniqueFd epoll_;
  UniqueFd wake_event_;
  int64_t wall_us_ = 0;
  int64_t mono_us_ = 0;
  TimerHeap timers_;
  std::vector<Slot> slots_;  // by descriptor number
  std::array<epoll_event, 256> events_;
  std::vector<TurnHook*> hooks_;  // null where one was removed during the hooks' own run
  bool in_hooks_ = false;
  std::unique_ptr<UringRing> ring_;
  std::unique_ptr<LogThread> log_thread_;
  std::thread::id thread_;  // while running

  // A poster publishes its post, then looks at asleep_; the loop sets asleep_, then looks for posts. All of it is
  // sequentially consistent, so one of the two sees the other.
  std::atomic<bool> asleep_{false};
  std::atomic<bool> notified_{false};
  std::atomic<bool> has_posts_{false};
  std::atomic<bool> stop_{false};
  std::mutex posts_mutex_;
  std::vector<std::function<void()>> posts_;         // guarded by posts_mutex_
  std::vector<std::function<void()>> posts_running_;  // the loop's own

  // Last: their jobs post to what is above.
  WorkerThread files_worker_;
  WorkerThread settle_worker_;
};

}  // namespace quipu::rt
