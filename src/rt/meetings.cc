#include "rt/meetings.h"

#include <condition_variable>
#include <deque>
#include <mutex>

namespace quipu::rt {
namespace {

struct Meeting {
  std::vector<Loop*> loops;
  std::function<void()> act;
  size_t arrived = 0;
  bool over = false;
};

}  // namespace

struct Meetings::State : std::enable_shared_from_this<Meetings::State> {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Meeting>> waiting;  // the front one is being held
  bool stopped = false;

  void Start(const std::shared_ptr<Meeting>& meeting) {
    for (Loop* loop : meeting->loops) {
      loop->Post([self = shared_from_this(), meeting] { self->Arrive(meeting); });
    }
  }

  void Arrive(const std::shared_ptr<Meeting>& meeting) {
    std::unique_lock lock(mutex);
    if (++meeting->arrived < meeting->loops.size()) {
      changed.wait(lock, [&] { return meeting->over || stopped; });
      return;
    }
    if (stopped) return;
    // Everybody else waits below this line or has not been woken yet: what they own is ours for the moment.
    lock.unlock();
    meeting->act();
    lock.lock();
    meeting->over = true;
    waiting.pop_front();
    std::shared_ptr<Meeting> next = waiting.empty() ? nullptr : waiting.front();
    lock.unlock();
    changed.notify_all();
    if (next) Start(next);
  }
};

Meetings::Meetings() : state_(std::make_shared<State>()) {}
Meetings::~Meetings() { Stop(); }

void Meetings::Hold(std::vector<Loop*> loops, std::function<void()> act) {
  auto meeting = std::make_shared<Meeting>();
  std::sort(loops.begin(), loops.end());
  loops.erase(std::unique(loops.begin(), loops.end()), loops.end());
  meeting->loops = std::move(loops);
  meeting->act = std::move(act);
  {
    std::lock_guard lock(state_->mutex);
    if (state_->stopped) return;
    state_->waiting.push_back(meeting);
    if (state_->waiting.size() > 1) return;
  }
  state_->Start(meeting);
}

void Meetings::Stop() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = true;
  }
  state_->changed.notify_all();
}

}  // namespace quipu::rt
