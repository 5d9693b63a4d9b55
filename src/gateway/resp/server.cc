#include "gateway/resp/server.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::resp {
namespace {

constexpr int64_t kTickMicros = 250'000;
constexpr int64_t kSampleMicros = 1'000'000;
constexpr size_t kErrorWordsMax = 64;
constexpr std::string_view kDenied =
    "-DENIED no password is set, so only connections from this host are accepted. Set auth.password_file, or connect "
    "over loopback.\r\n";

RespObserver* NoObserver() {
  static RespObserver none;
  return &none;
}

}  // namespace

RespServer::RespServer(rt::Loop* loop, store::EventStore* store, RespOptions options, RespObserver* observer)
    : loop_(loop),
      store_(store),
      options_(std::move(options)),
      observer_(observer == nullptr ? NoObserver() : observer),
      opened_us_(loop->MonoMicros()),
      next_client_id_(options_.first_client_id),
      sampled_us_(opened_us_) {
  stats_.by_command.resize(CommandTable::Get().size());
  timer_.on_fire = [this] { Tick(); };
  loop_->AddTurnHook(this);
  loop_->Arm(&timer_, opened_us_ + kTickMicros);
}

RespServer::~RespServer() {
  loop_->Disarm(&timer_);
  loop_->RemoveTurnHook(this);
}

Status RespServer::Listen(const std::string& address) {
  Result<std::unique_ptr<rt::Listener>> listener = loop_->Listen(address, this);
  if (!listener.ok()) return listener.status();
  listeners_.push_back(std::move(*listener));
  return OkStatus();
}

std::vector<std::string> RespServer::addresses() const {
  std::vector<std::string> all;
  for (const auto& listener : listeners_) all.push_back(listener->address());
  return all;
}

void RespServer::Close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  listeners_.clear();
  for (Connection* c : ConnectionsById()) c->FinishAfterReplies("shutdown");
  loop_->Post([this] { Reap(); });
}

void RespServer::OnAccept(std::unique_ptr<rt::Socket> socket) {
  ++stats_.connections_received;
  std::string peer = socket->peer_address();
  std::string_view refusal;
  std::string_view reason;
  if (connections_.size() >= options_.connections_max) {
    refusal = "-ERR max number of clients reached\r\n";
    reason = "max_clients";
  } else if (options_.protected_mode && options_.password.empty() && !socket->peer_is_loopback()) {
    refusal = kDenied;
    reason = "protected_mode";
  }
  if (closing_ || !refusal.empty()) {
    ++stats_.connections_rejected;
    if (!refusal.empty()) {
      socket->Write(std::span<const char>(refusal.data(), refusal.size()));
      observer_->OnRefused(peer, reason);
    }
    return;
  }
  uint64_t id = next_client_id_;
  next_client_id_ += options_.client_id_step;
  rt::Socket* raw = socket.get();
  auto connection = std::make_unique<Connection>(this, std::move(socket), id);
  loop_->Watch(raw, connection.get());
  connections_.emplace(id, std::move(connection));
  observer_->OnOpened(peer);
}

void RespServer::OnTurnEnd() {
  flushing_.swap(dirty_);
  for (Connection* c : flushing_) {
    c->dirty = false;
    c->Flush();
  }
  flushing_.clear();
  Reap();
}

void RespServer::Closed(Connection* connection) {
  auto it = connections_.find(connection->identity().id);
  QUIPU_ASSERT(it != connections_.end(), "connection {} closes twice", connection->identity().id);
  closed_connections_.push_back(std::move(it->second));
  connections_.erase(it);
}

void RespServer::Reap() {
  std::erase_if(closed_connections_, [](const auto& c) { return c->idle_at_store() && !c->dirty; });
  if (closing_ && closed_ && connections_.empty() && closed_connections_.empty()) std::exchange(closed_, nullptr)();
}

void RespServer::SampleOps() {
  sampled_us_ = loop_->MonoMicros();
  sampled_commands_ = stats_.commands;
}

void RespServer::Tick() {
  int64_t now = loop_->MonoMicros();
  if (now - sampled_us_ >= kSampleMicros) {
    auto commands = static_cast<int64_t>(stats_.commands - sampled_commands_);
    ops_per_second_ = commands * 1'000'000 / (now - sampled_us_);
    SampleOps();
  }
  for (Connection* c : ConnectionsById()) c->Tick(now);
  loop_->Arm(&timer_, now + kTickMicros);
}

std::vector<Connection*> RespServer::ConnectionsById() const {
  std::vector<Connection*> all;
  all.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) all.push_back(connection.get());
  std::sort(all.begin(), all.end(), [](auto a, auto b) { return a->identity().id < b->identity().id; });
  return all;
}

Connection* RespServer::Find(uint64_t id) const {
  auto it = connections_.find(id);
  return it == connections_.end() ? nullptr : it->second.get();
}

void RespServer::CountError(std::string_view text) {
  ++stats_.errors;
  std::string_view word = text.substr(0, text.find(' '));
  auto it = stats_.errors_by_word.find(word);
  if (it != stats_.errors_by_word.end())
    ++it->second;
  else if (stats_.errors_by_word.size() < kErrorWordsMax)
    stats_.errors_by_word.emplace(word, 1);
}

void RespServer::AddSlow(SlowEntry entry) {
  entry.id = next_slow_id_++;
  slowlog_.push_front(std::move(entry));
  while (slowlog_.size() > options_.slowlog_entries_max) slowlog_.pop_back();
}

Work* RespServer::TakeWork() {
  if (free_works_.empty()) {
    works_.push_back(std::make_unique<Work>());
    return works_.back().get();
  }
  Work* work = free_works_.back();
  free_works_.pop_back();
  return work;
}

void RespServer::GiveWork(Work* work) {
  work->Reset();
  free_works_.push_back(work);
}

Commit* RespServer::TakeCommit() {
  if (free_commits_.empty()) {
    commits_.push_back(std::make_unique<Commit>());
    return commits_.back().get();
  }
  Commit* commit = free_commits_.back();
  free_commits_.pop_back();
  commit->next = nullptr;
  commit->done = false;
  return commit;
}

void RespServer::GiveCommit(Commit* commit) { free_commits_.push_back(commit); }

}  // namespace quipu::resp
