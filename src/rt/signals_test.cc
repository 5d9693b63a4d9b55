#include "rt/signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "rt/real.h"

namespace quipu::rt {
namespace {

TEST(Signals, ASignalBecomesACallOnTheLoop) {
  auto loop = MakeRealLoop();
  std::vector<int> seen;
  auto signals = WatchSignals(loop.get(), {SIGTERM, SIGHUP}, [&](int number) {
    seen.push_back(number);
    if (number == SIGTERM) loop->Stop();
    if (number == SIGHUP) ::kill(::getpid(), SIGTERM);
  });
  std::thread sender([] { ::kill(::getpid(), SIGHUP); });
  loop->Run();
  sender.join();
  EXPECT_EQ(seen, (std::vector<int>{SIGHUP, SIGTERM}));
}

TEST(Signals, TheCallbackMayEndTheWatchAndTheOldActionsComeBack) {
  struct sigaction before {};
  ::sigaction(SIGHUP, nullptr, &before);
  auto loop = MakeRealLoop();
  std::unique_ptr<Signals> signals;
  signals = WatchSignals(loop.get(), {SIGHUP}, [&](int) {
    signals.reset();
    loop->Stop();
  });
  ::raise(SIGHUP);
  loop->Run();
  struct sigaction after {};
  ::sigaction(SIGHUP, nullptr, &after);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

TEST(Signals, AWriteToABrokenPipeIsAnErrorOnce) {
  IgnoreWriteSignals();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  ::close(ends[1]);
}

}  // namespace
}  // namespace quipu::rt
