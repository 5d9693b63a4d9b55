// Makes the Redis port from the configuration, and turns its events into log lines.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "gateway/resp/server.h"
#include "rt/loop.h"
#include "rt/random.h"
#include "server/config.h"
#include "server/log.h"
#include "store/event_store.h"

namespace quipu::server {

class RespPort {
 public:
  // What the ports of several loops have in common.
  struct Shared {
    std::string password;  // from the file; empty: none
    std::string run_id;
    size_t loops = 1;
    size_t connections_max = 0;  // of all loops together
  };
  // kNotFound, kInvalidArgument: the password file.
  static Result<Shared> MakeShared(const Config& config, rt::Random* random, size_t loops);

  // The port of the i-th loop, which must not run yet.
  RespPort(const Config& config, const Shared& shared, size_t i, rt::Loop* loop, store::EventStore* store, Log* log);
  ~RespPort();
  // kInvalidArgument, kUnavailable: in use, not allowed.
  Status Listen(const std::string& address);
  std::string address() const { return server_->addresses().front(); }
  resp::RespServer& server() { return *server_; }

 private:
  class Observer;
  std::unique_ptr<Observer> observer_;
  std::unique_ptr<resp::RespServer> server_;
};

}  // namespace quipu::server
