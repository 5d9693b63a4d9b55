#include "rt/real_loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/assert.h"
#include "rt/real_socket.h"
#include "rt/thread_log.h"
#include "rt/uring_log.h"

namespace quipu::rt {
namespace {

constexpr int64_t kNoTimeout = -1;

uint64_t PackEventData(int fd, uint32_t generation) {
  return (uint64_t{generation} << 32) | static_cast<uint32_t>(fd);
}

// epoll_pwait2 waits to the microsecond, which a log that gathers for 300 us needs. Kernels before 5.11 and some
// container filters refuse it; there the wait is rounded up to milliseconds.
int EpollWait(int epoll, epoll_event* events, int events_max, int64_t timeout_us) {
  static std::atomic<bool> micros_refused{false};
  if (!micros_refused.load(std::memory_order_relaxed)) {
    timespec t{};
    if (timeout_us > 0) {
      t.tv_sec = timeout_us / 1'000'000;
      t.tv_nsec = timeout_us % 1'000'000 * 1'000;
    }
    const int n = ::epoll_pwait2(epoll, events, events_max, timeout_us == kNoTimeout ? nullptr : &t, nullptr);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
    micros_refused.store(true, std::memory_order_relaxed);
  }
  constexpr int64_t kMillisMax = 60'000;  // an early return only costs an idle turn
  const int64_t timeout_ms = timeout_us < 0 ? -1 : std::min((timeout_us + 999) / 1'000, kMillisMax);
  return ::epoll_wait(epoll, events, events_max, static_cast<int>(timeout_ms));
}

}  // namespace

RealLoop::RealLoop(const LoopOptions& options)
    : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wake_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wall_us_(clock_.WallMicros()), mono_us_(clock_.MonoMicros()),
      files_worker_(this, WorkerPriority::kNormal), settle_worker_(this, WorkerPriority::kLow) {
  QUIPU_ASSERT(epoll_.valid(), "epoll_create1 failed, errno {}", errno);
  QUIPU_ASSERT(wake_event_.valid(), "eventfd failed, errno {}", errno);
  // Edge-triggered: each write to it is one event, and it never has to be read.
  Register(wake_event_.get(), EPOLLIN | EPOLLET, nullptr);
}

RealLoop::~RealLoop() {
  files_worker_.StopAndJoin();
  settle_worker_.StopAndJoin();
  log_thread_.reset();
  ring_.reset();
}

RealLoop* RealLoop::From(Loop* loop) {
  auto* real = dynamic_cast<RealLoop*>(loop);
  QUIPU_ASSERT(real != nullptr, "a real disk, socket or signal needs a real loop");
  return real;
}

void RealLoop::AssertOnLoopThread() const {
  QUIPU_DASSERT(thread_ == std::thread::id() || thread_ == std::this_thread::get_id(), "called off the loop's thread");
}

void RealLoop::Arm(Timer* timer, int64_t due_mono_us) {
  AssertOnLoopThread();
  timers_.Arm(timer, due_mono_us);
}

void RealLoop::Disarm(Timer* timer) {
  AssertOnLoopThread();
  timers_.Disarm(timer);
}

void RealLoop::Post(std::function<void()> fn) {
  {
    std::lock_guard lock(posts_mutex_);
    posts_.push_back(std::move(fn));
  }
  has_posts_.store(true);
  WakeIfAsleep();
}

void RealLoop::RunOnWorker(Worker worker, std::function<void()> job, std::function<void()> done) {
  WorkerThread& thread = worker == Worker::kFiles ? files_worker_ : settle_worker_;
  thread.Run(std::move(job), std::move(done));
}

void RealLoop::Wake() {
  notified_.store(true);
  WakeIfAsleep();
}

void RealLoop::WakeIfAsleep() {
  if (!asleep_.load() || !asleep_.exchange(false)) return;
  const int rc = ::eventfd_write(wake_event_.get(), 1);
  QUIPU_ASSERT(rc == 0, "eventfd_write failed, errno {}", errno);
}

void RealLoop::AddTurnHook(TurnHook* hook) {
  AssertOnLoopThread();
  hooks_.push_back(hook);
}

void RealLoop::RemoveTurnHook(TurnHook* hook) {
  AssertOnLoopThread();
  const auto it = std::find(hooks_.begin(), hooks_.end(), hook);
  QUIPU_ASSERT(it != hooks_.end(), "a turn hook was removed that is not there, hooks={}", hooks_.size());
  if (in_hooks_) {
    *it = nullptr;
  } else {
    hooks_.erase(it);
  }
}

Result<std::unique_ptr<Listener>> RealLoop::Listen(const std::string& address, AcceptHandler* handler) {
  AssertOnLoopThread();
  return RealListener::Open(this, options_.port_sharing, address, handler);
}

void RealLoop::Watch(Socket* socket, SocketHandler* handler) {
  AssertOnLoopThread();
  static_cast<RealSocket*>(socket)->Watch(handler);
}

uint32_t RealLoop::Register(int fd, uint32_t events, FdSource* source) {
  const size_t index = static_cast<size_t>(fd);
  if (index >= slots_.size()) slots_.resize(index + 1);
  Slot& slot = slots_[index];
  QUIPU_ASSERT(!slot.registered, "descriptor {} is registered already", fd);
  slot.source = source;
  slot.registered = true;
  epoll_event event{.events = events, .data = {.u64 = PackEventData(fd, slot.generation)}};
  const int rc = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  QUIPU_ASSERT(rc == 0, "epoll_ctl add of descriptor {} failed, errno {}", fd, errno);
  return slot.generation;
}

void RealLoop::ChangeEvents(int fd, uint32_t events) {
  const Slot& slot = slots_[static_cast<size_t>(fd)];
  QUIPU_ASSERT(slot.registered, "descriptor {} is not registered", fd);
  epoll_event event{.events = events, .data = {.u64 = PackEventData(fd, slot.generation)}};
  const int rc = ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
  QUIPU_ASSERT(rc == 0, "epoll_ctl change of descriptor {} failed, errno {}", fd, errno);
}

void RealLoop::Unregister(int fd) {
  Slot& slot = slots_[static_cast<size_t>(fd)];
  QUIPU_ASSERT(slot.registered, "descriptor {} is not registered", fd);
  slot.registered = false;
  slot.source = nullptr;
  ++slot.generation;
  const int rc = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  QUIPU_ASSERT(rc == 0, "epoll_ctl remove of descriptor {} failed, errno {}", fd, errno);
}

bool RealLoop::IsRegistered(int fd, uint32_t generation) const {
  const Slot& slot = slots_[static_cast<size_t>(fd)];
  return slot.registered && slot.generation == generation;
}

UringRing* RealLoop::Ring() {
  AssertOnLoopThread();
  if (ring_ == nullptr && IoUringAllowed()) ring_ = std::make_unique<UringRing>(this);
  return ring_.get();
}

LogThread* RealLoop::WriterThread() {
  AssertOnLoopThread();
  if (log_thread_ == nullptr) log_thread_ = std::make_unique<LogThread>(this);
  return log_thread_.get();
}

void RealLoop::Run() {
  QUIPU_ASSERT(thread_ == std::thread::id(), "Run while running");
  thread_ = std::this_thread::get_id();
  while (!stop_.load()) {
    const size_t events = Wait();
    wall_us_ = clock_.WallMicros();
    mono_us_ = clock_.MonoMicros();
    if (ring_ != nullptr) ring_->Reap();
    if (log_thread_ != nullptr) log_thread_->Reap();
    FireTimers();
    RunPosts();
    Dispatch(events);
    RunTurnHooks();
  }
  stop_.store(false);
  thread_ = std::thread::id();
}

void RealLoop::Stop() {
  stop_.store(true);
  Wake();
}

size_t RealLoop::Wait() {
  int64_t timeout_us = kNoTimeout;
  if (!timers_.empty()) timeout_us = std::max<int64_t>(0, timers_.next_due() - clock_.MonoMicros());
  if (timeout_us != 0) {
    asleep_.store(true);
    if (has_posts_.load() || notified_.load()) timeout_us = 0;
  }
  const int n = EpollWait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_us);
  asleep_.store(false);
  (void)notified_.exchange(false);  // an exchange, to see what the last notifier published before it
  if (n >= 0) return static_cast<size_t>(n);
  // io_uring's completions interrupt the wait, as signals do.
  QUIPU_ASSERT(errno == EINTR, "epoll wait failed, errno {}", errno);
  return 0;
}

void RealLoop::FireTimers() {
  // At most as many as were armed at the start: one that arms itself for now again cannot hold up the turn.
  for (size_t budget = timers_.size(); budget > 0; --budget) {
    Timer* timer = timers_.PopDue(mono_us_);
    if (timer == nullptr) return;
    timer->on_fire();
  }
}

void RealLoop::RunPosts() {
  if (!has_posts_.load()) return;
  {
    std::lock_guard lock(posts_mutex_);
    posts_running_.swap(posts_);
    has_posts_.store(false);
  }
  for (auto& post : posts_running_) post();
  posts_running_.clear();
}

void RealLoop::Dispatch(size_t events) {
  for (size_t i = 0; i < events; ++i) {
    const uint64_t data = events_[i].data.u64;
    const Slot& slot = slots_[data & 0xffff'ffff];
    if (slot.generation != data >> 32 || slot.source == nullptr) continue;
    slot.source->OnEvents(events_[i].events);
  }
}

void RealLoop::RunTurnHooks() {
  in_hooks_ = true;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    if (hooks_[i] != nullptr) hooks_[i]->OnTurnEnd();
  }
  in_hooks_ = false;
  std::erase(hooks_, nullptr);
}

}  // namespace quipu::rt
