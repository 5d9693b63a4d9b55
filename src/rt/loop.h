// The shard's loop: sockets, timers, messages from other threads, completions. One thread runs it; everything that a
// shard owns is touched only there. A turn is: wait, dispatch what is ready, then the turn hooks in the order of their
// registration. Hooks are where work gathered over the turn becomes one write: the journal commits, then sockets flush.
//
// Threads   Post and Stop from any thread; all else on the loop's own thread (or before Run).
// Lifetime  Handlers, timers and hooks belong to the caller and must be cancelled or outlive the loop's run.
// Errors    None on the loop itself: a loop that cannot wait is a broken invariant and stops the process.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "rt/clock.h"

namespace quipu::rt {

// A timer, armed by Loop::Arm. Fires once. Must be disarmed before it is destroyed.
struct Timer {
  std::function<void()> on_fire;
  int64_t due_mono_us = 0;  // for the loop
  bool armed = false;       // for the loop
  size_t heap_slot = 0;     // for the loop
};

// One connected stream. Owned by the handler; closing is destruction.
class Socket {
 public:
  enum class Io : uint8_t { kOk, kWouldBlock, kClosed };  // kClosed: end of stream (read) or broken (read, write)
  struct IoResult {
    Io io = Io::kOk;
    size_t bytes = 0;  // with kOk: at least 1 for Read, 0..size for Write
  };
  virtual IoResult Read(std::span<char> into) = 0;
  virtual IoResult Write(std::span<const char> data) = 0;
  // Level-triggered interest. A fresh socket wants reads and no writes.
  virtual void SetInterest(bool read, bool write) = 0;
  // Half-close: no more from us.
  virtual void ShutdownWrite() = 0;
  virtual std::string peer_address() const = 0;   // "127.0.0.1:5000", "[::1]:5000" or "unix:PATH"
  virtual std::string local_address() const = 0;
  virtual bool peer_is_loopback() const = 0;
  virtual ~Socket() = default;
};

class SocketHandler {
 public:
  virtual void OnReadable() = 0;
  virtual void OnWritable() = 0;
  virtual ~SocketHandler() = default;
};

class AcceptHandler {
 public:
  // The callee takes the socket and calls Loop::Watch, or drops it to refuse.
  virtual void OnAccept(std::unique_ptr<Socket> socket) = 0;
  virtual ~AcceptHandler() = default;
};

// Listening until destroyed.
class Listener {
 public:
  virtual std::string address() const = 0;  // with the real port when 0 was asked for
  virtual ~Listener() = default;
};

class TurnHook {
 public:
  virtual void OnTurnEnd() = 0;
  virtual ~TurnHook() = default;
};

// The journal's next segment must not wait behind a settle that takes seconds: hence two threads, each started on
// first use.
enum class Worker : uint8_t {
  kFiles,   // short: laying out and recycling files
  kSettle,  // long: settling, compaction, scans; runs at low priority
};

class Loop {
 public:
  // The clocks as read once this turn.
  virtual int64_t WallMicros() const = 0;
  virtual int64_t MonoMicros() const = 0;

  // Arm replaces an earlier due time. Fires on the loop at or after mono time `due`.
  virtual void Arm(Timer* timer, int64_t due_mono_us) = 0;
  virtual void Disarm(Timer* timer) = 0;

  // Runs fn on the loop in a later step of this or the next turn. From any thread; wakes the loop. FIFO per caller.
  virtual void Post(std::function<void()> fn) = 0;
  // Runs `job` on one of the loop's worker threads (each one's jobs in order) and then `done` on the loop. For blocking
  // work only.
  virtual void RunOnWorker(Worker worker, std::function<void()> job, std::function<void()> done) = 0;

  virtual void AddTurnHook(TurnHook* hook) = 0;
  virtual void RemoveTurnHook(TurnHook* hook) = 0;

  // "127.0.0.1:7379", "[::]:0", "unix:/run/x.sock". kInvalidArgument (address), kUnavailable (in use, no permission).
  virtual Result<std::unique_ptr<Listener>> Listen(const std::string& address, AcceptHandler* handler) = 0;
  // Attaches the handler to a socket made by this loop; events begin with the next turn.
  virtual void Watch(Socket* socket, SocketHandler* handler) = 0;

  // Until Stop. Timers, posts and completions that are pending then do not run.
  virtual void Run() = 0;
  virtual void Stop() = 0;
  virtual ~Loop() = default;
};

}  // namespace quipu::rt
