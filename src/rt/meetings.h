// Brings several loops to one point: while all of them stand still, one function runs and may touch what belongs to any
// of them. For the rare step that concerns more than one shard at once; costs each loop a wait of up to 100 us.
//
// Threads   Hold from any thread. `act` runs on one of the loops' threads, the others are blocked meanwhile.
// Order     Meetings are held one after another, in the order of Hold; so two of them never wait for each other.
// Lifetime  Outlives the loops' runs. A loop that stops before it arrives ends the meetings: nothing runs any more.
// Errors    None.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "rt/loop.h"

namespace quipu::rt {

class Meetings {
 public:
  Meetings();
  ~Meetings();
  // `loops` may hold a loop more than once.
  void Hold(std::vector<Loop*> loops, std::function<void()> act);
  // Lets go of every loop that waits and starts no meeting any more. Before the loops are joined.
  void Stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace quipu::rt
