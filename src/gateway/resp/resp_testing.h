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

// The memory engine with a hand on when it answers.
class GatedStore final : public store::EventStore {
 public:
  explicit GatedStore(store::EventStore* inner) : inner_(inner) {}

  bool undecided = false;    // batches are decided only when they are done, as across shards
  bool hold = false;         // nothing is done until Release
  Code outcome = Code::kOk;  // of what is done next
  Code refusal = Code::kOk;  // of every batch as a whole: none of its ops is done
  int submitted = 0;

  void Release() {
    hold = false;
    std::vector<store::Batch*> done;
    done.swap(held_);
    for (store::Batch* batch : done) Finish(batch);
  }

  void Submit(store::Batch* batch) override {
    ++submitted;
    auto inner = new store::Batch(*batch);
    inner->owner = new std::pair<GatedStore*, store::Batch*>(this, batch);
    inner->on_done = [](store::Batch* of) {
      auto who = static_cast<std::pair<GatedStore*, store::Batch*>*>(of->owner);
      auto [gate, outer] = *who;
      delete who;
      delete of;
      if (gate->hold)
        gate->held_.push_back(outer);
      else
        gate->Finish(outer);
    };
    if (refusal != Code::kOk) {
      inner->ops = {};
      inner->source = nullptr;
    }
    inner_->Submit(inner);
    if (refusal != Code::kOk) {
      inner->code = refusal;
      for (store::Op& op : batch->ops) store::FailOp(&op, refusal);
    }
    batch->code = inner->code;
    batch->failed_index = inner->failed_index;
    batch->source_offset = inner->source_offset;
    batch->decided = !undecided;
  }
  void Scan(store::ScanOp* op) override { inner_->Scan(op); }
  void Events(store::EventsOp* op) override { inner_->Events(op); }
  void FindSources(store::SourceId anchor,
                   std::function<void(Result<std::vector<store::SourceState>>)> on_done) override {
    inner_->FindSources(anchor, std::move(on_done));
  }
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return inner_->Namespaces(); }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override {
    inner_->PutNamespace(name, expected_version, settings, std::move(on_done));
  }
  uint64_t CountCounters(NamespaceId ns) const override { return inner_->CountCounters(ns); }
  store::StoreInfo Info() const override { return inner_->Info(); }
  void Close(std::function<void(Status)> on_done) override { inner_->Close(std::move(on_done)); }

 private:
  void Finish(store::Batch* batch) {
    batch->status = outcome == Code::kOk ? OkStatus() : Status(outcome);
    batch->on_done(batch);
  }
  store::EventStore* const inner_;
  std::vector<store::Batch*> held_;
};

struct World {
  explicit World(RespOptions options = {}, uint64_t seed = 1)
      : loop(&clock, &trace, seed),
        network(&loop, seed),
        memory(&loop),
        store(&memory),
        server(&loop, &store, std::move(options), &seen) {
    Status listening = server.Listen("127.0.0.1:0");
    QUIPU_ASSERT(listening.ok(), "{}", listening.ToString());
    client = Connect();
  }
  ~World() {
    store.Release();
    bool closed = false;
    server.Close([&] { closed = true; });
    QUIPU_ASSERT(loop.RunUntil([&] { return closed; }, loop.MonoMicros() + 60'000'000), "connections never end");
  }

  // What was held is done, in a turn of the loop.
  void Release() {
    loop.Post([this] { store.Release(); });
    loop.RunFor(20'000);
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
  store::MemoryStore memory;
  GatedStore store;
  Recorder seen;
  RespServer server;
  std::unique_ptr<sim::SimClient> client;
};

}  // namespace quipu::resp
