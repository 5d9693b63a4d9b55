// The life of the server: open the store, listen, run until told to stop, drain, close.
//
// The first SIGTERM or SIGINT stops accepting, answers what is in flight, closes the store and ends with kDone; a
// second one ends the process at once, which is as safe as a crash. A fenced store ends it too.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "server/config.h"

namespace quipu::server {

enum class ServeEnd : uint8_t {
  kDone,
  kConfig,   // a password file that cannot be read, another data format
  kDamaged,  // the data
  kLocked,   // another process has the data directory
  kOs,       // the address, or the system
  kIo,       // a write or sync failed; restart recovers
};

struct ServeResult {
  ServeEnd end = ServeEnd::kDone;
  Status status;  // why, unless kDone
};

struct ServeHooks {
  // Told the address once it listens.
  std::function<void(const std::string& address)> on_ready;
  // The configuration as it is written now. SIGHUP asks for it and takes it as a whole or not at all: `log.level`
  // changes, any other key that differs is named in the log and keeps its value until a restart.
  std::function<Result<LoadedConfig>()> reload;
};
ServeResult Serve(const LoadedConfig& loaded, const ServeHooks& hooks);

}  // namespace quipu::server
