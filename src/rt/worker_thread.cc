#include "rt/worker_thread.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace quipu::rt {
namespace {
void YieldToOtherThreads() {
  // Either call may be refused by a sandbox; the work is the same then, only less polite.
  const sched_param no_priority{};
  (void)::sched_setscheduler(0, SCHED_BATCH, &no_priority);
  // On Linux the "process" of a thread id is that thread alone.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 4);
}
}  // namespace

void WorkerThread::Run(std::function<void()> job, std::function<void()> done) {
  std::lock_guard lock(mutex_);
  if (stopping_) return;
  queue_.push_back({std::move(job), std::move(done)});
  if (!thread_.joinable()) thread_ = std::thread([this] { Main(); });
  changed_.notify_one();
}

void WorkerThread::StopAndJoin() {
  std::thread thread;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
  }
  changed_.notify_one();
  if (thread.joinable()) thread.join();
}

void WorkerThread::Main() {
  if (priority_ == WorkerPriority::kLow) YieldToOtherThreads();
  for (;;) {
    Job next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    next.job();
    loop_->Post(std::move(next.done));
  }
}

}  // namespace quipu::rt
