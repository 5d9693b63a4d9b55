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
  // kNotFound, kInvalidArgument (password file). The loop must not run yet.
  static Result<std::unique_ptr<RespPort>> Make(const Config& config, rt::Loop* loop, rt::Random* random,
                                                store::EventStore* store, Log* log);
  // kInvalidArgument, kUnavailable: in use, not allowed.
  Status Listen(const std::string& address);
  std::string address() const { return server_->addresses().front(); }
  resp::RespServer& server() { return *server_; }

 private:
  class Observer;
  RespPort() = default;
  std::unique_ptr<Observer> observer_;
  std::unique_ptr<resp::RespServer> server_;

 public:
  ~RespPort();
};

}  // namespace quipu::server
