// Something that finishes work outside the loop and hands the results back at the start of a turn: the journal's ring,
// the journal's writer thread. Known to rt/ only.
//
// Threads   Reap runs on the loop's thread.
#pragma once

namespace quipu::rt {

class CompletionSource {
 public:
  // Calls on_done of everything that has finished. Runs every turn, so finding nothing must cost a load or two.
  virtual void Reap() = 0;
  virtual ~CompletionSource() = default;
};

}  // namespace quipu::rt
