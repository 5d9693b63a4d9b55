// Byte streams between a simulated server and its clients, with what networks do to them: delay, cuts at any byte,
// resets, half-closed and silent peers. The server's end is rt::Socket through SimLoop; the client's end is SimClient,
// for tests.
//
// Threads   One. A client may outlive the server's end and the other way round; both may be destroyed at any time.
// Memory    At most NetworkPlan::buffer_bytes a direction between Write and Read; what a client sends beyond it waits
// with
//           the client.
// Errors    None; a connection refused or reset shows as SimClient::reset().
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "sim/sim_loop.h"
#include "sim/sim_random.h"

namespace quipu::sim {

struct NetworkPlan {
  int64_t delay_min_us = 20;
  int64_t delay_max_us = 500;
  // Bytes travel in pieces of 1 to this many; 1 cuts at every byte.
  size_t piece_bytes_max = 65536;
  double reset = 0;  // probability per piece
  size_t buffer_bytes = 65536;
};

class SimNetwork;
struct SimConnection;

class SimClient {
 public:
  ~SimClient();  // resets the connection unless both ends closed it
  void Send(std::string_view bytes);
  // What arrived since the last call.
  std::string Take();
  // No more from the client; what it sent still arrives.
  void ShutdownWrite();
  void Reset();
  // While not reading, what the server writes fills the buffer and stays there.
  void SetReading(bool reading);
  // The server closed its direction and everything before that has arrived.
  bool closed() const;
  bool reset() const;

 private:
  friend class SimNetwork;
  SimClient(SimNetwork* network, std::shared_ptr<SimConnection> connection);
  SimNetwork* const network_;
  const std::shared_ptr<SimConnection> connection_;
};

class SimNetwork final : public SocketSource {
 public:
  SimNetwork(SimLoop* loop, uint64_t seed);
  ~SimNetwork() override;

  // A connection from `peer_address`, accepted after the delay, or reset if nobody listens at `address` then.
  std::unique_ptr<SimClient> Connect(const std::string& address, const std::string& peer_address = "127.0.0.1:40000");
  NetworkPlan& plan() { return plan_; }

  // ---- SocketSource
  bool AnyReady() const override;
  void Dispatch() override;
  Result<std::unique_ptr<rt::Listener>> Listen(const std::string& address, rt::AcceptHandler* handler) override;
  void Watch(rt::Socket* socket, rt::SocketHandler* handler) override;

 private:
  friend class SimClient;
  friend class SimSocket;
  friend class SimListener;
  struct Watched {
    class SimSocket* socket;
    rt::SocketHandler* handler;
  };

  // Sends bytes along one direction in pieces; the caller has checked that they fit.
  void Carry(const std::shared_ptr<SimConnection>& connection, bool to_server, std::string_view bytes);
  void Finish(const std::shared_ptr<SimConnection>& connection, bool to_server);
  void PumpClient(const std::shared_ptr<SimConnection>& connection);
  int64_t ArrivalTime(SimConnection* connection, bool to_server);

  SimLoop* const loop_;
  SimRandom random_;
  NetworkPlan plan_;
  std::map<std::string, rt::AcceptHandler*> listeners_;
  std::map<uint64_t, Watched> watched_;  // by connection number
  uint64_t next_connection_ = 1;
  int next_port_ = 20000;
};

}  // namespace quipu::sim
