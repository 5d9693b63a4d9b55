#include "rt/real_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace quipu::rt {
namespace {

// A blocking client. Every call is bounded by the socket's own timeout, so that a server that never answers fails a
// test.
class Client {
 public:
  explicit Client(const std::string& address) {
    auto to = SocketAddress::Parse(address);
    fd_ = UniqueFd(::socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval limit{.tv_sec = 280, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    connected_ = ::connect(fd_.get(), &to->any, to->size) == 0;
  }
  bool connected() const { return connected_; }
  void Send(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      data.remove_prefix(static_cast<size_t>(n));
    }
  }
  // Exactly `size` bytes, or fewer at the end of the stream.
  std::string Receive(size_t size) {
    std::string out(size, '\0');
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::recv(fd_.get(), out.data() + done, size - done, 0);
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    out.resize(done);
    return out;
  }
  bool AtEnd() {
    char c = 0;
    return ::recv(fd_.get(), &c, 1, 0) == 0;
  }
  void ShutdownWrite() { ::shutdown(fd_.get(), SHUT_WR); }
  void Reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    fd_ = UniqueFd();
  }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  bool connected_ = false;
};

struct Connection : SocketHandler {
  std::unique_ptr<Socket> socket;
  std::function<void(Connection*)> on_readable;
  std::function<void(Connection*)> on_writable;
  void OnReadable() override { on_readable(this); }
  void OnWritable() override { on_writable(this); }
};

class RealSocketTest : public testing::Test, public AcceptHandler {
 protected:
  void SetUp() override { Listen("127.0.0.1:0"); }

  void Listen(const std::string& address) {
    auto made = loop.Listen(address, this);
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    listener = std::move(made).value();
  }

  void OnAccept(std::unique_ptr<Socket> socket) override {
    auto connection = std::make_unique<Connection>();
    connection->socket = std::move(socket);
    connection->on_readable = on_readable;
    connection->on_writable = on_writable;
    loop.Watch(connection->socket.get(), connection.get());
    connections.push_back(std::move(connection));
    if (on_accepted) on_accepted();
  }

  // The client talks from its own thread while the loop runs on this one.
  void RunWith(std::function<void()> client) {
    std::thread thread([&] {
      client();
      loop.Stop();
    });
    loop.Run();
    thread.join();
  }

