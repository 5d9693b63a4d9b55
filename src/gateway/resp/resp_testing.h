// A server, a store in memory and clients on a simulated network: what the tests of this folder talk to.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/resp/server.h"
#include "sim/sim_clock.h"
#include "sim/sim_loop.h"
#include "sim/sim_network.h"
#include "store/memory/memory_store.h"

namespace quipu::resp {

// "\r\n" as "|", so that replies fit on a line.
inline std::string Readable(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bool line_end = bytes.substr(i, 2) == "\r\n";
    out += line_end ? '|' : bytes[i];
    i += line_end ? 1 : 0;
  }
  return out;
}

// A request in its multibulk form.
inline std::string Request(const std::vector<std::string>& args) {
  std::string out = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string& arg : args) out += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
  return out;
}

class Recorder final : public RespObserver {
 public:
  void OnOpened(std::string_view) override { ++opened; }
  void OnClosed(std::string_view, std::string_view reason) override { closed.emplace_back(reason); }
  void OnRefused(std::string_view, std::string_view reason) override { refused.emplace_back(reason); }
  void OnAuthFailed(std::string_view) override { ++auth_failed; }
  int opened = 0;
  int auth_failed = 0;
  std::vector<std::string> closed;
  std::vector<std::string> refused;
};

struct World {
  explicit World(RespOptions options = {}, uint64_t seed = 1)
      : loop(&clock, &trace, seed),
        network(&loop, seed),
        store(&loop),
        server(&loop, &store, std::move(options), &seen) {
    Status listening = server.Listen("127.0.0.1:0");
    QUIPU_ASSERT(listening.ok(), "{}", listening.ToString());
    client = Connect();
  }
  ~World() {
    bool closed = false;
    server.Close([&] { closed = true; });
    QUIPU_ASSERT(loop.RunUntil([&] { return closed; }, loop.MonoMicros() + 60'000'000), "connections never end");
  }

  std::unique_ptr<sim::SimClient> Connect(const std::string& peer = "127.0.0.1:40000") {
    return network.Connect(server.addresses()[0], peer);
  }
  // What comes back for these bytes within a while.
  std::string Exchange(sim::SimClient& with, std::string_view bytes) {
    with.Send(bytes);
    loop.RunFor(20'000);
    return Readable(with.Take());
  }
  // The reply to inline commands, one a line.
  std::string Ask(std::string_view commands) { return Ask(*client, commands); }
  std::string Ask(sim::SimClient& with, std::string_view commands) {
    return Exchange(with, std::string(commands) + "\r\n");
  }
  std::string AskArgs(const std::vector<std::string>& args) { return Exchange(*client, Request(args)); }

  sim::SimClock clock;
  sim::Trace trace;
  sim::SimLoop loop;
  sim::SimNetwork network;
  store::MemoryStore store;
  Recorder seen;
  RespServer server;
  std::unique_ptr<sim::SimClient> client;
};

}  // namespace quipu::resp
