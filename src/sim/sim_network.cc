#include "sim/sim_network.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/assert.h"

namespace quipu::sim {
namespace {

// One direction of a connection, as its reader sees it.
struct Pipe {
  std::string arrived;
  size_t travelling = 0;
  int64_t last_arrival_us = 0;
  bool finished = false;  // the writer said so
  bool fin_arrived = false;
};

}  // namespace

struct SimConnection {
  uint64_t number = 0;
  std::string local, peer;
  Pipe to_server, to_client;
  std::string client_waiting;  // sent by the client, no room yet
  bool client_finishing = false;
  bool client_reads = true;
  bool client_gone = false;
  bool server_gone = false;
  bool reset = false;

  Pipe& pipe(bool server_side) { return server_side ? to_server : to_client; }
};

class SimSocket final : public rt::Socket {
 public:
  SimSocket(SimNetwork* network, std::shared_ptr<SimConnection> connection)
      : network_(network), c_(std::move(connection)) {}
  ~SimSocket() override {
    network_->watched_.erase(c_->number);
    c_->server_gone = true;
    if (!c_->to_server.arrived.empty()) c_->reset = true;  // as a kernel does that has unread bytes
    network_->Finish(c_, false);
  }

  IoResult Read(std::span<char> into) override {
    if (c_->reset) return {.io = Io::kClosed};
    Pipe& pipe = c_->to_server;
    if (pipe.arrived.empty()) return {.io = pipe.fin_arrived ? Io::kClosed : Io::kWouldBlock};
    const size_t n = std::min(into.size(), pipe.arrived.size());
    std::memcpy(into.data(), pipe.arrived.data(), n);
    pipe.arrived.erase(0, n);
    network_->PumpClient(c_);
    return {.io = Io::kOk, .bytes = n};
  }
  IoResult Write(std::span<const char> data) override {
    if (c_->reset || c_->client_gone || c_->to_client.finished) return {.io = Io::kClosed};
    const size_t n = std::min(data.size(), Room());
    if (n == 0 && !data.empty()) return {.io = Io::kWouldBlock};
    network_->Carry(c_, false, {data.data(), n});
    return {.io = Io::kOk, .bytes = n};
  }
  void SetInterest(bool read, bool write) override {
    wants_read_ = read;
    wants_write_ = write;
  }
  void ShutdownWrite() override { network_->Finish(c_, false); }
  std::string peer_address() const override { return c_->peer; }
  std::string local_address() const override { return c_->local; }
  bool peer_is_loopback() const override {
    return c_->peer.starts_with("127.") || c_->peer.starts_with("[::1]") || c_->peer.starts_with("unix:");
  }

  uint64_t number() const { return c_->number; }
  bool Readable() const {
    return wants_read_ && (c_->reset || !c_->to_server.arrived.empty() || c_->to_server.fin_arrived);
  }
  bool Writable() const { return wants_write_ && (c_->reset || c_->client_gone || Room() > 0); }

 private:
  size_t Room() const {
    const size_t used = c_->to_client.arrived.size() + c_->to_client.travelling;
    return network_->plan_.buffer_bytes - std::min(network_->plan_.buffer_bytes, used);
  }

  SimNetwork* const network_;
  const std::shared_ptr<SimConnection> c_;
  bool wants_read_ = true;
  bool wants_write_ = false;
};

class SimListener final : public rt::Listener {
 public:
  SimListener(SimNetwork* network, std::string address) : network_(network), address_(std::move(address)) {}
  ~SimListener() override { network_->listeners_.erase(address_); }
  std::string address() const override { return address_; }

