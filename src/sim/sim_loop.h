// rt::Loop in virtual time: one thread, one order of events for one seed.
//
// Turn      As the real loop's: wait, completions, timers, posts, socket events, turn hooks. Waiting moves the clock to
// the
//           next thing due; what becomes due during a turn runs in a later one. Ties go by the order of scheduling.
// Workers   A job runs inline a drawn time after RunOnWorker, in one piece; `done` follows after the time that the
// job's
//           blocking calls took. The loop's turns go on before and after it; each worker runs its jobs in order.
// Threads   One. Errors: none; a loop that turns a million times without time passing is a broken invariant.
// Death     Abandon() is the process dying: everything scheduled is forgotten, the clock and the world's events stay.
#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rt/loop.h"
#include "sim/sim_clock.h"
#include "sim/sim_random.h"
#include "sim/trace.h"

namespace quipu::sim {

// Where the loop's sockets come from; SimNetwork implements it.
class SocketSource {
 public:
  virtual bool AnyReady() const = 0;
  virtual void Dispatch() = 0;
  virtual Result<std::unique_ptr<rt::Listener>> Listen(const std::string& address, rt::AcceptHandler* handler) = 0;
  virtual void Watch(rt::Socket* socket, rt::SocketHandler* handler) = 0;
  virtual ~SocketSource() = default;
};

struct WorkerPlan {
  int64_t start_min_us = 5;
  int64_t start_max_us = 500;
};

class SimLoop final : public rt::Loop {
 public:
  SimLoop(SimClock* clock, Trace* trace, uint64_t seed);
  ~SimLoop() override;

  // ---- rt::Loop
  int64_t WallMicros() const override { return in_turn_ ? turn_wall_us_ : clock_->WallMicros(); }
  int64_t MonoMicros() const override { return in_turn_ ? turn_mono_us_ : clock_->MonoMicros(); }
  void Arm(rt::Timer* timer, int64_t due_mono_us) override;
  void Disarm(rt::Timer* timer) override;
  void Post(std::function<void()> fn) override;
  void RunOnWorker(rt::Worker worker, std::function<void()> job, std::function<void()> done) override;
  void AddTurnHook(rt::TurnHook* hook) override;
  void RemoveTurnHook(rt::TurnHook* hook) override;
  // kUnavailable without a network.
  Result<std::unique_ptr<rt::Listener>> Listen(const std::string& address, rt::AcceptHandler* handler) override;
  void Watch(rt::Socket* socket, rt::SocketHandler* handler) override;
  // Also returns when nothing would ever happen any more, where the real loop waits for ever.
  void Run() override;
  void Stop() override { stopped_ = true; }

  // ---- for the simulation
  enum class Life : uint8_t {
    kProcess,  // forgotten by Abandon
    kWorld,    // stays: clients, operators, the test itself
  };
  // Runs fn among the completions of the first turn at or after the time.
  void At(int64_t mono_us, Life life, std::function<void()> fn);
  // One turn; false if there was nothing to wait for or it lies beyond `mono_limit_us` (the clock then stands at the
  // limit).
  bool Turn(int64_t mono_limit_us);
  // Turns until `done` holds after one (true), or the limit is reached or nothing is left to happen (false).
  bool RunUntil(const std::function<bool()>& done, int64_t mono_limit_us);
  void RunFor(int64_t us);
  void Abandon();

  void SetNetwork(SocketSource* network) { network_ = network; }
  WorkerPlan& worker_plan() { return worker_plan_; }
  SimClock* clock() { return clock_; }
  uint64_t turns() const { return turns_; }

 private:
  struct Event {
    Life life;
    std::function<void()> fn;
  };
  struct Job {
    std::function<void()> job, done;
  };
  struct WorkerQueue {
    std::deque<Job> jobs;
    bool scheduled = false;
    int64_t busy_until_us = 0;  // when the last job started is over
  };
  using When = std::pair<int64_t, uint64_t>;  // due, sequence

  int64_t NextDue() const;
  void StartJob(WorkerQueue* worker);

  SimClock* const clock_;
  Trace* const trace_;
  SimRandom latency_;
  WorkerPlan worker_plan_;
  SocketSource* network_ = nullptr;
  std::map<When, Event> events_;
  std::map<When, rt::Timer*> timers_;
  std::deque<std::function<void()>> posts_;
  std::array<WorkerQueue, 2> workers_;  // by rt::Worker
  std::vector<rt::TurnHook*> hooks_;
  uint64_t sequence_ = 0;
  uint64_t turns_ = 0;
  uint64_t turns_at_this_time_ = 0;
  bool stopped_ = false;
  bool in_turn_ = false;
  int64_t turn_wall_us_ = 0;
  int64_t turn_mono_us_ = 0;
};

}  // namespace quipu::sim
