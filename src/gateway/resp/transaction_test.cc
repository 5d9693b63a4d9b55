// MULTI, EXEC, WATCH.
#include <gtest/gtest.h>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(Multi, RunsTheQueueAsOneCommit) {
  World w;
  EXPECT_EQ(w.Ask("MULTI"), "+OK|");
  EXPECT_EQ(w.Ask("INCR k"), "+QUEUED|");
  EXPECT_EQ(w.Ask("EXPIRE k 100"), "+QUEUED|");
  EXPECT_EQ(w.Ask("PING"), "+QUEUED|");
  EXPECT_EQ(w.Ask("GET k"), "+QUEUED|");
  int before = w.store.submitted;
  EXPECT_EQ(w.Ask("EXEC"), "*4|:1|:1|+PONG|$1|1|");
  EXPECT_EQ(w.store.submitted, before + 1);
  EXPECT_EQ(w.Ask("MULTI\r\nEXEC"), "+OK|*0|");
  EXPECT_EQ(w.Ask("MULTI\r\nPING\r\nEXEC"), "+OK|+QUEUED|*1|+PONG|");
}

TEST(Multi, ACommandThatFailsWhileRunningLeavesTheOthers) {
  World w;
  w.Ask("SET max 9223372036854775807");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR a\r\nINCR max\r\nINCRBY a x\r\nINCR a\r\nEXEC"),
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|:1|-ERR increment or decrement would overflow|-ERR value is not an "
            "integer or out of range|:2|");
}

TEST(Multi, AnErrorWhileQueueingAborts) {
  World w;
  EXPECT_EQ(w.Ask("MULTI\r\nINCR a\r\nNOSUCH\r\nEXEC\r\nGET a"),
            "+OK|+QUEUED|-ERR unknown command 'NOSUCH', with args beginning with: |-EXECABORT Transaction discarded "
            "because of previous errors.|$-1|");
  EXPECT_EQ(
      w.Ask("MULTI\r\nINCR\r\nEXEC"),
      "+OK|-ERR wrong number of arguments for 'incr' command|-EXECABORT Transaction discarded because of previous "
      "errors.|");
  EXPECT_EQ(w.Ask("MULTI\r\nAUTH x\r\nEXEC"),
            "+OK|-ERR Command not allowed inside a transaction|-EXECABORT Transaction discarded because of previous "
            "errors.|");
}

TEST(Multi, AnExecThatIsRefusedEndsTheTransaction) {
  World w;
  const std::string abort =
      "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command|";
  EXPECT_EQ(w.Ask("EXEC 7"), abort);
  EXPECT_EQ(w.Ask("MULTI\r\nINCR a\r\nEXEC 7\r\nEXEC\r\nGET a"),
            "+OK|+QUEUED|" + abort + "-ERR EXEC without MULTI|$-1|");
  EXPECT_EQ(w.Ask("WATCH a\r\nSET a 2\r\nEXEC 7\r\nMULTI\r\nINCR a\r\nEXEC"),
            "+OK|+OK|" + abort + "+OK|+QUEUED|*1|:3|");
  EXPECT_EQ(w.Ask("MULTI\r\nDISCARD 1\r\nEXEC"),
            "+OK|-ERR wrong number of arguments for 'discard' command|-EXECABORT Transaction discarded because of "
            "previous errors.|");
}

