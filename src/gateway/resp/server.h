// The Redis port of one loop: accepts connections, keeps what they share (pools, statistics, slow log) and flushes
// them once a turn.
//
// Threads   The loop's. Lifetime: construct after the store (its turn hook must run before ours) and call Close,
//           wait for its callback, before destroying it.
// Errors    Listen: kInvalidArgument (address), kUnavailable (in use, no permission).
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/resp/connection.h"
#include "gateway/resp/options.h"
#include "rt/loop.h"
#include "store/event_store.h"

namespace quipu::resp {

struct CommandStats {
  uint64_t calls = 0;
  uint64_t rejected = 0;
  uint64_t failed = 0;
  uint64_t timed = 0;  // commands that `micros` is about
  int64_t micros = 0;
};

struct ServerStats {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t errors = 0;
  uint64_t commits = 0;  // batches submitted
  std::map<std::string, uint64_t, std::less<>> errors_by_word;
  std::vector<CommandStats> by_command;  // by CommandTable::IndexOf
};

struct SlowEntry {
  uint64_t id = 0;
  int64_t wall_s = 0;
  int64_t micros = 0;
  std::vector<std::string> args;
  std::string address;
  std::string client_name;
};

class RespServer final : public rt::AcceptHandler, public rt::TurnHook {
 public:
  RespServer(rt::Loop* loop, store::EventStore* store, RespOptions options, RespObserver* observer = nullptr);
  ~RespServer() override;

  Status Listen(const std::string& address);
  // Addresses listened at, with their real ports.
  std::vector<std::string> addresses() const;
  // Stops accepting and reading, sends the replies under way, then closes everything; `done` runs when nothing is
  // left, at the latest when the store has answered all it was asked.
  void Close(std::function<void()> done);

  void OnAccept(std::unique_ptr<rt::Socket> socket) override;
  void OnTurnEnd() override;

  // ---- for connections and handlers
  rt::Loop& loop() { return *loop_; }
  store::EventStore& store() { return *store_; }
  RespOptions& options() { return options_; }
  RespObserver& observer() { return *observer_; }
  ServerStats& stats() { return stats_; }
  std::deque<SlowEntry>& slowlog() { return slowlog_; }
  void AddSlow(SlowEntry entry);
  void CountError(std::string_view text);
  int64_t opened_us() const { return opened_us_; }
  int64_t ops_per_second() const { return ops_per_second_; }
  void SampleOps();  // begins a new interval for the above
  const std::unordered_map<uint64_t, std::unique_ptr<Connection>>& connections() const { return connections_; }
  // Ids in ascending order.
  std::vector<Connection*> ConnectionsById() const;
  Connection* Find(uint64_t id) const;
  void Closed(Connection* connection);

  BlockPool* blocks() { return &blocks_; }
  Work* TakeWork();
  void GiveWork(Work* work);
  Commit* TakeCommit();
  void GiveCommit(Commit* commit);
  void AddDirty(Connection* connection) { dirty_.push_back(connection); }

 private:
  void Tick();
  void Reap();

  rt::Loop* const loop_;
  store::EventStore* const store_;
  RespOptions options_;
  RespObserver* const observer_;
  ServerStats stats_;
  std::deque<SlowEntry> slowlog_;
  uint64_t next_slow_id_ = 0;
  int64_t opened_us_ = 0;
  uint64_t next_client_id_ = 0;
  bool closing_ = false;
  std::function<void()> closed_;
  rt::Timer timer_;
  int64_t sampled_us_ = 0;
  uint64_t sampled_commands_ = 0;
  int64_t ops_per_second_ = 0;

  BlockPool blocks_;
  std::vector<std::unique_ptr<Work>> works_;
  std::vector<Work*> free_works_;
  std::vector<std::unique_ptr<Commit>> commits_;
  std::vector<Commit*> free_commits_;
  std::vector<std::unique_ptr<rt::Listener>> listeners_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> closed_connections_;
  std::vector<Connection*> dirty_;
  std::vector<Connection*> flushing_;
};

}  // namespace quipu::resp
