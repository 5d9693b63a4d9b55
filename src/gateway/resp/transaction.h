// MULTI: the commands queued so far, what is watched, and the state of EXEC.
//
// EXEC runs in two passes. First the commands that list counters (SCAN, KEYS, QUIPU.TOP) are answered, one after the
// other: they show the moment before. Then all other handlers run and fill one atomic batch.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/resp/command_table.h"
#include "gateway/resp/reply.h"
#include "model/ids.h"

namespace quipu::resp {

struct Transaction {
  enum class Stage : uint8_t { kNone, kQueueing, kPrefetch, kRun };

  struct Queued {
    const CommandSpec* spec = nullptr;
    size_t first_arg = 0;
    size_t arg_count = 0;
    // From the first pass: the reply.
    bool started = false;
    bool replied = false;
    size_t reply_begin = 0;
    size_t reply_end = 0;
  };
  struct Watched {
    NamespaceId ns = 0;
    std::string name;
    uint64_t version = 0;
    uint64_t created = 0;
  };

  Stage stage = Stage::kNone;
  const CommandSpec* exec = nullptr;  // while EXEC runs: its row, since the connection's command is the one it is at
  bool aborted = false;               // an error while queueing
  std::vector<Queued> queue;
  std::vector<Watched> watched;
  size_t current = 0;   // the command that EXEC is at
  ReplyBuffer replies;  // of the first pass

  bool queueing() const { return stage == Stage::kQueueing; }
  bool prefetching() const { return stage == Stage::kPrefetch; }
  bool running() const { return stage == Stage::kRun; }
  void Push(const CommandSpec& spec, Args args);
  size_t bytes() const { return bytes_.size(); }
  Args ArgsOf(const Queued& queued);  // valid until the next call
  void Reset();                       // all but what is watched

 private:
  struct Range {
    size_t at = 0;
    size_t size = 0;
  };
  std::string bytes_;
  std::vector<Range> ranges_;
  std::vector<std::string_view> views_;
};

}  // namespace quipu::resp
