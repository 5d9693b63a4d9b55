// QUIPU.*: tokens, namespaces, events, the importer's commands.
#include <gtest/gtest.h>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(QuipuAdd, CountsATokenOnce) {
  World w;
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 TOKEN t"), "*2|:5|$7|APPLIED|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1"), "*2|:6|$7|APPLIED|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 TOKEN t"), "*2|:5|$8|REPLAYED|");
  EXPECT_TRUE(w.Ask("QUIPU.ADD k 4 TOKEN t").starts_with("-TOKENCONFLICT "));
  EXPECT_EQ(w.Ask("QUIPU.ADD other 4 TOKEN t"), "*2|:4|$7|APPLIED|") << "a token belongs to its counter";
}

TEST(QuipuAdd, BoundsAddTheAmount) {
  World w;
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 UBOUND 7"), "*3|:5|$7|APPLIED|:5|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 UBOUND 7 TOKEN t"), "*3|:5|$7|REFUSED|:0|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 UBOUND 7 SATURATE"), "*3|:7|$9|SATURATED|:2|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 5 UBOUND 7 TOKEN t"), "*3|:5|$8|REPLAYED|:0|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 9223372036854775807"), "-ERR increment or decrement would overflow|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 LBOUND 2 UBOUND 1"), "-ERR LBOUND can't be greater than UBOUND|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k x"), "-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 GEN 5"), "-ERR syntax error|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 TOKEN"), "-ERR syntax error|");
  EXPECT_TRUE(w.AskArgs({"QUIPU.ADD", "k", "1", "TOKEN", ""}).starts_with("-ERR "));
  EXPECT_TRUE(w.AskArgs({"QUIPU.ADD", "k", "1", "TOKEN", std::string(129, 't')}).starts_with("-ERR "));
}

TEST(QuipuAdd, TimesOfTokensAreJudged) {
  World w;
  int64_t now = w.loop.WallMicros() / 1000;
  EXPECT_TRUE(
      w.Ask("QUIPU.ADD k 1 TOKEN a GEN " + std::to_string(now - 25 * 3600 * 1000)).starts_with("-TOKENEXPIRED "));
  EXPECT_TRUE(w.Ask("QUIPU.ADD k 1 TOKEN b GEN " + std::to_string(now + 3600 * 1000)).starts_with("-TOKENFUTURE "));
  EXPECT_TRUE(
      w.Ask("QUIPU.ADD k 1 TOKEN c AT " + std::to_string(now - 25 * 3600 * 1000)).starts_with("-TOKENEXPIRED "));
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT 1000"), "*2|:1|$7|APPLIED|");
  EXPECT_EQ(w.Ask("QUIPU.EVENTS k"), "*2|:0|*1|*5|:1|:1000|$3|add|:1|$-1|");
}

TEST(QuipuGet, SaysHowFreshItIs) {
  World w;
  w.Ask("QUIPU.ADD k 5 AT 1000");
  std::string reply = w.Ask("QUIPU.GET k MAXSTALE 500 EXACT");
  EXPECT_TRUE(reply.starts_with("*12|$5|count|:5|$5|as_of|:")) << reply;
  EXPECT_TRUE(reply.ends_with("|$6|lag_ms|:0|$5|exact|:1|$15|last_write_time|:1000|$10|durability|$4|sync|")) << reply;
  EXPECT_NE(w.Ask("QUIPU.GET none").find("count|:0|"), std::string::npos);
  EXPECT_EQ(w.Ask("QUIPU.GET k FOO"), "-ERR syntax error|");
}

TEST(QuipuClear, ClearsOnceForEachToken) {
  World w;
  w.Ask("SET k 5");
  EXPECT_EQ(w.Ask("QUIPU.CLEAR k TOKEN t"), "*2|:0|$7|APPLIED|");
  w.Ask("INCR k");
  EXPECT_EQ(w.Ask("QUIPU.CLEAR k TOKEN t"), "*2|:0|$8|REPLAYED|");
  EXPECT_EQ(w.Ask("GET k"), "$1|1|");
  EXPECT_EQ(w.Ask("QUIPU.CLEAR k DELETE"), "*2|:0|$7|APPLIED|");
  EXPECT_EQ(w.Ask("EXISTS k"), ":0|");
}

TEST(QuipuToken, TellsWhatBecameOfIt) {
  World w;
  EXPECT_EQ(w.Ask("QUIPU.TOKEN k t"), "$-1|");
  w.Ask("QUIPU.ADD k 9 UBOUND 5 SATURATE TOKEN t AT " + std::to_string(w.loop.WallMicros() / 1000));
  std::string reply = w.Ask("QUIPU.TOKEN k t");
  EXPECT_TRUE(reply.starts_with("*16|$6|status|$9|SATURATED|$4|kind|$3|add|$5|delta|:9|$6|result|:5|$7|applied|:5|"))
      << reply;
}

