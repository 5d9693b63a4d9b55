#include "sim/sim_loop.h"

#include <algorithm>
#include <limits>

#include "base/assert.h"

namespace quipu::sim {
namespace {

constexpr uint64_t kTurnsWithoutTimeMax = 1'000'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

}  // namespace

SimLoop::SimLoop(SimClock* clock, Trace* trace, uint64_t seed) : clock_(clock), trace_(trace), latency_(seed, "loop") {}

SimLoop::~SimLoop() { Abandon(); }

void SimLoop::Arm(rt::Timer* timer, int64_t due_mono_us) {
  Disarm(timer);
  // Nothing is due before now: what a turn adds then sorts behind what it found.
  timer->due_mono_us = std::max(due_mono_us, MonoMicros());
  timer->armed = true;
  timers_.emplace(When{timer->due_mono_us, ++sequence_}, timer);
}

void SimLoop::Disarm(rt::Timer* timer) {
  if (!timer->armed) return;
  timer->armed = false;
  for (auto it = timers_.lower_bound({timer->due_mono_us, 0}); it != timers_.end(); ++it) {
    if (it->second != timer) continue;
    timers_.erase(it);
    return;
  }
  QUIPU_ASSERT(false, "an armed timer due at {} is not with this loop", timer->due_mono_us);
}

void SimLoop::Post(std::function<void()> fn) { posts_.push_back(std::move(fn)); }

void SimLoop::RunOnWorker(rt::Worker which, std::function<void()> job, std::function<void()> done) {
  WorkerQueue* worker = &workers_[static_cast<size_t>(which)];
  worker->jobs.push_back({std::move(job), std::move(done)});
  if (worker->scheduled) return;
  worker->scheduled = true;
  const int64_t wait = latency_.Between(worker_plan_.start_min_us, worker_plan_.start_max_us);
  At(std::max(MonoMicros() + wait, worker->busy_until_us), Life::kProcess, [this, worker] { StartJob(worker); });
}

void SimLoop::StartJob(WorkerQueue* worker) {
  Job job = std::move(worker->jobs.front());
  worker->jobs.pop_front();
  clock_->BeginJob();
  job.job();
  const int64_t end = MonoMicros() + clock_->EndJob() + 1;
  worker->busy_until_us = end;
  At(end, Life::kProcess, std::move(job.done));
  worker->scheduled = !worker->jobs.empty();
  if (worker->scheduled) At(end, Life::kProcess, [this, worker] { StartJob(worker); });
}

void SimLoop::AddTurnHook(rt::TurnHook* hook) { hooks_.push_back(hook); }

void SimLoop::RemoveTurnHook(rt::TurnHook* hook) { std::erase(hooks_, hook); }

Result<std::unique_ptr<rt::Listener>> SimLoop::Listen(const std::string& address, rt::AcceptHandler* handler) {
  if (network_ == nullptr) return Status(Code::kUnavailable, fmt::format("listen {}: no simulated network", address));
  return network_->Listen(address, handler);
}

void SimLoop::Watch(rt::Socket* socket, rt::SocketHandler* handler) {
  QUIPU_ASSERT(network_ != nullptr, "a socket without a network");
  network_->Watch(socket, handler);
}

void SimLoop::Run() {
  stopped_ = false;
  while (!stopped_ && Turn(kNever)) {
  }
}

void SimLoop::At(int64_t mono_us, Life life, std::function<void()> fn) {
  events_.emplace(When{std::max(mono_us, MonoMicros()), ++sequence_}, Event{life, std::move(fn)});
}

int64_t SimLoop::NextDue() const {
  if (!posts_.empty() || (network_ != nullptr && network_->AnyReady())) return clock_->MonoMicros();
  int64_t due = kNever;
  if (!events_.empty()) due = std::min(due, events_.begin()->first.first);
  if (!timers_.empty()) due = std::min(due, timers_.begin()->first.first);
  return due;
}

bool SimLoop::Turn(int64_t mono_limit_us) {
  QUIPU_ASSERT(!in_turn_, "a turn inside a turn");
  const int64_t due = NextDue();
  if (due == kNever || due > mono_limit_us) {
    if (mono_limit_us != kNever) clock_->AdvanceTo(mono_limit_us);
    return false;
  }
  if (due > clock_->MonoMicros()) turns_at_this_time_ = 0;
  QUIPU_ASSERT(++turns_at_this_time_ <= kTurnsWithoutTimeMax, "{} turns at {} us", turns_at_this_time_, due);
  clock_->AdvanceTo(due);
  turn_mono_us_ = clock_->MonoMicros();
  turn_wall_us_ = clock_->WallMicros();
  in_turn_ = true;
  ++turns_;
  trace_->Mix(static_cast<uint64_t>(turn_mono_us_));

  const uint64_t before = sequence_;
  while (!events_.empty() && events_.begin()->first.first <= turn_mono_us_) {
    auto it = events_.begin();
    if (it->first.second > before) break;  // of this turn
    const std::function<void()> fn = std::move(it->second.fn);
    events_.erase(it);
    fn();
  }
  const uint64_t timers_before = sequence_;
  while (!timers_.empty() && timers_.begin()->first.first <= turn_mono_us_) {
    auto it = timers_.begin();
    if (it->first.second > timers_before) break;
    rt::Timer* timer = it->second;
    timers_.erase(it);
    timer->armed = false;
    timer->on_fire();
  }
  for (size_t n = posts_.size(); n > 0 && !posts_.empty(); --n) {
    const std::function<void()> fn = std::move(posts_.front());
    posts_.pop_front();
    fn();
  }
  if (network_ != nullptr) network_->Dispatch();
  for (size_t i = 0; i < hooks_.size(); ++i) hooks_[i]->OnTurnEnd();
  in_turn_ = false;
  return true;
}

bool SimLoop::RunUntil(const std::function<bool()>& done, int64_t mono_limit_us) {
  while (!done()) {
    if (!Turn(mono_limit_us)) return done();
  }
  return true;
}

void SimLoop::RunFor(int64_t us) {
  const int64_t limit = clock_->MonoMicros() + us;
  while (Turn(limit)) {
  }
}

void SimLoop::Abandon() {
  QUIPU_ASSERT(!in_turn_, "a process cannot die inside its own turn here; end the turn first");
  std::erase_if(events_, [](const auto& e) { return e.second.life == Life::kProcess; });
  for (auto& [when, timer] : timers_) timer->armed = false;
  timers_.clear();
  posts_.clear();
  for (WorkerQueue& worker : workers_) worker = WorkerQueue();
  hooks_.clear();
}

}  // namespace quipu::sim
