// What an operation costs in instructions, for callgrind: the production path from the bytes of a socket read to the
// bytes of its replies, through connection, shard and journal, and the settling of what was added. One thread, a clock
// and a disk that make no difference (still_world.h), so that the counts do not depend on the machine's speed.
//
// Usage    add_cost DIR     DIR must not exist. bench/cost.py runs it under callgrind and reads what it dumps.
// Output   per case a line: name, number of operations. Under callgrind each case also dumps the cost of just itself,
//          with the name as its trigger.
// Checks   that each operation did what the case is about: an add counted, a replay found its token.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/still_world.h"
#include "gateway/resp/server.h"
#include "store/embedded/engine.h"

namespace quipu::bench {
namespace {

constexpr uint64_t kCounters = 100'000;
constexpr size_t kConnections = 10;
constexpr size_t kOps = 128 * kConnections * 40;  // in each case
constexpr size_t kScriptsSettled = 4;             // two events a counter, as after 2 M adds to 1 M counters
constexpr size_t kReplyBytes = 4;                 // at least, each

void Arg(std::string* out, std::string_view arg) { *out += fmt::format("${}\r\n{}\r\n", arg.size(), arg); }

// Requests as the load generator (load.cc) writes them.
class Requests {
 public:
  std::string Key(uint64_t i) { return fmt::format("key:{:012}", i); }
  void IncrBy(std::string* out, uint64_t key) {
    *out += "*3\r\n";
    Arg(out, "INCRBY");
    Arg(out, Key(key));
    Arg(out, "1");
  }
  void Get(std::string* out, uint64_t key) {
    *out += "*2\r\n";
    Arg(out, "GET");
    Arg(out, Key(key));
  }
  // With a fresh token, a UUIDv7 of this time.
  void Add(std::string* out, uint64_t key, int64_t wall_us) {
    *out += "*5\r\n";
    Arg(out, "QUIPU.ADD");
    Arg(out, Key(key));
    Arg(out, "1");
    Arg(out, "TOKEN");
    const uint64_t ms = static_cast<uint64_t>(wall_us / 1000), a = random_.Next(), b = random_.Next();
    Arg(out, fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", ms >> 16, ms & 0xffff, a & 0xfff, 0x8000 | (b >> 50),
                         b & 0xffff'ffff'ffff));
  }
  uint64_t AnyKey() { return random_.Next() % kCounters; }

 private:
  StillRandom random_;
};

// Many reads' worth of requests.
struct Script {
  std::string text;
  std::vector<size_t> ends;  // of each piece
};

class Machine {
 public:
  explicit Machine(const std::string& dir) {
    store::EngineOptions options;
    options.data_dir = dir;
    // Nothing is settled but by order.
    options.shard.settle_bytes = 1ull << 40;
    options.shard.settle_interval_us = int64_t{1} << 60;
    auto engine = store::Engine::Open(&disk_, &random_, {&loop_}, options);
    QUIPU_ASSERT(engine.ok(), "{}", engine.status().ToString());
    engine_ = std::move(*engine);
    server_ = std::make_unique<resp::RespServer>(&loop_, engine_->store(), resp::RespOptions{});
    loop_.AddTurnHook(server_.get());
    for (size_t i = 0; i < kConnections; ++i) {
      auto socket = std::make_unique<PlayedSocket>();
      sockets_.push_back(socket.get());
      server_->OnAccept(std::move(socket));
    }
  }

  template <class One>
  Script Write(size_t ops, size_t pipeline, One&& write_one) {
    Script script;
    for (size_t i = 0; i < ops; ++i) {
      write_one(&script.text, i);
      if ((i + 1) % pipeline == 0 || i + 1 == ops) script.ends.push_back(script.text.size());
    }
    return script;
  }
  Script WriteAdds(size_t pipeline) {
    return Write(kOps, pipeline,
                 [&](std::string* out, size_t) { requests.Add(out, requests.AnyKey(), loop_.WallMicros()); });
  }

  // Each turn every connection reads a piece; a few more and all is durable and answered.
  void Play(const Script& script) {
    size_t piece = 0, begin = 0;
    while (piece < script.ends.size()) {
      loop_.Turn([&] {
        for (size_t i = 0; i < kConnections && piece < script.ends.size(); ++i) {
          sockets_[i]->Play(std::string_view(script.text).substr(begin, script.ends[piece] - begin));
          begin = script.ends[piece++];
          loop_.handlers[i]->OnReadable();
        }
      });
    }
    for (int i = 0; i < 10; ++i) loop_.Turn([] {});
  }

