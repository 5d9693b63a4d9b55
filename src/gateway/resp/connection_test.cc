// What a connection promises: order, holding replies until they may be shown, limits, ends.
#include "gateway/resp/connection.h"

#include <gtest/gtest.h>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(Pipeline, OneReadIsOneBatchAndRepliesKeepTheirOrder) {
  World w;
  w.network.plan().delay_min_us = w.network.plan().delay_max_us = 100;
  w.Ask("PING");
  int before = w.store.submitted;
  EXPECT_EQ(
      w.Ask("INCR k\r\nPING\r\nINCR k\r\nNOSUCH\r\nECHO hi\r\nINCRBY k x\r\nGET k"),
      ":1|+PONG|:2|-ERR unknown command 'NOSUCH', with args beginning with: |$2|hi|-ERR value is not an integer or "
      "out of range|$1|2|");
  EXPECT_EQ(w.store.submitted, before + 1);
}

TEST(Pipeline, NothingLeavesBeforeItsCommitIsDone) {
  World w;
  w.store.hold = true;
  EXPECT_EQ(w.Ask("INCR k"), "");
  EXPECT_EQ(w.Ask("INCR k\r\nPING"), "") << "and nothing overtakes it";
  EXPECT_EQ(w.store.submitted, 2) << "several commits are under way";
  EXPECT_EQ(w.Ask("ECHO x"), "");
  w.Release();
  EXPECT_EQ(Readable(w.client->Take()), ":1|:2|+PONG|$1|x|");
}

TEST(Pipeline, AFailedCommitAnswersUncertainForItsRepliesAlone) {
  World w;
  w.store.hold = true;
  w.Ask("INCR a\r\nPING\r\nGET a");
  w.Ask("INCR b");
  w.store.outcome = Code::kUnknownOutcome;
  w.Release();
  w.store.outcome = Code::kOk;
  std::string error = "-UNCERTAIN the commit failed, the effect is unknown|";
  EXPECT_EQ(Readable(w.client->Take()), error + error + error + error);
  EXPECT_EQ(w.Ask("PING"), "+PONG|");
}

TEST(Pipeline, LateDecisionsKeepOrderAcrossEverySplit) {
  std::string commands = Request({"INCR", "k"}) + Request({"PING"}) + Request({"HINCRBY", "h", "f", "2"}) +
                         Request({"SCAN", "0"}) + Request({"MSET", "a", "1", "b", "2"}) + Request({"GET", "a"}) +
                         "QUIT\r\n";
  std::string expected = ":1|+PONG|:2|*2|$1|0|*2|$4|h[f]|$1|k|+OK|$1|1|+OK|";
  for (size_t piece : {1u, 2u, 3u, 7u, 64u, 4096u}) {
    for (bool undecided : {false, true}) {
      World w({}, piece);
      w.network.plan().piece_bytes_max = piece;
      w.store.undecided = undecided;
      w.client->Send(commands);
      w.loop.RunFor(3'000'000);
      std::string got = Readable(w.client->Take());
      // The order within SCAN is the store's.
      size_t at = got.find("$1|k|$4|h[f]|");
      if (at != std::string::npos) got.replace(at, 13, "$4|h[f]|$1|k|");
      EXPECT_EQ(got, expected) << piece << undecided;
      EXPECT_TRUE(w.client->closed());
    }
  }
}

TEST(Pipeline, ManyCommandsInOneReadGoInBoundedBatches) {
  World w;
  std::string commands;
  std::string expected;
  for (int i = 1; i <= 5000; ++i) {
    commands += "INCR k\r\n";
    expected += ":" + std::to_string(i) + "|";
  }
  w.client->Send(commands);
  w.loop.RunFor(1'000'000);
  EXPECT_EQ(Readable(w.client->Take()), expected);
  EXPECT_GE(w.store.submitted, 9);
  EXPECT_EQ(w.server.stats().commands, 5000u);
}

TEST(Ends, QuitAnswersAndCloses) {
  World w;
  EXPECT_EQ(w.Ask("INCR k\r\nQUIT\r\nINCR k"), ":1|+OK|");
  w.loop.RunFor(100'000);
  EXPECT_TRUE(w.client->closed());
  w.client->ShutdownWrite();
  w.loop.RunFor(100'000);
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"quit"});
}

TEST(Ends, AHalfClosedPeerGetsItsRepliesFirst) {
  World w;
  w.store.hold = true;
  w.client->Send("INCR k\r\nINCR k\r\nINCR incomp");
  w.client->ShutdownWrite();
  w.loop.RunFor(100'000);
  EXPECT_FALSE(w.client->closed());
  w.Release();
  w.loop.RunFor(100'000);
  EXPECT_EQ(Readable(w.client->Take()), ":1|:2|");
  EXPECT_TRUE(w.client->closed());
  EXPECT_TRUE(w.server.connections().empty());
}

TEST(Ends, AProtocolErrorAnswersAndCloses) {
  World w;
  EXPECT_EQ(w.Exchange(*w.client, "PING\r\n*1\r\n$x\r\nPING\r\n"), "+PONG|-ERR Protocol error: invalid bulk length|");
  w.loop.RunFor(3'000'000);
  EXPECT_TRUE(w.client->closed());
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"protocol_error"});
}