  RealLoop loop{LoopOptions{}};
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Connection>> connections;
  std::function<void(Connection*)> on_readable = [](Connection*) {};
  std::function<void(Connection*)> on_writable = [](Connection*) {};
  std::function<void()> on_accepted;
};

// The name of a Unix socket may have 107 bytes, so it is one in the directory where the tests' files lie, wherever that
// is. One process runs one test at a time.
std::string UnixName(std::string_view what) {
  std::filesystem::current_path(std::filesystem::temp_directory_path());
  return fmt::format("quipu_{}_{}.sock", what, ::getpid());
}

bool HasIpv6() {
  auto loopback = SocketAddress::Parse("[::1]:0");
  UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::bind(fd.get(), &loopback->any, loopback->size) == 0;
}

void Echo(Connection* c) {
  char buffer[4096];
  const auto got = c->socket->Read(buffer);
  if (got.io == Socket::Io::kOk) {
    c->socket->Write({buffer, got.bytes});
  } else if (got.io == Socket::Io::kClosed) {
    c->socket->ShutdownWrite();
    c->socket->SetInterest(false, false);
  }
}

TEST_F(RealSocketTest, AnEchoServerAnswersManyClients) {
  on_readable = Echo;
  RunWith([&] {
    std::vector<Client> clients;
    for (int i = 0; i < 20; ++i) clients.emplace_back(listener->address());
    for (int round = 0; round < 50; ++round) {
      for (auto& client : clients) client.Send(fmt::format("{:08}", round));
      for (auto& client : clients) EXPECT_EQ(client.Receive(8), fmt::format("{:08}", round));
    }
  });
  EXPECT_EQ(connections.size(), 20u);
}

TEST_F(RealSocketTest, AddressesAreThoseOfBothEnds) {
  RunWith([&] {
    on_accepted = [&] {
      Socket& socket = *connections.back()->socket;
      EXPECT_EQ(socket.local_address(), listener->address());
      EXPECT_TRUE(socket.peer_address().starts_with("127.0.0.1:"));
      EXPECT_TRUE(socket.peer_is_loopback());
      loop.Stop();
    };
    Client client(listener->address());
  });
}

TEST_F(RealSocketTest, IPv6AndUnixSocketsServeAsWell) {
  on_readable = Echo;
  const std::string path = UnixName("echo");
  std::vector<std::string> addresses = {"unix:" + path};
  if (HasIpv6()) addresses.insert(addresses.begin(), "[::1]:0");
  for (const std::string& address : addresses) {
    listener.reset();
    Listen(address);
    RunWith([&] {
      Client client(listener->address());
      client.Send("hello");
      EXPECT_EQ(client.Receive(5), "hello") << address;
    });
    EXPECT_TRUE(connections.back()->socket->peer_is_loopback());
  }
  EXPECT_EQ(connections.back()->socket->peer_address(), "unix:" + path);
  listener.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(RealSocketTest, AFileThatIsNoSocketIsNeverReplacedByOne) {
  const std::string path = UnixName("file");
  std::ofstream(path) << "precious";
  const auto opened = loop.Listen("unix:" + path, this);
  EXPECT_EQ(opened.code(), Code::kUnavailable);
  EXPECT_THAT(std::string(opened.status().message()), ::testing::HasSubstr("is no socket"));
  std::string left;
  std::ifstream(path) >> left;
  EXPECT_EQ(left, "precious");
  std::filesystem::remove(path);
}

TEST_F(RealSocketTest, AUnixNameLeftByADeadServerIsTakenOverAndALiveOneIsNot) {
  const std::string path = UnixName("stale");
  {
    auto address = SocketAddress::Parse("unix:" + path);
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(dead.get(), &address->any, address->size), 0);
  }
  Listen("unix:" + path);
  auto second = loop.Listen("unix:" + path, this);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.code(), Code::kUnavailable);
}

TEST_F(RealSocketTest, AnAddressInUseIsUnavailableUnlessShared) {
  const auto second = loop.Listen(listener->address(), this);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.code(), Code::kUnavailable);
  EXPECT_EQ(loop.Listen("nowhere", this).code(), Code::kInvalidArgument);

  RealLoop sharing{LoopOptions{.port_sharing = PortSharing::kShared}};
  auto one = sharing.Listen("127.0.0.1:0", this);
  ASSERT_TRUE(one.ok());
  auto two = sharing.Listen((*one)->address(), this);
  EXPECT_TRUE(two.ok());
}

TEST_F(RealSocketTest, AfterAHalfCloseTheOtherDirectionStillCarriesTheReply) {
  std::string seen;
  on_readable = [&](Connection* c) {
    char buffer[64];
    const auto got = c->socket->Read(buffer);
    if (got.io == Socket::Io::kOk) seen.append(buffer, got.bytes);
    if (got.io != Socket::Io::kClosed) return;
    EXPECT_EQ(c->socket->Write(std::string_view("reply")).bytes, 5u);
    c->socket->ShutdownWrite();
    c->socket->SetInterest(false, false);
  };
  RunWith([&] {
    Client client(listener->address());
    client.Send("request");
    client.ShutdownWrite();
    EXPECT_EQ(client.Receive(5), "reply");
    EXPECT_TRUE(client.AtEnd());
  });
  EXPECT_EQ(seen, "request");
}

