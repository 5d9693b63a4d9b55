#include "rt/signals.h"

#include <errno.h>
#include <sys/eventfd.h>

#include <atomic>
#include <utility>

#include "base/assert.h"
#include "rt/real_loop.h"
#include "rt/unique_fd.h"

namespace quipu::rt {
namespace {

// What the handler may touch: lock-free atomics and write().
std::atomic<uint64_t> arrived{0};  // bit n: signal n
std::atomic<int> wake_fd{-1};
static_assert(std::atomic<uint64_t>::is_always_lock_free, "a signal handler must not wait for a lock");

void OnSignal(int number) {
  const int saved = errno;
  arrived.fetch_or(uint64_t{1} << number);
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop has been woken already.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd.load(), &one, sizeof(one));
  errno = saved;
}

class RealSignals final : public Signals, private FdSource {
 public:
  RealSignals(RealLoop* loop, const std::vector<int>& numbers, std::function<void(int)> on_signal)
      : loop_(loop), event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), on_signal_(std::move(on_signal)) {
    QUIPU_ASSERT(event_.valid(), "eventfd failed, errno {}", errno);
    int none = -1;
    const bool only_one = wake_fd.compare_exchange_strong(none, event_.get());
    QUIPU_ASSERT(only_one, "signals are watched already");
    arrived.store(0);
    loop_->Register(event_.get(), EPOLLIN | EPOLLET, this);
    struct sigaction action {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    for (const int number : numbers) {
      QUIPU_ASSERT(number > 0 && number < 64, "signal {}", number);
      struct sigaction before {};
      const int rc = ::sigaction(number, &action, &before);
      QUIPU_ASSERT(rc == 0, "sigaction({}) failed, errno {}", number, errno);
      before_.emplace_back(number, before);
    }
  }

  ~RealSignals() override {
    for (const auto& [number, before] : before_) ::sigaction(number, &before, nullptr);
    wake_fd.store(-1);
    loop_->Unregister(event_.get());
  }

 private:
  void OnEvents(uint32_t /*events*/) override {
    const uint64_t now = arrived.exchange(0);
    // Through a post, so that the callback may destroy this.
    for (int number = 1; number < 64; ++number) {
      if ((now >> number & 1) != 0) loop_->Post([call = on_signal_, number] { call(number); });
    }
  }

  RealLoop* const loop_;
  const UniqueFd event_;
  const std::function<void(int)> on_signal_;
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace

std::unique_ptr<Signals> WatchSignals(Loop* loop, std::vector<int> numbers, std::function<void(int)> on_signal) {
  return std::make_unique<RealSignals>(RealLoop::From(loop), numbers, std::move(on_signal));
}

void IgnoreWriteSignals() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (const int number : {SIGPIPE, SIGXFSZ}) ::sigaction(number, &ignore, nullptr);
}

}  // namespace quipu::rt