 private:
  SimNetwork* const network_;
  const std::string address_;
};

SimClient::SimClient(SimNetwork* network, std::shared_ptr<SimConnection> connection)
    : network_(network), connection_(std::move(connection)) {}

SimClient::~SimClient() {
  connection_->client_gone = true;
  if (!connection_->to_server.finished || !connection_->server_gone) connection_->reset = true;
}

void SimClient::Send(std::string_view bytes) {
  QUIPU_ASSERT(!connection_->client_finishing, "Send after ShutdownWrite");
  connection_->client_waiting += bytes;
  network_->PumpClient(connection_);
}

std::string SimClient::Take() {
  return connection_->client_reads ? std::exchange(connection_->to_client.arrived, "") : "";
}

void SimClient::ShutdownWrite() {
  connection_->client_finishing = true;
  network_->PumpClient(connection_);
}

void SimClient::Reset() { connection_->reset = true; }

void SimClient::SetReading(bool reading) { connection_->client_reads = reading; }

bool SimClient::closed() const { return connection_->to_client.fin_arrived; }

bool SimClient::reset() const { return connection_->reset; }

SimNetwork::SimNetwork(SimLoop* loop, uint64_t seed) : loop_(loop), random_(seed, "network") {
  loop_->SetNetwork(this);
}

SimNetwork::~SimNetwork() { loop_->SetNetwork(nullptr); }

std::unique_ptr<SimClient> SimNetwork::Connect(const std::string& address, const std::string& peer_address) {
  auto connection = std::make_shared<SimConnection>();
  connection->number = next_connection_++;
  connection->local = address;
  connection->peer = peer_address;
  const int64_t at = ArrivalTime(connection.get(), true);
  loop_->At(at, SimLoop::Life::kWorld, [this, connection] {
    auto it = listeners_.find(connection->local);
    if (it == listeners_.end()) {
      connection->reset = true;
      return;
    }
    it->second->OnAccept(std::make_unique<SimSocket>(this, connection));
  });
  return std::unique_ptr<SimClient>(new SimClient(this, std::move(connection)));
}

int64_t SimNetwork::ArrivalTime(SimConnection* connection, bool to_server) {
  Pipe& pipe = connection->pipe(to_server);
  pipe.last_arrival_us =
      std::max(pipe.last_arrival_us, loop_->MonoMicros() + random_.Between(plan_.delay_min_us, plan_.delay_max_us));
  return pipe.last_arrival_us;
}

void SimNetwork::Carry(const std::shared_ptr<SimConnection>& connection, bool to_server, std::string_view bytes) {
  Pipe& pipe = connection->pipe(to_server);
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), static_cast<size_t>(1 + random_.Below(plan_.piece_bytes_max)));
    const bool reset = random_.Chance(plan_.reset);
    pipe.travelling += n;
    loop_->At(ArrivalTime(connection.get(), to_server), SimLoop::Life::kWorld,
              [connection, to_server, reset, piece = std::string(bytes.substr(0, n))] {
                Pipe& p = connection->pipe(to_server);
                p.travelling -= piece.size();
                if (reset) connection->reset = true;
                if (!connection->reset) p.arrived += piece;
              });
    bytes.remove_prefix(n);
  }
}

void SimNetwork::Finish(const std::shared_ptr<SimConnection>& connection, bool to_server) {
  Pipe& pipe = connection->pipe(to_server);
  if (std::exchange(pipe.finished, true)) return;
  loop_->At(ArrivalTime(connection.get(), to_server), SimLoop::Life::kWorld,
            [connection, to_server] { connection->pipe(to_server).fin_arrived = true; });
}

void SimNetwork::PumpClient(const std::shared_ptr<SimConnection>& connection) {
  const size_t used = connection->to_server.arrived.size() + connection->to_server.travelling;
  const size_t n = std::min(connection->client_waiting.size(), plan_.buffer_bytes - std::min(plan_.buffer_bytes, used));
  Carry(connection, true, std::string_view(connection->client_waiting).substr(0, n));
  connection->client_waiting.erase(0, n);
  if (connection->client_finishing && connection->client_waiting.empty()) Finish(connection, true);
}

bool SimNetwork::AnyReady() const {
  return std::any_of(watched_.begin(), watched_.end(),
                     [](const auto& w) { return w.second.socket->Readable() || w.second.socket->Writable(); });
}

void SimNetwork::Dispatch() {
  std::vector<uint64_t> ready;
  for (const auto& [number, watched] : watched_) {
    if (watched.socket->Readable() || watched.socket->Writable()) ready.push_back(number);
  }
  for (uint64_t number : ready) {
    // A handler may close any socket, its own too.
    auto it = watched_.find(number);
    if (it != watched_.end() && it->second.socket->Readable()) it->second.handler->OnReadable();
    it = watched_.find(number);
    if (it != watched_.end() && it->second.socket->Writable()) it->second.handler->OnWritable();
  }
}

Result<std::unique_ptr<rt::Listener>> SimNetwork::Listen(const std::string& address, rt::AcceptHandler* handler) {
  std::string full = address;
  if (full.ends_with(":0")) full = full.substr(0, full.size() - 1) + std::to_string(next_port_++);
  if (!listeners_.emplace(full, handler).second) {
    return Status(Code::kUnavailable, fmt::format("listen {}: EADDRINUSE", address));
  }
  return std::unique_ptr<rt::Listener>(std::make_unique<SimListener>(this, full));
}

void SimNetwork::Watch(rt::Socket* socket, rt::SocketHandler* handler) {
  auto* sim_socket = dynamic_cast<SimSocket*>(socket);
  QUIPU_ASSERT(sim_socket != nullptr, "a socket from elsewhere");
  watched_[sim_socket->number()] = {.socket = sim_socket, .handler = handler};
}

}  // namespace quipu::sim
