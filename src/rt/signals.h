// The process's signals as calls on a loop, so that a stop or a reload is ordinary work between turns.
//
// The handler notes the signal and wakes the loop, on whichever thread the kernel picks; one thread at least must not
// block the signal. Signals of one kind that
// arrive before the loop looks are one call.
//
// Threads   Made and destroyed on the loop's thread or before it runs; one at a time per process.
// Lifetime  Ends before its loop. Destroying it restores what the signals did before.
#pragma once
#include <signal.h>

#include <functional>
#include <memory>
#include <vector>

#include "rt/loop.h"

namespace quipu::rt {

class Signals {
 public:
  virtual ~Signals() = default;
};

// `numbers` such as SIGTERM, below 64. `on_signal` runs on the loop with one of them.
std::unique_ptr<Signals> WatchSignals(Loop* loop, std::vector<int> numbers, std::function<void(int)> on_signal);

// A write to a pipe or file that cannot take it is an error of that write and not the end of the process (SIGPIPE,
// SIGXFSZ). For main, once.
void IgnoreWriteSignals();

}  // namespace quipu::rt