  // Plays the script and has its cost dumped; checks how many adds and replays it made.
  void Measure(const char* name, const Script& script, uint64_t adds, uint64_t replays) {
    const store::StoreInfo before = engine_->store()->Info();
    const uint64_t written = Written();
    Counted(name, kOps, [&] { Play(script); });
    QUIPU_ASSERT(Written() - written >= kOps * kReplyBytes, "{}: {} bytes answer {} requests", name,
                 Written() - written, kOps);
    const store::StoreInfo after = engine_->store()->Info();
    QUIPU_ASSERT(after.adds - before.adds == adds, "{}: {} adds, not {}", name, after.adds - before.adds, adds);
    QUIPU_ASSERT(after.replays - before.replays == replays, "{}: {} replays, not {}", name,
                 after.replays - before.replays, replays);
    QUIPU_ASSERT(server_->stats().errors == 0, "{}: {} error replies", name, server_->stats().errors);
  }
  void MeasureSettle(const char* name) {
    Settle();
    for (size_t i = 0; i < kScriptsSettled; ++i) Play(WriteAdds(16));
    Counted(name, kOps * kScriptsSettled, [&] { Settle(); });
    const store::StoreInfo info = engine_->store()->Info();
    QUIPU_ASSERT(info.settled_position == info.durable_position, "{}: settled {} of {}", name, info.settled_position,
                 info.durable_position);
  }

  void Close() {
    bool closed = false;
    server_->Close([&] { closed = true; });
    loop_.TurnUntil(&closed);
    closed = false;
    engine_->store()->Close([&](Status s) { closed = s.ok(); });
    loop_.TurnUntil(&closed);
    loop_.RemoveTurnHook(server_.get());
  }

  Requests requests;

 private:
  template <class Body>
  void Counted(const char* name, size_t operations, Body&& body) {
    CALLGRIND_ZERO_STATS;
    CALLGRIND_START_INSTRUMENTATION;
    body();
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
    std::printf("%s %zu\n", name, operations);
  }
  void Settle() {
    bool settled = false;
    engine_->shard()->SettleNow([&](Status s) {
      QUIPU_ASSERT(s.ok(), "{}", s.ToString());
      settled = true;
    });
    loop_.TurnUntil(&settled);
  }
  uint64_t Written() const {
    uint64_t bytes = 0;
    for (const PlayedSocket* socket : sockets_) bytes += socket->written;
    return bytes;
  }

  StillLoop loop_;
  StillDisk disk_;
  StillRandom random_;
  std::unique_ptr<store::Engine> engine_;
  std::unique_ptr<resp::RespServer> server_;
  std::vector<PlayedSocket*> sockets_;
};

void Run(const std::string& dir) {
  Machine machine(dir);
  Requests& requests = machine.requests;
  const auto incr = [&](std::string* out, size_t) { requests.IncrBy(out, requests.AnyKey()); };
  const auto incr_one = [&](std::string* out, size_t) { requests.IncrBy(out, 7); };
  const auto get = [&](std::string* out, size_t) { requests.Get(out, requests.AnyKey()); };
  machine.Play(machine.Write(kCounters, 128, [&](std::string* out, size_t i) { requests.IncrBy(out, i); }));
  machine.Play(machine.WriteAdds(128));

  machine.Measure("incrby_16", machine.Write(kOps, 16, incr), kOps, 0);
  machine.Measure("incrby_128", machine.Write(kOps, 128, incr), kOps, 0);
  machine.Measure("incrby_hot_16", machine.Write(kOps, 16, incr_one), kOps, 0);
  machine.Measure("get_16", machine.Write(kOps, 16, get), 0, 0);
  machine.Measure("get_128", machine.Write(kOps, 128, get), 0, 0);
  const Script adds = machine.WriteAdds(16);
  machine.Measure("add_token_16", adds, kOps, 0);
  machine.Measure("replay_16", adds, 0, kOps);
  machine.Measure("add_token_128", machine.WriteAdds(128), kOps, 0);
  machine.MeasureSettle("settle_token");
  machine.Close();
}

}  // namespace
}  // namespace quipu::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: add_cost DIR\n");
    return 2;
  }
  quipu::bench::Run(argv[1]);
  return 0;
}