TEST(QuipuNs, NamespacesAreApart) {
  World w({.databases = {"default", "other"}});
  EXPECT_EQ(w.Ask("QUIPU.NS"), "$7|default|");
  EXPECT_EQ(w.Ask("SELECT 1"), "-ERR no such namespace 'other': QUIPU.NSCREATE makes one|");
  EXPECT_TRUE(w.AskArgs({"QUIPU.NSCREATE", "other", "{\"durability\":\"memory\"}"}).starts_with("$"));
  EXPECT_EQ(w.Ask("QUIPU.NSCREATE other").substr(0, 5), "-ERR ");
  EXPECT_EQ(w.Ask("INCR k"), ":1|");
  EXPECT_EQ(w.Ask("SELECT 1\r\nINCR k\r\nINCR k\r\nQUIPU.NS\r\nDBSIZE"), "+OK|:1|:2|$5|other|:1|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 TOKEN t"), "*2|:3|$11|UNPROTECTED|");
  EXPECT_EQ(w.Ask("QUIPU.NS default\r\nGET k"), "+OK|$1|1|");
  EXPECT_EQ(w.Ask("QUIPU.NS none"), "-ERR no such namespace 'none': QUIPU.NSCREATE makes one|");
  EXPECT_EQ(w.Ask("QUIPU.NSLIST"), "*2|$7|default|$5|other|");
  EXPECT_NE(w.Ask("QUIPU.NSGET other").find("memory"), std::string::npos);
  EXPECT_TRUE(w.AskArgs({"QUIPU.NSSET", "other", "9", "{}"}).starts_with("-ERR version mismatch"));
  EXPECT_NE(w.AskArgs({"QUIPU.NSSET", "other", "1", "{\"durability\":\"async\"}"}).find("async"), std::string::npos);
  EXPECT_NE(w.Ask("QUIPU.NSGET other").find("\"loss_window\":\"0"), std::string::npos) << "a store in memory has none";
  EXPECT_EQ(w.Ask("QUIPU.NSGET default").find("loss_window"), std::string::npos);
  EXPECT_TRUE(w.AskArgs({"QUIPU.NSSET", "other", "2", "{\"nosuch\":1}"}).starts_with("-ERR "));
}

constexpr const char* kId = "000102030405060708090a0b0c0d0e0f";
constexpr const char* kAnchor = "ffffffffffffffffffffffffffffffff";
constexpr const char* kPrint = "0000000000000000000000000000abcd";

// The fixed part of a step, and what follows it.
std::vector<std::string> Step(std::string_view from, std::string_view to, std::initializer_list<std::string> rest) {
  std::vector<std::string> args = {"QUIPU.INGEST", kId, kAnchor, kPrint, std::string(from), std::string(to), "a.log"};
  args.insert(args.end(), rest);
  return args;
}

TEST(Ingest, AStepThatOneCommitCannotHoldClosesTheConnectionForThatReason) {
  World w;
  w.store.refusal = Code::kTooLarge;
  EXPECT_EQ(w.AskArgs(Step("0", "100", {"SAME", "0", "0", "1", "k", "5", "1000", "1"})),
            "-ERR Protocol error: request too large for one commit|");
  w.loop.RunFor(3'000'000);
  EXPECT_EQ(w.seen.closed, std::vector<std::string>{"too_large"});
}

TEST(Ingest, MovesASourceOnOnceAndReportsRefusals) {
  World w;
  EXPECT_EQ(w.AskArgs({"QUIPU.SOURCES", kAnchor}), "*0|");
  std::vector<std::string> step = Step("0", "100", {"NEW",  "1", "1", "40", kPrint, "2", "1", "3", "k",  "5",
                                                    "1000", "2", "",  "1",  "-1",   "3", "k", "x", "-1", "4"});
  EXPECT_TRUE(w.AskArgs(step).starts_with("*4|$7|APPLIED|:100|:2|*2|*2|:1|$")) << "the empty name and the bad delta";
  EXPECT_EQ(w.AskArgs(step), "*4|$9|ELSEWHERE|:100|:0|*0|");
  EXPECT_EQ(w.Ask("GET k"), "$1|5|");
  EXPECT_EQ(w.AskArgs(Step("100", "200", {"NEW", "0", "0", "0"})), "*4|$7|APPLIED|:200|:0|*0|");
  std::string sources = w.AskArgs({"QUIPU.SOURCES", kAnchor});
  EXPECT_TRUE(sources.starts_with(std::string("*1|*9|$32|") + kId + "|:200|$32|" + kPrint + "|$5|a.log|:")) << sources;
  EXPECT_TRUE(
      sources.ends_with(std::string("|:2|:8|*4|:40|$32|") + kPrint + "|:2|:1|*4|:100|$32|" + kPrint + "|:2|:8|"))
      << sources;
}