// Everything that comes back, however long it takes.
std::string AskAtLength(World& w, std::string_view bytes) {
  w.client->Send(bytes);
  std::string all;
  for (;;) {
    w.loop.RunFor(20'000);
    const std::string more = w.client->Take();
    if (more.empty()) return Readable(all);
    all += more;
  }
}

TEST(Multi, MoreOperationsThanOneCommitTakesAreAnErrorAndNothingElse) {
  for (size_t adds : {store::kBatchOpsMax, store::kBatchOpsMax + 1}) {
    World w;
    std::string commands = "MULTI\r\n";
    for (size_t i = 0; i < adds; ++i) commands += "INCR k\r\n";
    AskAtLength(w, commands);
    const std::string answer = AskAtLength(w, "EXEC\r\n");
    if (adds == store::kBatchOpsMax) {
      EXPECT_TRUE(answer.starts_with("*65536|:1|:2|")) << answer.substr(0, 100);
      EXPECT_EQ(w.Ask("GET k"), "$5|65536|");
    } else {
      EXPECT_EQ(answer, "-EXECABORT 65537 operations in one transaction, at most 65536 are allowed|");
      EXPECT_EQ(w.Ask("GET k"), "$-1|");
    }
  }
}

// A pipeline of commands fills one batch as long as the next one is sure to fit.
TEST(Multi, ManyKeysInCommandsOnePipelineSendsAreNoLargerBatchThanTheStoreTakes) {
  World w;
  std::vector<std::string> mget = {"MGET"};
  for (size_t i = 0; i < kCommandOpsMax; ++i) mget.emplace_back("k");
  std::string pipeline;
  for (size_t i = 0; i + 1 < kOpsPerBatch; ++i) pipeline += "INCR k\r\n";
  pipeline += "*" + std::to_string(mget.size()) + "\r\n";
  for (const std::string& word : mget) pipeline += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  const std::string answer = AskAtLength(w, pipeline);
  EXPECT_TRUE(answer.starts_with(":1|:2|:3|"));
  EXPECT_NE(answer.find("|*65024|$3|511|"), std::string::npos);
  mget.emplace_back("k");
  EXPECT_EQ(w.AskArgs(mget), "-ERR 65025 keys in one command, at most 65024 are allowed|");
}

TEST(Multi, OutOfOrderCallsHaveTheirTexts) {
  World w;
  EXPECT_EQ(w.Ask("EXEC"), "-ERR EXEC without MULTI|");
  EXPECT_EQ(w.Ask("DISCARD"), "-ERR DISCARD without MULTI|");
  EXPECT_EQ(w.Ask("MULTI\r\nMULTI"), "+OK|-ERR MULTI calls can not be nested|");
  EXPECT_EQ(w.Ask("WATCH a"), "-ERR WATCH inside MULTI is not allowed|");
  EXPECT_EQ(w.Ask("INCR a\r\nDISCARD\r\nGET a"), "+QUEUED|+OK|$-1|");
}

TEST(Multi, AWatchedKeyThatChangedMakesExecNull) {
  World w;
  auto other = w.Connect();
  w.Ask("SET k 1");
  EXPECT_EQ(w.Ask("WATCH k none"), "+OK|");
  EXPECT_EQ(w.Ask(*other, "INCR k"), ":2|");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC\r\nGET k"), "+OK|+QUEUED|*-1|$1|2|");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*1|:3|") << "EXEC forgets what was watched";
  EXPECT_EQ(w.Ask("WATCH none\r\nINCR none\r\nMULTI\r\nEXEC"), "+OK|:1|+OK|*-1|");
  EXPECT_EQ(w.Ask("HELLO 3\r\nWATCH k\r\nINCR k\r\nMULTI\r\nINCR k\r\nEXEC").substr(0, 1), "%");
}

TEST(Multi, AWatchedKeyThatWasThereForAMomentMakesExecNull) {
  World w;
  auto other = w.Connect();
  EXPECT_EQ(w.Ask("WATCH none"), "+OK|");
  w.Ask(*other, "INCR none\r\nDEL none");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*-1|");
  EXPECT_EQ(w.Ask("WATCH h"), "+OK|");
  w.Ask(*other, "HINCRBY h f 1\r\nHDEL h f");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*-1|");
  EXPECT_EQ(w.Ask("WATCH none h\r\nDEL none h\r\nMULTI\r\nINCR k\r\nEXEC"), "+OK|:0|+OK|+QUEUED|*1|:1|")
      << "a delete of what is missing changes nothing";
}

TEST(Multi, UnwatchedAndUnchangedKeysLetExecHappen) {
  World w;
  auto other = w.Connect();
  w.Ask("SET k 1");
  EXPECT_EQ(w.Ask("WATCH k\r\nMULTI\r\nINCR k\r\nEXEC"), "+OK|+OK|+QUEUED|*1|:2|");
  EXPECT_EQ(w.Ask("WATCH k\r\nUNWATCH"), "+OK|+OK|");
  w.Ask(*other, "INCR k");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*1|:4|");
  EXPECT_EQ(w.Ask("WATCH k\r\nMULTI\r\nDISCARD"), "+OK|+OK|+OK|");
  w.Ask(*other, "INCR k");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*1|:6|") << "DISCARD forgets what was watched";
}

