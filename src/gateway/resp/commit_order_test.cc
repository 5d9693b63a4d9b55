// Commits of one connection may be done in another order than they were submitted; replies leave in the client's order.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

// The memory store, but a batch is done when the test says so.
class HoldingStore final : public store::EventStore {
 public:
  explicit HoldingStore(rt::Loop* loop) : inner_(loop) { current_ = this; }

  void Submit(store::Batch* batch) override {
    on_done_[batch] = batch->on_done;
    batch->on_done = [](store::Batch* done) { current_->held.push_back(done); };
    inner_.Submit(batch);
  }
  void Finish(store::Batch* batch) { on_done_[batch](batch); }

  void Scan(store::ScanOp* op) override { inner_.Scan(op); }
  void Events(store::EventsOp* op) override { inner_.Events(op); }
  void FindSources(store::SourceId anchor,
                   std::function<void(Result<std::vector<store::SourceState>>)> on_done) override {
    inner_.FindSources(anchor, std::move(on_done));
  }
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return inner_.Namespaces(); }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override {
    inner_.PutNamespace(name, expected_version, settings, std::move(on_done));
  }
  uint64_t CountCounters(NamespaceId ns) const override { return inner_.CountCounters(ns); }
  store::StoreInfo Info() const override { return inner_.Info(); }
  void Close(std::function<void(Status)> on_done) override { inner_.Close(std::move(on_done)); }

  std::vector<store::Batch*> held;

 private:
  static inline HoldingStore* current_ = nullptr;
  store::MemoryStore inner_;
  std::map<store::Batch*, void (*)(store::Batch*)> on_done_;
};

struct HeldWorld {
  HeldWorld() {
    EXPECT_TRUE(server.Listen("127.0.0.1:0").ok());
    client = network.Connect(server.addresses()[0], "127.0.0.1:40000");
  }
  ~HeldWorld() {
    bool closed = false;
    server.Close([&] { closed = true; });
    EXPECT_TRUE(loop.RunUntil([&] { return closed; }, loop.MonoMicros() + 60'000'000));
  }
  // On the loop, as an engine does it.
  void Finish(size_t which) {
    loop.Post([this, which] { store.Finish(store.held[which]); });
  }
  std::string Seen() {
    loop.RunFor(20'000);
    return Readable(client->Take());
  }

  sim::SimClock clock;
  sim::Trace trace;
  sim::SimLoop loop{&clock, &trace, 1};
  sim::SimNetwork network{&loop, 1};
  HoldingStore store{&loop};
  RespServer server{&loop, &store, RespOptions()};
  std::unique_ptr<sim::SimClient> client;
};

TEST(CommitOrder, AReplyWaitsForThoseBeforeItWhateverIsDoneFirst) {
  HeldWorld w;
  for (const char* command : {"INCR a\r\n", "GET b\r\n", "INCR a\r\n"}) {
    w.client->Send(command);
    EXPECT_EQ(w.Seen(), "");
  }
  ASSERT_EQ(w.store.held.size(), 3u);
  w.Finish(1);
  EXPECT_EQ(w.Seen(), "");
  w.Finish(0);
  EXPECT_EQ(w.Seen(), ":1|$-1|");
  w.Finish(2);
  EXPECT_EQ(w.Seen(), ":2|");
}

TEST(CommitOrder, AFailedCommitBehindAnOpenOneKeepsItsPlace) {
  HeldWorld w;
  for (const char* command : {"INCR a\r\n", "INCR b\r\n", "INCR c\r\n"}) {
    w.client->Send(command);
    EXPECT_EQ(w.Seen(), "");
  }
  ASSERT_EQ(w.store.held.size(), 3u);
  w.store.held[1]->status = Status(Code::kUnknownOutcome, "the sync failed");
  w.Finish(1);
  w.Finish(2);
  EXPECT_EQ(w.Seen(), "");
  w.Finish(0);
  const std::string seen = w.Seen();
  EXPECT_TRUE(seen.starts_with(":1|-UNCERTAIN") && seen.ends_with("|:1|")) << seen;
}

}  // namespace
}  // namespace quipu::resp
