// The counter commands of one connection that go to the store in one batch, and how each is answered.
//
// Threads   One owner. Pooled by the server: only a connection that is executing something holds one.
// Memory    Ops point into the connection's input or into `arena`; both stay until the batch is decided.
#pragma once
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "gateway/resp/reply.h"
#include "store/event_store.h"

namespace quipu::resp {

class Connection;
struct CommandSpec;

// Bytes that stay where they are until Reset: composed names, copies of arguments.
class Arena {
 public:
  std::string_view Concat(std::initializer_list<std::string_view> parts);
  void Reset();

 private:
  static constexpr size_t kChunkBytes = 4096;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t used_ = 0;  // of the newest chunk
  size_t capacity_ = 0;
};

// One reply, made when the batch is decided from `count` ops of it, the first of which is at `first`.
struct Slot {
  using Format = void (*)(Connection&, const Slot&, const store::Op* ops);
  Format format = nullptr;
  uint32_t first = 0;
  uint32_t count = 0;
  uint64_t extra = 0;   // the format's own
  bool muted = false;   // CLIENT REPLY OFF: no reply
  bool silent = false;  // a part of a longer command: `format` takes note and writes nothing
};

// What a command that reads a whole group asks for and gets. A page of HSCAN: the fields from `cursor` on in the order
// of their hashes.
struct GroupListing {
  std::vector<store::CounterEntry> entries;
  uint64_t cursor = 0;
  size_t count = 0;
  std::string_view pattern;
};

// A batch goes to the store when it has reached this; what one more command may add to it then still fits.
inline constexpr size_t kOpsPerBatch = 512;
inline constexpr size_t kCommandOpsMax = store::kBatchOpsMax - kOpsPerBatch;

struct Work {
  std::vector<store::Op> ops;
  std::vector<Slot> slots;
  ReplyBuffer literals;  // replies that need no op, in the order of their slots
  Arena arena;
  std::deque<GroupListing> listings;
  store::SourceStep source;
  std::vector<store::SourceMark> marks;  // the source step's
  std::vector<uint32_t> records;
  bool atomic = false;
  bool has_source = false;
  size_t watched = 0;        // the first so many ops are the checks of WATCH
  bool transaction = false;  // the slots are one reply: EXEC's array
  const CommandSpec* first_command = nullptr;
  void Reset();
};

// A batch at the store. The bytes of the replies from `begin` to `end` of the connection's output wait for it.
struct Commit {
  store::Batch batch;
  Connection* owner = nullptr;
  Commit* next = nullptr;
  uint64_t begin = 0;
  uint64_t end = 0;
  bool done = false;  // its replies may leave once those before it may
  size_t replies = 0;
  int64_t started_us = 0;
  const CommandSpec* first_command = nullptr;
  size_t commands = 0;
  char first_key[40];  // for the slow log
  size_t first_key_bytes = 0;
};

}  // namespace quipu::resp
