// serve: the server itself, in this process.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "rt/host.h"
#include "server/serve.h"

namespace quipu::cli {
namespace {

constexpr std::string_view kDefaultAddress = "127.0.0.1:7379";

ExitCode ExitCodeOf(server::ServeEnd end) {
  switch (end) {
    case server::ServeEnd::kDone:
      return kExitDone;
    case server::ServeEnd::kConfig:
      return kExitConfig;
    case server::ServeEnd::kDamaged:
      return kExitDamaged;
    case server::ServeEnd::kLocked:
      return kExitLocked;
    case server::ServeEnd::kOs:
      return kExitOs;
    case server::ServeEnd::kIo:
      return kExitIo;
  }
  return kExitFailure;
}

void SayHowToBegin(const std::string& address) {
  const bool usual = address == kDefaultAddress;
  const std::string_view port = std::string_view(address).substr(address.rfind(':') + 1);
  const std::string redis =
      address.starts_with("unix:") ? fmt::format("-s {}", address.substr(5)) : fmt::format("-p {}", port);
  const std::string at = usual ? "" : fmt::format(" --address {}", address);
  const std::string quipu = rt::CommandName();
  Say(fmt::format("Quipu serves the Redis protocol on {}. Try:", address));
  Say(fmt::format("  redis-cli {} incr hello", redis));
  Say(fmt::format("  {} add hello{}", quipu, at));
  Say(fmt::format("  {} import --format clf --key 'path:{{path}}' --time time examples/access.log{}", quipu, at));
}

}  // namespace

int RunServe(const ConfigOptions& options, bool dev) {
  ConfigOptions effective = options;
  std::string throw_away;
  if (dev) {
    Result<std::string> made = rt::MakeTemporaryDir("quipu-dev");
    if (!made.ok()) return FailConfig({std::string(made.status().message())});
    throw_away = *std::move(made);
    effective.flags.push_back("--data_dir=" + throw_away);
  }
  const Result<server::LoadedConfig> loaded = LoadConfigForCommand(effective);
  int code = kExitConfig;
  if (!loaded.ok()) {
    FailConfig({std::string(loaded.status().message())});
  } else if (!loaded->problems.empty()) {
    FailConfig(loaded->problems);
  } else {
    const server::ServeResult result = server::Serve(
        *loaded, {.on_ready = &SayHowToBegin, .reload = [&effective] { return LoadConfigForCommand(effective); }});
    if (!result.status.ok()) Say(fmt::format("quipu: {}", Printable(result.status.ToString())));
    code = ExitCodeOf(result.end);
    if (code == kExitLocked) {
      Say("quipu: one process at a time has a data directory; stop the other one, or give this one its own --data_dir");
    }
  }
  if (dev) rt::RemoveTree(throw_away).Ignore("it lies in the system's place for temporary files");
  return code;
}

}  // namespace quipu::cli