TEST(Ingest, ErrorsNameTheField) {
  World w;
  const auto ask = [&w](std::string_view from, std::string_view to, std::initializer_list<std::string> rest) {
    return w.AskArgs(Step(from, to, rest));
  };
  EXPECT_EQ(w.AskArgs({"QUIPU.SOURCES", "xyz"}), "-ERR anchor is not 32 hexadecimal digits|");
  EXPECT_EQ(w.AskArgs({"QUIPU.INGEST", "x", kAnchor, kPrint, "0", "1", "l", "SAME", "0", "0", "0"}),
            "-ERR id is not 32 hexadecimal digits|");
  EXPECT_EQ(w.AskArgs({"QUIPU.INGEST", kId, kAnchor, kPrint, "0", "1", std::string(256, 'l'), "SAME", "0", "0", "0"}),
            "-ERR label has 256 bytes, at most 255 are allowed|");
  EXPECT_EQ(ask("5", "1", {"SAME", "0", "0", "0"}), "-ERR to is 1, before from, which is 5|");
  EXPECT_EQ(ask("0", "9223372036854775808", {"SAME", "0", "0", "0"}),
            "-ERR to is 9223372036854775808, at most 9223372036854775807 is allowed|");
  EXPECT_EQ(ask("0", "1", {"OLD", "0", "0", "0"}), "-ERR reader is neither NEW nor SAME|");
  EXPECT_EQ(ask("0", "1", {"SAME", "9223372036854775808", "0", "0"}),
            "-ERR refused is 9223372036854775808, at most 9223372036854775807 is allowed|");
  EXPECT_EQ(ask("0", "1", {"SAME", "0", "65", "0"}), "-ERR marks are 65, at most 64 are allowed|");
  constexpr const char* kArityError = "-ERR wrong number of arguments for 'quipu.ingest' command|";
  EXPECT_EQ(ask("0", "1", {"SAME", "0", "1", "0"}), kArityError);
  EXPECT_EQ(ask("0", "1", {"SAME", "0", "0", "2", "k", "1", "-1", "1"}), kArityError);
  EXPECT_EQ(ask("10", "20", {"SAME", "0", "1", "10", kPrint, "0", "0", "0"}),
            "-ERR offset of a mark is 10, it must be 11 to 20|");
  EXPECT_EQ(ask("10", "20", {"SAME", "0", "1", "21", kPrint, "0", "0", "0"}),
            "-ERR offset of a mark is 21, it must be 11 to 20|");
  EXPECT_EQ(ask("10", "20", {"SAME", "0", "1", "15", "x", "0", "0", "0"}),
            "-ERR fingerprint of a mark is not 32 hexadecimal digits|");
  EXPECT_EQ(ask("10", "20", {"SAME", "0", "1", "15", kPrint, "0", "9223372036854775808", "0"}),
            "-ERR records of a mark are 0 and 9223372036854775808, at most 9223372036854775807 is allowed|");
  EXPECT_EQ(ask("0", "1", {"SAME", "0", "0", "2", "k", "1", "-1", "1", "k", "1", "-1", "4294967296"}),
            "-ERR records of an item are 4294967296, they must be 0 to 4294967295|");
  EXPECT_EQ(w.Ask("GET k"), "$-1|") << "nothing of a step with an error counts";
}

TEST(Ingest, AFullTableOfSourcesHasItsOwnError) {
  World w;
  w.store.refusal = Code::kQuotaExceeded;
  EXPECT_EQ(w.AskArgs(Step("0", "100", {"SAME", "0", "0", "1", "k", "5", "1000", "1"})),
            "-OOM quota of sources is used up: the server knows as many as engine.sources_max allows|");
}

TEST(Ingest, WorksWithAStoreThatDecidesLate) {
  World w;
  w.store.undecided = true;
  std::vector<std::string> step = Step("0", "100", {"SAME", "0", "0", "1", "k", "5", "1000", "1"});
  EXPECT_EQ(w.AskArgs(step), "*4|$7|APPLIED|:100|:0|*0|");
  EXPECT_EQ(w.AskArgs(step), "*4|$9|ELSEWHERE|:100|:0|*0|");
}

TEST(QuipuAdd, TimesBeyondWhatIsStoredAreRefusedWithTheLimits) {
  World w;
  const std::string limits = " ms, out of range [-4503599627370, 4503599627370]|";
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT 4503599627371"), "-ERR event time AT is 4503599627371" + limits);
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT -4503599627371"), "-ERR event time AT is -4503599627371" + limits);
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 TOKEN t GEN 9223372036854775807"),
            "-ERR event time GEN is 9223372036854775807" + limits);
  EXPECT_EQ(w.Ask("QUIPU.CLEAR k TOKEN t GEN 4503599627371"), "-ERR event time GEN is 4503599627371" + limits);
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT 9223372036854775808"), "-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("GET k"), "$-1|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT 4503599627370"), "*2|:1|$7|APPLIED|");
  EXPECT_EQ(w.Ask("QUIPU.ADD k 1 AT -4503599627370"), "*2|:2|$7|APPLIED|");
  EXPECT_EQ(w.AskArgs(Step("0", "9", {"NEW", "0", "0", "2", "a", "1", "4503599627371", "1", "b", "1", "5", "1"})),
            "*4|$7|APPLIED|:9|:1|*1|*2|:0|$92|ERR event time of the item is 4503599627371" + limits);
}

}  // namespace
}  // namespace quipu::resp
