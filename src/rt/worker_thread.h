// A thread of the loop for blocking work, started with the first job. One of low priority yields to the loop by batch
// scheduling and nice 4: on a full machine settling and scans slow down before requests do, and still come to an end.
//
// Threads   Run from any thread; jobs run on the worker in order, `done` on the loop.
// Memory    The queue is unbounded; its users keep a handful of jobs each.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "rt/loop.h"

namespace quipu::rt {

enum class WorkerPriority : uint8_t { kNormal, kLow };

class WorkerThread {
 public:
  WorkerThread(Loop* loop, WorkerPriority priority) : loop_(loop), priority_(priority) {}
  ~WorkerThread() { StopAndJoin(); }
  void Run(std::function<void()> job, std::function<void()> done);
  // Waits for the job that is running; the rest of the queue is dropped, and so is every later job.
  void StopAndJoin();

 private:
  struct Job {
    std::function<void()> job;
    std::function<void()> done;
  };
  void Main();

  Loop* const loop_;
  const WorkerPriority priority_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;  // these three guarded by mutex_
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace quipu::rt
