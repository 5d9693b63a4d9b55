// The loop allocates nothing per event: a program of its own, since it counts every allocation of the process.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <atomic>
#include <new>

#include "rt/real_socket.h"

namespace {
std::atomic<uint64_t> allocations{0};
}

// Not inlined: g++ takes the pair of an inlined new and free for a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* bytes = ::malloc(size);
  if (bytes == nullptr) ::abort();
  return bytes;
}
[[gnu::noinline]] void operator delete(void* bytes) noexcept { ::free(bytes); }
[[gnu::noinline]] void operator delete(void* bytes, size_t) noexcept { ::free(bytes); }

namespace quipu::rt {
namespace {

// One end of a pair; sends back every byte that it reads and moves a timer each time, as a connection does.
struct End : SocketHandler {
  explicit End(RealLoop* on) : loop(on) {
    timer.on_fire = [] {};
  }
  ~End() override { loop->Disarm(&timer); }
  void OnReadable() override {
    char buffer[64];
    const auto got = socket->Read(buffer);
    if (got.io != Socket::Io::kOk) return;
    socket->Write({buffer, got.bytes});
    loop->Arm(&timer, loop->MonoMicros() + 1'000'000);
    socket->SetInterest(false, false);
    socket->SetInterest(true, false);
  }
  void OnWritable() override {}
  RealLoop* const loop;
  std::unique_ptr<RealSocket> socket;
  Timer timer;
};

TEST(RealLoop, ServesSocketsAndTimersWithoutAllocating) {
  constexpr int kPairs = 20;
  constexpr int kWarmUpTurns = 50;
  constexpr int kTurns = 2'000;
  RealLoop loop{LoopOptions{}};
  std::vector<std::unique_ptr<End>> ends;
  for (int i = 0; i < kPairs; ++i) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    for (const int fd : pair) {
      auto end = std::make_unique<End>(&loop);
      end->socket = std::make_unique<RealSocket>(&loop, UniqueFd(fd), SocketAddress());
      loop.Watch(end->socket.get(), end.get());
      ends.push_back(std::move(end));
    }
    ends.back()->socket->Write(std::string_view("ball"));
  }
  struct Counter : TurnHook {
    RealLoop* loop = nullptr;
    int turns = 0;
    uint64_t at_start = 0;
    uint64_t at_end = 0;
    void OnTurnEnd() override {
      if (++turns == kWarmUpTurns) at_start = allocations.load();
      if (turns < kWarmUpTurns + kTurns) return;
      at_end = allocations.load();
      loop->Stop();
    }
  } counter;
  counter.loop = &loop;
  loop.AddTurnHook(&counter);
  loop.Run();
  EXPECT_GT(counter.at_start, 0u);
  EXPECT_EQ(counter.at_end - counter.at_start, 0u);
  loop.RemoveTurnHook(&counter);
}

}  // namespace
}  // namespace quipu::rt