TEST(Ends, ARequestBeyondItsBytesIsRefused) {
  World w({.request_bytes_max = 100'000});
  w.client->Send("*100\r\n");
  for (int i = 0; i < 3; ++i) w.client->Send("$60000\r\n" + std::string(60'000, 'a') + "\r\n");
  w.loop.RunFor(1'000'000);
  EXPECT_EQ(Readable(w.client->Take()), "-ERR Protocol error: request exceeds 100000 bytes|");
}

TEST(Ends, AWebPageGetsNothingExecuted) {
  World w;
  EXPECT_EQ(w.Exchange(*w.client, "POST / HTTP/1.1\r\nHost: x\r\n\r\nINCR k\r\n"), "");
  auto other = w.Connect();
  EXPECT_EQ(w.Ask(*other, "GET k"), "$-1|");
}

TEST(Ends, APeerThatDisappearsLeavesNothingBehind) {
  for (bool undecided : {false, true}) {
    World w;
    w.store.undecided = undecided;
    w.store.hold = true;
    w.client->Send("INCR k\r\nGET k\r\nHGETALL h\r\n");
    w.loop.RunFor(10'000);
    w.client->Reset();
    w.loop.RunFor(10'000);
    w.Release();
    EXPECT_TRUE(w.server.connections().empty());
    w.store.undecided = false;
    auto other = w.Connect();
    EXPECT_EQ(w.Ask(*other, "GET k"), "$1|1|");
  }
}

TEST(Limits, APeerThatDoesNotReadIsPausedAndThenClosed) {
  World w({.output_soft_bytes = 100'000, .output_soft_us = 5'000'000});
  w.client->SetReading(false);
  std::string echo = Request({"ECHO", std::string(10'000, 'x')});
  for (int i = 0; i < 100; ++i) w.client->Send(echo);
  w.loop.RunFor(2'000'000);
  ASSERT_EQ(w.server.connections().size(), 1u);
  EXPECT_LT(w.server.connections().begin()->second->output_bytes(), 200'000u) << "reading goes on without end";
  w.loop.RunFor(6'000'000);
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"output_limit"});
}

TEST(Limits, APausedPeerThatReadsAgainGetsEverything) {
  World w({.output_soft_bytes = 100'000, .output_soft_us = 5'000'000});
  w.client->SetReading(false);
  std::string echo = Request({"ECHO", std::string(10'000, 'x')});
  for (int i = 0; i < 100; ++i) w.client->Send(echo);
  w.loop.RunFor(2'000'000);
  w.client->SetReading(true);
  size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    w.loop.RunFor(50'000);
    taken += w.client->Take().size();
  }
  EXPECT_EQ(taken, 100u * (8 + 10'000 + 2));
  EXPECT_TRUE(w.seen.closed.empty());
}

TEST(Limits, ALastReplyThatNobodyReadsDoesNotKeepTheConnection) {
  World w({.output_soft_us = 5'000'000});
  w.client->SetReading(false);
  for (int i = 0; i < 10; ++i) w.client->Send(Request({"ECHO", std::string(100'000, 'x')}));
  w.client->Send("QUIT\r\n");
  w.loop.RunFor(4'000'000);
  EXPECT_EQ(w.server.connections().size(), 1u);
  w.loop.RunFor(4'000'000);
  EXPECT_TRUE(w.server.connections().empty());
}

TEST(Limits, AHugeReplyIsCutAtTheHardLimit) {
  World w({.output_hard_bytes = 200'000});
  w.client->SetReading(false);
  for (int i = 0; i < 30; ++i) w.client->Send("COMMAND DOCS\r\n");
  w.loop.RunFor(1'000'000);
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"output_limit"});
}

TEST(Limits, MoreClientsThanAllowedAreTold) {
  World w({.connections_max = 1});
  EXPECT_EQ(w.Ask("PING"), "+PONG|");
  auto second = w.Connect();
  w.loop.RunFor(20'000);
  EXPECT_EQ(Readable(second->Take()), "-ERR max number of clients reached|");
  EXPECT_TRUE(second->closed());
  EXPECT_EQ(w.seen.refused, std::vector<std::string>{"max_clients"});
}

TEST(Limits, StrangersAreRefusedWhileThereIsNoPassword) {
  World w;
  auto stranger = w.Connect("192.0.2.1:40000");
  w.loop.RunFor(20'000);
  EXPECT_TRUE(stranger->Take().starts_with("-DENIED "));
  World open({.protected_mode = false});
  auto welcome = open.Connect("192.0.2.1:40000");
  EXPECT_EQ(open.Ask(*welcome, "PING"), "+PONG|");
}

TEST(Limits, AnIdleConnectionIsClosed) {
  World w({.idle_timeout_us = 1'000'000});
  w.Ask("PING");
  w.loop.RunFor(3'000'000);
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"idle"});
}

TEST(Limits, AnIdleConnectionHoldsNoInput) {
  World w;
  w.Ask("INCR k");
  EXPECT_LT(w.server.connections().begin()->second->memory_bytes(), 8192u);
}

}  // namespace
}  // namespace quipu::resp
