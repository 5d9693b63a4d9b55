// A connected stream for programs that wait: the command line, the load generator, tests. The server's sockets are
// Loop's. Every wait has a deadline, and a failed send says how far it came, so that a caller can tell "nothing was
// sent" from "may have arrived".
//
// Threads   One owner at a time.
// Units     Deadlines are Clock::MonoMicros; kNoDeadline waits for ever.
// Errors    kInvalidArgument (address), kUnavailable (refused, unreachable, closed, reset), kDeadlineExceeded.
// Cost      One system call per Send or Receive when the data is there.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quipu::rt {

inline constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

class BlockingSocket {
 public:
  // "HOST:PORT", "[::1]:PORT" or "unix:PATH". A host name is looked up; its addresses are tried in order.
  static Result<std::unique_ptr<BlockingSocket>> Connect(const std::string& address, int64_t deadline_mono_us);

  // Sends all of `data`. `*sent` is how many bytes the system took, also on an error.
  Status SendAll(std::string_view data, int64_t deadline_mono_us, size_t* sent);
  // Sends what fits without waiting; 0 if nothing does.
  Result<size_t> SendSome(std::string_view data);
  // At least one byte, or 0 at the end of the stream.
  Result<size_t> Receive(std::span<char> into, int64_t deadline_mono_us);

  ~BlockingSocket();
  BlockingSocket(const BlockingSocket&) = delete;
  BlockingSocket& operator=(const BlockingSocket&) = delete;

 private:
  friend class SocketPoller;
  explicit BlockingSocket(int fd) : fd_(fd) {}
  int fd_;
};

// Which of many sockets have something to read. Sockets must outlive the poller or be removed first.
class SocketPoller {
 public:
  SocketPoller();
  ~SocketPoller();
  void Add(BlockingSocket* socket, uint32_t tag, bool want_write = false);
  void Change(BlockingSocket* socket, uint32_t tag, bool want_write);
  void Remove(BlockingSocket* socket);
  // Tags of the sockets that are ready, at most ready.size(); 0 when the time is over.
  size_t Wait(std::span<uint32_t> ready, int64_t timeout_ms);

 private:
  int fd_;
};

}  // namespace quipu::rt
