#include "server/wire_resp.h"

#include <charconv>

#include "rt/host.h"

namespace quipu::server {
namespace {

constexpr size_t kPasswordBytesMax = 4096;

Result<std::string> ReadPassword(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(std::string text, rt::ReadWholeFile(path, kPasswordBytesMax));
  text.resize(std::min(text.size(), text.find_first_of("\r\n")));
  if (text.empty()) return Status(Code::kInvalidArgument, fmt::format("{}: its first line is empty", path));
  return text;
}

int PortOf(std::string_view address) {
  int port = 0;
  const std::string_view digits = address.substr(address.rfind(':') + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return port;
}

resp::ProcessUsage ReadUsage() {
  const rt::ProcessFigures f = rt::ReadProcessFigures();
  return {.process_id = f.process_id,
          .resident_bytes = f.resident_bytes,
          .resident_bytes_peak = f.resident_bytes_peak,
          .cpu_user_us = f.cpu_user_us,
          .cpu_system_us = f.cpu_system_us};
}

}  // namespace

// Ordinary ends of connections are no news; the others are one line a second at most.
class RespPort::Observer final : public resp::RespObserver {
 public:
  Observer(rt::Loop* loop, Log* log) : loop_(loop), log_(log) {}

  void OnClosed(std::string_view peer, std::string_view reason) override {
    if (reason != "protocol_error" && reason != "output_limit") return;
    Warn(&closed_, "resp.connection_closed", "a connection was closed", peer, reason);
  }
  void OnRefused(std::string_view peer, std::string_view reason) override {
    Warn(&refused_, "resp.connection_refused", "a connection was refused", peer, reason);
  }
  void OnAuthFailed(std::string_view peer) override {
    Warn(&auth_failed_, "resp.auth_failed", "a wrong password was given", peer, "auth");
  }

 private:
  void Warn(LogLimit* limit, std::string_view event, std::string_view message, std::string_view peer,
            std::string_view reason) {
    uint64_t suppressed = 0;
    if (!limit->Allow(loop_->MonoMicros(), &suppressed)) return;
    log_->Write(LogLevel::kWarn, event, message,
                {{"protocol", "resp"},
                 {"peer", std::string(peer)},
                 {"reason", std::string(reason)},
                 {"suppressed", std::to_string(suppressed)}});
  }

  rt::Loop* loop_;
  Log* log_;
  LogLimit closed_, refused_, auth_failed_;
};

RespPort::~RespPort() = default;

Result<RespPort::Shared> RespPort::MakeShared(const Config& config, rt::Random* random, size_t loops) {
  Shared shared{.password = "", .run_id = "", .loops = loops, .connections_max = config.connections_max};
  if (!config.password_file.empty()) {
    QUIPU_ASSIGN_OR_RETURN(shared.password, ReadPassword(config.password_file));
  }
  shared.run_id = fmt::format("{:016x}{:016x}{:08x}", random->Next(), random->Next(), random->Next() >> 32);
  return shared;
}

RespPort::RespPort(const Config& config, const Shared& shared, size_t i, rt::Loop* loop, store::EventStore* store,
                   Log* log)
    : observer_(std::make_unique<Observer>(loop, log)) {
  resp::RespOptions options;
  options.databases = config.databases;
  options.allow_flush = config.allow_flush;
  options.password = shared.password;
  options.protected_mode = !config.allow_anonymous;
  options.connections_max = std::max<size_t>(1, shared.connections_max / shared.loops);
  options.output_soft_bytes = config.output_soft_bytes;
  options.output_soft_us = config.output_soft_us;
  options.output_hard_bytes = config.output_hard_bytes;
  options.version = QUIPU_VERSION;
  options.executable = rt::ExecutablePath();
  options.run_id = shared.run_id;
  options.first_client_id = i + 1;
  options.client_id_step = shared.loops;
  options.usage = &ReadUsage;
  server_ = std::make_unique<resp::RespServer>(loop, store, std::move(options), observer_.get());
}

Status RespPort::Listen(const std::string& address) {
  QUIPU_RETURN_IF_ERROR(server_->Listen(address));
  server_->options().tcp_port = PortOf(this->address());
  return OkStatus();
}

}  // namespace quipu::server
