// On the path of an add nothing is allocated once the pools are warm: counted, not timed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "gateway/resp/hand_testing.h"

namespace {
size_t allocations = 0;
}

// Not inlined: g++ takes the pair of an inlined new and free for a mismatch.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace quipu::resp {
namespace {

TEST(Allocations, AnAddTakesNoneHoweverItIsPipelined) {
  for (int commands : {1, 16, 512, 600}) {
    HandLoop loop;
    YesStore store;
    RespServer server(&loop, &store, {});
    server.OnAccept(std::make_unique<LoopedSocket>(Pipeline(commands)));
    auto turn = [&] {
      loop.handlers[0]->OnReadable();
      store.Done();
      server.OnTurnEnd();
    };
    for (int i = 0; i < 10; ++i) turn();
    size_t before = allocations;
    for (int i = 0; i < 100; ++i) turn();
    EXPECT_EQ(allocations - before, 0u) << commands << " commands a read";
    EXPECT_EQ(server.stats().commands, 110u * static_cast<size_t>(commands));
  }
}

}  // namespace
}  // namespace quipu::resp
