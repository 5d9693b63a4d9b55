// A server driven by hand, with a store and a socket that cost nothing: for counting what the front end itself costs.
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gateway/resp/server.h"

namespace quipu::resp {

// Adds to `commands` counters, one request each.
inline std::string Pipeline(int commands) {
  std::string bytes;
  for (int i = 0; i < commands; ++i) {
    std::string key = "counter:" + std::to_string(i);
    bytes += "*3\r\n$6\r\nINCRBY\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n$1\r\n1\r\n";
  }
  return bytes;
}

// A store that says yes, a socket that gives the same bytes again and a loop that is called by hand.
class YesStore final : public store::EventStore {
 public:
  void Submit(store::Batch* batch) override {
    for (store::Op& op : batch->ops) {
      op.code = Code::kOk;
      op.value = op.delta;
    }
    batch->decided = true;
    submitted.push_back(batch);
  }
  void Done() {
    for (store::Batch* batch : submitted) {
      batch->status = OkStatus();
      batch->on_done(batch);
    }
    submitted.clear();
  }
  void Scan(store::ScanOp*) override {}
  void Events(store::EventsOp*) override {}
  void FindSources(store::SourceId, std::function<void(Result<std::vector<store::SourceState>>)>) override {}
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return nullptr; }
  void PutNamespace(const std::string&, uint64_t, const NamespaceSettings&,
                    std::function<void(Result<Namespace>)>) override {}
  uint64_t CountCounters(NamespaceId) const override { return 0; }
  store::StoreInfo Info() const override { return {}; }
  void Close(std::function<void(Status)>) override {}
  std::vector<store::Batch*> submitted;
};

class LoopedSocket final : public rt::Socket {
 public:
  explicit LoopedSocket(std::string bytes) : bytes_(std::move(bytes)) {}
  IoResult Read(std::span<char> into) override {
    std::memcpy(into.data(), bytes_.data(), bytes_.size());
    return {Io::kOk, bytes_.size()};
  }
  IoResult Write(std::span<const char> data) override { return {Io::kOk, data.size()}; }
  void SetInterest(bool, bool) override {}
  void ShutdownWrite() override {}
  std::string peer_address() const override { return "127.0.0.1:1"; }
  std::string local_address() const override { return "127.0.0.1:2"; }
  bool peer_is_loopback() const override { return true; }

 private:
  std::string bytes_;
};

class HandLoop final : public rt::Loop {
 public:
  int64_t WallMicros() const override { return 1'700'000'000'000'000; }
  int64_t MonoMicros() const override { return 1; }
  void Arm(rt::Timer*, int64_t) override {}
  void Disarm(rt::Timer*) override {}
  void Post(std::function<void()>) override {}
  void RunOnWorker(rt::Worker, std::function<void()>, std::function<void()>) override {}
  void AddTurnHook(rt::TurnHook*) override {}
  void RemoveTurnHook(rt::TurnHook*) override {}
  Result<std::unique_ptr<rt::Listener>> Listen(const std::string&, rt::AcceptHandler*) override {
    return Status(Code::kUnavailable, "no network");
  }
  void Watch(rt::Socket*, rt::SocketHandler* handler) override { handlers.push_back(handler); }
  void Run() override {}
  void Stop() override {}
  std::vector<rt::SocketHandler*> handlers;
};

}  // namespace quipu::resp
