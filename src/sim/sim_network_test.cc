#include "sim/sim_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace quipu::sim {
namespace {

// Sends back what it reads, as far as the socket takes it; closes when the client does.
class Echo final : public rt::AcceptHandler, public rt::SocketHandler {
 public:
  explicit Echo(SimLoop* loop) : loop_(loop) {}
  void OnAccept(std::unique_ptr<rt::Socket> socket) override {
    socket_ = std::move(socket);
    loop_->Watch(socket_.get(), this);
  }
  void OnReadable() override {
    char bytes[100];
    const rt::Socket::IoResult r = socket_->Read(bytes);
    if (r.io == rt::Socket::Io::kClosed) {
      saw_end_ = true;
      socket_.reset();
      return;
    }
    if (r.io == rt::Socket::Io::kOk) {
      ++reads_;
      out_.append(bytes, r.bytes);
    }
    Flush();
  }
  void OnWritable() override { Flush(); }
  void Flush() {
    const rt::Socket::IoResult r = socket_->Write(out_);
    if (r.io == rt::Socket::Io::kOk) out_.erase(0, r.bytes);
    most_unsent_ = std::max(most_unsent_, out_.size());
    socket_->SetInterest(true, !out_.empty());
  }

  SimLoop* loop_;
  std::unique_ptr<rt::Socket> socket_;
  std::string out_;
  size_t reads_ = 0;
  size_t most_unsent_ = 0;
  bool saw_end_ = false;
};

struct World {
  explicit World(uint64_t seed) : loop(&clock, &trace, seed), network(&loop, seed), echo(&loop) {
    listener = loop.Listen("127.0.0.1:0", &echo).value();
  }
  SimClock clock;
  Trace trace;
  SimLoop loop;
  SimNetwork network;
  Echo echo;
  std::unique_ptr<rt::Listener> listener;
};

TEST(SimNetworkTest, BytesArriveOnceInOrderHoweverTheyAreCut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    World w(seed);
    w.network.plan().piece_bytes_max = 1 + seed % 3;
    auto client = w.network.Connect(w.listener->address());
    std::string sent;
    for (int i = 0; i < 1000; ++i) sent += static_cast<char>(i);
    client->Send(sent);
    EXPECT_EQ(client->Take(), "") << "nothing arrives inside the call";
    w.loop.RunFor(10'000'000);
    EXPECT_EQ(client->Take(), sent);
    EXPECT_EQ(client->Take(), "");
    EXPECT_FALSE(client->closed());
  }
}

TEST(SimNetworkTest, AHalfCloseArrivesBehindTheBytes) {
  World w(1);
  auto client = w.network.Connect(w.listener->address());
  client->Send("last words");
  client->ShutdownWrite();
  w.loop.RunFor(1'000'000);
  EXPECT_EQ(client->Take(), "last words");
  EXPECT_TRUE(w.echo.saw_end_);
  EXPECT_TRUE(client->closed());
  EXPECT_FALSE(client->reset());
}

TEST(SimNetworkTest, APeerThatNeverReadsFillsTheBufferAndNoMore) {
  World w(1);
  w.network.plan().buffer_bytes = 1000;
  auto client = w.network.Connect(w.listener->address());
  client->SetReading(false);
  client->Send(std::string(10'000, 'x'));
  w.loop.RunFor(10'000'000);
  EXPECT_GT(w.echo.most_unsent_, 5000u);
  client->SetReading(true);
  std::string got;
  for (int i = 0; i < 20; ++i) {
    got += client->Take();
    w.loop.RunFor(1'000'000);
  }
  EXPECT_EQ(got, std::string(10'000, 'x'));
}

TEST(SimNetworkTest, AResetEndsBothDirections) {
  World w(1);
  auto client = w.network.Connect(w.listener->address());
  w.loop.RunFor(1'000'000);
  ASSERT_NE(w.echo.socket_, nullptr);
  client->Reset();
  w.loop.RunFor(1'000'000);
  EXPECT_TRUE(w.echo.saw_end_);
  w.network.plan().reset = 1;
  auto second = w.network.Connect(w.listener->address());
  second->Send("never arrives");
  w.loop.RunFor(1'000'000);
  EXPECT_TRUE(second->reset());
  EXPECT_EQ(second->Take(), "");
}

TEST(SimNetworkTest, AConnectionToNobodyIsResetAndATakenAddressIsRefused) {
  World w(1);
  auto client = w.network.Connect("127.0.0.1:1");
  w.loop.RunFor(1'000'000);
  EXPECT_TRUE(client->reset());
  EXPECT_EQ(w.loop.Listen(w.listener->address(), &w.echo).code(), Code::kUnavailable);
}

TEST(SimNetworkTest, AServerThatGoesWithUnreadBytesResets) {
  World w(1);
  auto client = w.network.Connect(w.listener->address());
  w.loop.RunFor(1'000'000);
  w.echo.socket_->SetInterest(false, false);
  client->Send("unread");
  w.loop.RunFor(1'000'000);
  w.echo.socket_.reset();
  EXPECT_TRUE(client->reset());
}

}  // namespace
}  // namespace quipu::sim