TEST_F(RealSocketTest, AWriterThatTheKernelHoldsBackIsCalledWhenThereIsRoomAgain) {
  constexpr size_t kTotal = size_t{8} << 20;
  const std::string block(64 << 10, 'x');
  size_t sent = 0;
  const auto pump = [&](Connection* c) {
    while (sent < kTotal) {
      const auto put = c->socket->Write(std::span(block).first(std::min(block.size(), kTotal - sent)));
      sent += put.bytes;
      if (put.io == Socket::Io::kWouldBlock) return c->socket->SetInterest(true, true);
      ASSERT_EQ(put.io, Socket::Io::kOk);
    }
    c->socket->SetInterest(true, false);
  };
  on_readable = [&](Connection* c) {
    char buffer[8];
    if (c->socket->Read(buffer).io == Socket::Io::kOk) pump(c);
  };
  on_writable = pump;
  RunWith([&] {
    Client client(listener->address());
    client.Send("g");
    EXPECT_EQ(client.Receive(kTotal).size(), kTotal);
  });
  EXPECT_EQ(sent, kTotal);
}

TEST_F(RealSocketTest, ASocketWithoutReadInterestIsLeftAloneUntilItWantsAgain) {
  bool paused = false;
  std::string seen;
  on_readable = [&](Connection* c) {
    ASSERT_FALSE(paused);
    char buffer[4];
    const auto got = c->socket->Read(buffer);
    if (got.io != Socket::Io::kOk) return c->socket->SetInterest(false, false);
    seen.append(buffer, got.bytes);
    c->socket->Write(std::string_view(buffer, got.bytes));
    paused = true;
    c->socket->SetInterest(false, false);
    // Several turns later: by then the waiting bytes have been reported and ignored.
    loop.Post([&, c] {
      loop.Post([&, c] {
        loop.Post([&, c] {
          paused = false;
          c->socket->SetInterest(true, false);
        });
      });
    });
  };
  RunWith([&] {
    Client client(listener->address());
    client.Send("aaaabbbbcccc");
    EXPECT_EQ(client.Receive(12), "aaaabbbbcccc");
  });
  EXPECT_EQ(seen, "aaaabbbbcccc");
}

