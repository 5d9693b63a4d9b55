// A command's view of the server: where it is, how long to wait, how to show results; and the connection, made on first
// use. Holds the clock, the randomness and the pauses that retries need.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "cli/output.h"
#include "client/resp_client.h"
#include "client/retry.h"
#include "rt/real_clock.h"
#include "rt/real_random.h"

namespace quipu::cli {

// The options that every command has.
struct CommonOptions {
  std::string address = "127.0.0.1:7379";
  std::string ns;
  std::optional<std::string> timeout;  // default: 10s
  std::string output = "table";
  bool json = false;
  std::string user;
  std::string password_file;
};

class Session {
 public:
  // kInvalidArgument for an option that does not parse, kNotFound for a missing password file.
  static Result<std::unique_ptr<Session>> Make(const CommonOptions& options);

  OutputFormat format() const { return format_; }
  client::RespClient& client() { return *client_; }
  const client::RespOptions& connection() const { return connection_; }
  rt::RealClock& clock() { return clock_; }
  rt::RealRandom& random() { return random_; }
  int64_t timeout_us() const { return timeout_us_; }
  int64_t Deadline() const { return clock_.MonoMicros() + timeout_us_; }
  std::string NewToken();

  // One call, repeated as client::RetryCall allows: for reads, and for mutations that carry a token.
  Result<client::Reply> CallWithRetry(std::span<const std::string_view> arguments);
  Result<client::Reply> CallWithRetry(std::initializer_list<std::string_view> arguments) {
    return CallWithRetry(std::span(arguments.begin(), arguments.size()));
  }

 private:
  Session() = default;
  OutputFormat format_ = OutputFormat::kTable;
  int64_t timeout_us_ = 0;
  client::RespOptions connection_;
  rt::RealClock clock_;
  rt::RealRandom random_;
  std::unique_ptr<client::RespClient> client_;
};

}  // namespace quipu::cli
