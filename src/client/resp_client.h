// One connection to a server, used by a thread that waits. Connects on first use, and again after it was lost; greets
// the server (AUTH, namespace) each time. Says of every failed call whether anything of it was sent.
//
// Threads   One owner.
// Deadlines Each call has one, on Clock::MonoMicros; connecting and greeting count against it.
// Errors    kUnavailable: not connected, or nothing of the request left this process: surely not done.
//           kUnknownOutcome, kDeadlineExceeded: sent, at least in part, and no answer: may have been done.
//           Error replies by error_code.h. After a failed call the connection is closed; the next call connects anew.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/reply.h"
#include "rt/blocking_socket.h"
#include "rt/clock.h"

namespace quipu::client {

struct RespOptions {
  std::string address = "127.0.0.1:7379";
  std::string ns;        // sent as QUIPU.NS unless empty
  std::string password;  // sent as AUTH unless empty; either "SECRET" or, with `user`, AUTH user SECRET
  std::string user;
};

class RespClient {
 public:
  RespClient(RespOptions options, const rt::Clock* clock) : options_(std::move(options)), clock_(clock) {}

  // Sends one command and waits for its reply. An error reply is a Status here.
  Result<Reply> Call(std::span<const std::string_view> arguments, int64_t deadline_mono_us);
  Result<Reply> Call(std::initializer_list<std::string_view> arguments, int64_t deadline_mono_us) {
    return Call(std::span(arguments.begin(), arguments.size()), deadline_mono_us);
  }

  // Pipelining: Send several encoded commands, then Receive as many replies, in order. Error replies are values here.
  Status Send(std::string_view encoded, int64_t deadline_mono_us);
  Result<Reply> Receive(int64_t deadline_mono_us);

  bool connected() const { return socket_ != nullptr; }
  void Close();

 private:
  Status Connect(int64_t deadline_mono_us);
  Status Greet(std::initializer_list<std::string_view> arguments, int64_t deadline_mono_us);

  RespOptions options_;
  const rt::Clock* clock_;
  std::unique_ptr<rt::BlockingSocket> socket_;
  std::string in_;      // received and not parsed
  size_t in_used_ = 0;  // of which parsed
};

// Appends the command to *out as an array of bulks.
void EncodeCommand(std::span<const std::string_view> arguments, std::string* out);
// The two halves of it, for commands whose arguments are made one by one.
void EncodeArrayHeader(size_t count, std::string* out);
void EncodeBulk(std::string_view argument, std::string* out);

}  // namespace quipu::client
