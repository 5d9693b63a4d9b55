#include "cli/session.h"

#include "model/namespace.h"
#include "model/token.h"
#include "rt/host.h"

namespace quipu::cli {
namespace {

constexpr size_t kPasswordBytesMax = 4096;
constexpr const char* kTimeoutDefault = "10s";

// The first line of the file.
Result<std::string> ReadPassword(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(const std::unique_ptr<rt::ByteInput> in, rt::ByteInput::Open(path));
  std::string text(kPasswordBytesMax, '\0');
  QUIPU_ASSIGN_OR_RETURN(const size_t n, in->Read(text));
  text.resize(std::min(n, text.find_first_of("\r\n")));
  if (text.empty())
    return Status(Code::kInvalidArgument, fmt::format("password file {}: its first line is empty", path));
  return text;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::Make(const CommonOptions& options) {
  std::unique_ptr<Session> s(new Session());
  QUIPU_ASSIGN_OR_RETURN(s->format_, ParseOutputFormat(options.json ? "json" : options.output));
  const std::string timeout = options.timeout.value_or(kTimeoutDefault);
  const Result<int64_t> timeout_us = ParseDurationMicros(timeout);
  if (!timeout_us.ok()) {
    return Status(Code::kInvalidArgument, fmt::format("--timeout {}: {}", timeout, timeout_us.status().message()));
  }
  s->timeout_us_ = *timeout_us;
  if (s->timeout_us_ <= 0) {
    return Status(Code::kInvalidArgument, fmt::format("--timeout {}: must be more than 0", timeout));
  }
  s->connection_.address = options.address;
  s->connection_.ns = options.ns;
  s->connection_.user = options.user;
  if (!options.password_file.empty()) {
    QUIPU_ASSIGN_OR_RETURN(s->connection_.password, ReadPassword(options.password_file));
  }
  s->client_ = std::make_unique<client::RespClient>(s->connection_, &s->clock_);
  return s;
}

std::string Session::NewToken() { return MakeUuidV7(clock_.WallMicros() / 1000, random_.Next(), random_.Next()); }

Result<client::Reply> Session::CallWithRetry(std::span<const std::string_view> arguments) {
  const int64_t deadline = Deadline();
  client::Reply answer;
  const client::RetryHost host{.clock = &clock_, .random = &random_, .pause = &rt::PauseMicros};
  const Status status = client::RetryCall({}, host, deadline, [&]() -> Status {
    QUIPU_ASSIGN_OR_RETURN(answer, client_->Call(arguments, deadline));
    return OkStatus();
  });
  if (!status.ok()) return status;
  return answer;
}

}  // namespace quipu::cli