TEST(Multi, AFailingCommandUnderWatchLeavesTheOthers) {
  World w;
  w.Ask("SET max 9223372036854775807");
  EXPECT_EQ(w.Ask("WATCH k\r\nMULTI\r\nINCR max\r\nINCR k\r\nEXEC"),
            "+OK|+OK|+QUEUED|+QUEUED|*2|-ERR increment or decrement would overflow|:1|");
}

TEST(Multi, AGroupIsReadAsTheCommandsBeforeLeftIt) {
  World w;
  w.Ask("HSET h a 1 b 2");
  EXPECT_EQ(
      w.Ask("MULTI\r\nHINCRBY h a 4\r\nHINCRBY h new 7\r\nHDEL h b\r\nHGETALL h\r\nHLEN h\r\nHGETALL x\r\nTYPE h\r\n"
            "KEYS h*\r\nEXEC"),
      "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*8|:5|:7|:1|*4|$1|a|$1|5|$3|new|$1|7|:2|"
      "*0|+hash|*2|$4|h[a]|$4|h[b]|");
}

TEST(Multi, SurvivesAStoreThatDecidesLate) {
  World w;
  w.store.undecided = true;
  EXPECT_EQ(w.Ask("INCR k\r\nMULTI\r\nINCR k\r\nHINCRBY h f 1\r\nHGETALL h\r\nEXEC\r\nINCR k\r\nPING"),
            ":1|+OK|+QUEUED|+QUEUED|+QUEUED|*3|:2|:1|*2|$1|f|$1|1|:3|+PONG|");
  EXPECT_EQ(w.Ask("WATCH k\r\nINCR k\r\nMULTI\r\nINCR k\r\nEXEC\r\nGET k"), "+OK|:4|+OK|+QUEUED|*-1|$1|4|");
}

TEST(Multi, AnUnknownOutcomeIsOneErrorForTheWholeTransaction) {
  World w;
  for (bool undecided : {false, true}) {
    w.store.undecided = undecided;
    w.Ask("MULTI\r\nINCR k\r\nINCR k");
    w.store.outcome = Code::kUnknownOutcome;
    EXPECT_EQ(w.Ask("EXEC"), "-UNCERTAIN the commit failed, the effect is unknown|");
    w.store.outcome = Code::kOk;
    EXPECT_EQ(w.Ask("PING"), "+PONG|");
  }
}

TEST(Multi, SeesAGroupAsItIsAtThatMoment) {
  World w;
  w.Ask("HSET h a 1");
  EXPECT_EQ(w.Ask("MULTI\r\nHINCRBY h b 2\r\nHGETALL h\r\nDEL h\r\nHLEN h\r\nTYPE h\r\nHINCRBY h c 3\r\nTYPE h\r\n"
                  "HSCAN h 0\r\nEXEC"),
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|"
            "*8|:2|*4|$1|a|$1|1|$1|b|$1|2|:1|:0|+none|:3|+hash|*2|$1|0|*2|$1|c|$1|3|");
}

TEST(Multi, AWatchedGroupHasChangedWhenAFieldDid) {
  World w;
  auto other = w.Connect();
  w.Ask("HSET h a 1");
  for (const char* change : {"HINCRBY h a 1", "HINCRBY h new 0", "HDEL h a", "EXPIRE h 100", "SET h 1", "DEL h"}) {
    EXPECT_EQ(w.Ask("WATCH h"), "+OK|");
    w.Ask(*other, change);
    EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*-1|") << change;
  }
  EXPECT_EQ(w.Ask("WATCH h"), "+OK|");
  w.Ask(*other, "HSET other a 1");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR k\r\nEXEC"), "+OK|+QUEUED|*1|:1|");
}

}  // namespace
}  // namespace quipu::resp