TEST_F(RealSocketTest, AResetWhileNobodyListensDoesNotSpinAndIsSeenWhenWantedAgain) {
  struct Counter : TurnHook {
    int turns = 0;
    void OnTurnEnd() override { ++turns; }
  } counter;
  loop.AddTurnHook(&counter);
  Socket::Io seen = Socket::Io::kOk;
  on_readable = [&](Connection* c) {
    char buffer[4];
    seen = c->socket->Read(buffer).io;
    loop.Stop();
  };
  Timer later;
  int turns_before = 0;
  int turns_after = 0;
  // Both the connection and the news of its reset must have come, in whatever order.
  int arrived = 0;
  const auto arm = [&] {
    if (++arrived < 2) return;
    turns_before = counter.turns;
    loop.Arm(&later, loop.MonoMicros() + 20'000);
  };
  on_accepted = [&] {
    connections.back()->socket->SetInterest(false, false);
    arm();
  };
  later.on_fire = [&] {
    turns_after = counter.turns;
    connections.back()->socket->SetInterest(true, false);
  };
  std::thread client([&] {
    Client c(listener->address());
    c.Reset();
    loop.Post(arm);
  });
  loop.Run();
  client.join();
  loop.RemoveTurnHook(&counter);
  EXPECT_EQ(seen, Socket::Io::kClosed);
  EXPECT_LE(turns_after - turns_before, 5);
}

TEST_F(RealSocketTest, AHandlerMayDestroyItsOwnSocket) {
  on_readable = [&](Connection* c) { std::erase_if(connections, [&](const auto& other) { return other.get() == c; }); };
  RunWith([&] {
    Client client(listener->address());
    client.Send("bye");
    EXPECT_EQ(client.Receive(1), "");
  });
  EXPECT_TRUE(connections.empty());
}

TEST_F(RealSocketTest, AHandlerThatDestroysItsSocketWhileReadingIsNotCalledToWrite) {
  on_readable = [&](Connection* c) {
    loop.Stop();
    std::erase_if(connections, [&](const auto& other) { return other.get() == c; });  // and this closure with it
  };
  on_writable = [](Connection*) { ADD_FAILURE() << "the first event carries both, and reading comes first"; };
  on_accepted = [&] { connections.back()->socket->SetInterest(true, true); };
  Client client(listener->address());
  client.Send("x");
  loop.Run();
  EXPECT_TRUE(connections.empty());
}

// Both sockets are readable in one turn; whichever comes first destroys the other, whose event is then stale. A new
// descriptor with the same number must not receive it either.
TEST_F(RealSocketTest, AnEventOfASocketDestroyedEarlierInTheTurnIsDropped) {
  std::vector<std::unique_ptr<Client>> clients;
  int handled = 0;
  std::vector<UniqueFd> reused;
  std::unique_ptr<RealSocket> newcomer;
  Connection newcomer_handler;
  newcomer_handler.on_readable = [&](Connection*) { ADD_FAILURE() << "an event of the socket before it"; };
  newcomer_handler.on_writable = newcomer_handler.on_readable;
  on_readable = [&](Connection* c) {
    ++handled;
    std::erase_if(connections, [&](const auto& other) { return other.get() != c; });
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    newcomer = std::make_unique<RealSocket>(&loop, UniqueFd(pair[0]), SocketAddress());
    reused.emplace_back(pair[1]);
    newcomer_handler.socket = nullptr;
    loop.Watch(newcomer.get(), &newcomer_handler);
    c->socket->SetInterest(false, false);
    loop.Post([&] { loop.Post([&] { loop.Stop(); }); });
  };
  on_accepted = [&] {
    if (connections.size() < 2) return;
    for (auto& client : clients) client->Send("x");  // loopback: readable at once, before the next wait
  };
  for (int i = 0; i < 2; ++i) clients.push_back(std::make_unique<Client>(listener->address()));
  loop.Run();
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(connections.size(), 1u);
}

TEST_F(RealSocketTest, AListenerMayBeDestroyedByItsHandler) {
  // The turns begin with the first that is accepted: a connection may reach the queue later than its client thinks.
  on_accepted = [&] {
    listener.reset();
    loop.Post([&] { loop.Post([&] { loop.Post([&] { loop.Stop(); }); }); });
  };
  const std::string address = listener->address();
  // Three wait in the queue before the loop looks.
  Client a(address);
  Client b(address);
  Client c(address);
  loop.Run();
  EXPECT_EQ(connections.size(), 1u);
}

// The new listener has the old one's descriptor number, and a connection waiting.
TEST_F(RealSocketTest, AListenerReplacedByItsHandlerDoesNotAcceptForTheNewOne) {
  std::vector<std::unique_ptr<Client>> clients;
  clients.push_back(std::make_unique<Client>(listener->address()));
  int accepted_by_next_turn = 0;
  on_accepted = [&] {
    if (connections.size() == 2) return loop.Stop();
    listener.reset();
    Listen("127.0.0.1:0");
    clients.push_back(std::make_unique<Client>(listener->address()));
    loop.Post([&] { accepted_by_next_turn = static_cast<int>(connections.size()); });
  };
  loop.Run();
  EXPECT_EQ(accepted_by_next_turn, 1);
}

TEST_F(RealSocketTest, WithoutFreeDescriptorsAcceptingPausesAndThenGoesOn) {
#if defined(QUIPU_SANITIZED)
  GTEST_SKIP() << "UBSan looks at memory through a pipe, which it cannot open while no descriptor is free";
#endif
  struct Counter : TurnHook {
    int turns = 0;
    void OnTurnEnd() override { ++turns; }
  } counter;
  loop.AddTurnHook(&counter);
  on_readable = Echo;
  Client client(listener->address());
  client.Send("hello");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd lowest_free(::dup(client.fd()));
  const rlimit none_left{.rlim_cur = static_cast<rlim_t>(lowest_free.get()), .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
  Timer relief;
  relief.on_fire = [&] {
    EXPECT_TRUE(connections.empty());
    EXPECT_LE(counter.turns, 5);
    ::setrlimit(RLIMIT_NOFILE, &before);
  };
  loop.Arm(&relief, loop.MonoMicros() + 50'000);
  RunWith([&] { EXPECT_EQ(client.Receive(5), "hello"); });
  loop.RemoveTurnHook(&counter);
}

}  // namespace
}  // namespace quipu::rt
