// Handshake, authentication, CLIENT, CONFIG, INFO: what clients do before and around counting.
#include <gtest/gtest.h>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(Hello, AnswersInTheShapeOfItsVersion) {
  World w;
  EXPECT_EQ(
      w.Ask("HELLO"),
      "*14|$6|server|$5|redis|$7|version|$5|7.2.0|$5|proto|:2|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|"
      "modules|*1|*8|$4|name|$5|quipu|$3|ver|:100|$4|path|$0||$4|args|*0|");
  EXPECT_EQ(
      w.Ask("HELLO 3 SETNAME me"),
      "%7|$6|server|$5|redis|$7|version|$5|7.2.0|$5|proto|:3|$2|id|:1|$4|mode|$10|standalone|$4|role|$6|master|$7|"
      "modules|*1|%4|$4|name|$5|quipu|$3|ver|:100|$4|path|$0||$4|args|*0|");
  EXPECT_EQ(w.Ask("CLIENT GETNAME"), "$2|me|");
  EXPECT_EQ(w.Ask("RESET\r\nCLIENT GETNAME"), "+RESET|$-1|");
}

TEST(Hello, RefusesWithTheTextsOfRedis) {
  World w;
  EXPECT_EQ(w.Ask("HELLO 4"), "-NOPROTO unsupported protocol version|");
  EXPECT_EQ(w.Ask("HELLO x"), "-ERR Protocol version is not an integer or out of range|");
  EXPECT_EQ(w.Ask("HELLO 3 FOO"), "-ERR Syntax error in HELLO option 'FOO'|");
  EXPECT_EQ(w.AskArgs({"HELLO", "3", "SETNAME", "a b"}),
            "-ERR Client names cannot contain spaces, newlines or special characters.|");
  EXPECT_EQ(w.Ask("GET none"), "$-1|") << "still RESP2";
}

TEST(Auth, NothingIsRunBeforeThePassword) {
  World w({.password = "secret"});
  EXPECT_EQ(w.Ask("INCR k"), "-NOAUTH Authentication required.|");
  EXPECT_EQ(w.Ask("EXEC"), "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.|");
  EXPECT_EQ(
      w.Ask("HELLO 3"),
      "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
      "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time|");
  EXPECT_EQ(w.Ask("AUTH wrong"), "-WRONGPASS invalid username-password pair or user is disabled.|");
  EXPECT_EQ(w.Ask("AUTH default secre"), "-WRONGPASS invalid username-password pair or user is disabled.|");
  EXPECT_EQ(w.Ask("AUTH secretsecret"), "-WRONGPASS invalid username-password pair or user is disabled.|");
  EXPECT_EQ(w.Ask("AUTH other secret"), "-WRONGPASS invalid username-password pair or user is disabled.|");
  EXPECT_EQ(w.Ask("AUTH a b c"), "-ERR syntax error|");
  EXPECT_EQ(w.seen.auth_failed, 4);
  EXPECT_EQ(w.Ask("AUTH default secret"), "+OK|");
  EXPECT_EQ(w.Ask("INCR k"), ":1|");
  EXPECT_EQ(w.Ask("RESET\r\nINCR k"), "+RESET|-NOAUTH Authentication required.|");
  EXPECT_TRUE(w.Ask("HELLO 3 AUTH default secret").starts_with("%7|"));
  EXPECT_EQ(w.Ask("INCR k"), ":2|");
}

TEST(Auth, LimitsBeforeThePasswordAreSmall) {
  World w({.password = "secret"});
  EXPECT_EQ(w.Exchange(*w.client, "*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length|");
  auto second = w.Connect();
  EXPECT_EQ(w.Exchange(*second, "*2\r\n$16385\r\n"), "-ERR Protocol error: unauthenticated bulk length|");
}

TEST(Auth, WithoutAPasswordIsTold) {
  World w;
  EXPECT_EQ(w.Ask("AUTH x"),
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
            "configuration is correct?|");
  EXPECT_EQ(w.Ask("AUTH default anything"), "+OK|");
}

TEST(Commands, UnknownOnesAndWrongOnesHaveTheTextsOfRedis) {
  World w;
  EXPECT_EQ(w.Ask("foo a b"), "-ERR unknown command 'foo', with args beginning with: 'a' 'b' |");
  EXPECT_EQ(w.Ask("get"), "-ERR wrong number of arguments for 'get' command|");
  EXPECT_EQ(w.Ask("PING a b"), "-ERR wrong number of arguments for 'ping' command|");
  EXPECT_EQ(w.Ask("CLIENT"), "-ERR wrong number of arguments for 'client' command|");
  EXPECT_EQ(w.Ask("CLIENT KILL"), "-ERR wrong number of arguments for 'client|kill' command|");
  EXPECT_EQ(w.Ask("client maint_notifications on"), "-ERR unknown subcommand 'maint_notifications'. Try CLIENT HELP.|");
  EXPECT_EQ(w.Ask("CLIENT TRACKING ON"), "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.|");
  EXPECT_EQ(w.Ask("CLUSTER NODES"), "-ERR This instance has cluster support disabled|");
  EXPECT_EQ(w.Ask("READONLY"), "-ERR This instance has cluster support disabled|");
  for (const char* off : {"SHUTDOWN", "DEBUG sleep 1", "MONITOR", "FUNCTION LIST"}) {
    EXPECT_TRUE(w.Ask(off).starts_with("-NOPERM User default has no permissions to run the '")) << off;
  }
  EXPECT_EQ(w.AskArgs({"foo\r\nbar"}), "-ERR unknown command 'foo  bar', with args beginning with: |");
}

TEST(Session, SmallCommandsAnswer) {
  World w;
  EXPECT_EQ(w.Ask("PING\r\nPING hi\r\nECHO x"), "+PONG|$2|hi|$1|x|");
  EXPECT_EQ(w.Ask("SELECT 0\r\nSELECT 1\r\nSELECT x"),
            "+OK|-ERR DB index is out of range|-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("WAIT 0 100\r\nWAITAOF 1 0 100\r\nROLE"), ":0|*2|:1|:0|*3|$6|master|:0|*0|");
  EXPECT_EQ(w.Ask("ACL WHOAMI\r\nLATENCY LATEST\r\nLATENCY RESET\r\nLATENCY HISTOGRAM"), "$7|default|*0|:0|*0|");
  EXPECT_TRUE(w.Ask("TIME").starts_with("*2|$10|"));
  EXPECT_TRUE(w.Ask("MODULE LIST").starts_with("*1|*8|$4|name|$5|quipu|"));
}

TEST(Session, RepliesCanBeSwitchedOff) {
  World w;
  EXPECT_EQ(w.Ask("CLIENT REPLY SKIP\r\nINCR k\r\nINCR k"), ":2|");
  EXPECT_EQ(w.Ask("CLIENT REPLY OFF\r\nINCR k\r\nPING\r\nNOSUCH\r\nHGETALL h\r\nMULTI\r\nINCR k\r\nEXEC"), "");
  EXPECT_EQ(w.Ask("CLIENT REPLY ON\r\nGET k"), "+OK|$1|4|");
}

TEST(Client, SaysWhoItIs) {
  World w;
  EXPECT_EQ(w.Ask("CLIENT ID\r\nCLIENT SETNAME n\r\nCLIENT GETNAME"), ":1|+OK|$1|n|");
  EXPECT_EQ(w.Ask("CLIENT SETINFO LIB-NAME lib\r\nCLIENT SETINFO lib-ver 1.2"), "+OK|+OK|");
  EXPECT_EQ(w.Ask("CLIENT SETINFO x y"), "-ERR Unrecognized option 'x'|");
  EXPECT_EQ(w.AskArgs({"CLIENT", "SETINFO", "lib-name", "a b"}),
            "-ERR lib-name cannot contain spaces, newlines or special characters.|");
  EXPECT_EQ(w.Ask("CLIENT NO-EVICT ON\r\nCLIENT NO-TOUCH OFF\r\nCLIENT NO-TOUCH x"), "+OK|+OK|-ERR syntax error|");
  std::string line = w.Ask("CLIENT INFO");
  for (const char* part :
       {"id=1 ", " addr=127.0.0.1:40000 ", " name=n ", " cmd=client|info ", " lib-name=lib ", " lib-ver=1.2"}) {
    EXPECT_NE(line.find(part), std::string::npos) << part << " in " << line;
  }
}

TEST(Client, ListsAndKillsOthers) {
  World w;
  w.Ask("PING");
  auto second = w.Connect("127.0.0.1:40001");
  w.Ask(*second, "PING");
  std::string list = w.Ask("CLIENT LIST");
  EXPECT_NE(list.find("id=1 "), std::string::npos);
  EXPECT_NE(list.find("id=2 "), std::string::npos);
  EXPECT_EQ(w.Ask("CLIENT LIST ID 2").find("id=1 "), std::string::npos);
  EXPECT_EQ(w.Ask("CLIENT LIST TYPE pubsub"), "$0||");
  EXPECT_EQ(w.Ask("CLIENT KILL 127.0.0.1:1"), "-ERR No such client|");
  EXPECT_EQ(w.Ask("CLIENT KILL ID 2 SKIPME yes"), ":1|");
  w.loop.RunFor(20'000);
  EXPECT_TRUE(second->closed() || second->reset());
  EXPECT_EQ(w.Ask("CLIENT KILL TYPE normal"), ":0|");
  EXPECT_EQ(w.Ask("CLIENT KILL 127.0.0.1:40000"), "+OK|");
  EXPECT_TRUE(w.client->closed());
}

TEST(Config, ShowsWhatClientsAskFor) {
  World w;
  EXPECT_EQ(w.Ask("CONFIG GET save"), "*2|$4|save|$0||");
  EXPECT_EQ(w.Ask("CONFIG GET appendonly"), "*2|$10|appendonly|$3|yes|");
  EXPECT_EQ(w.Ask("CONFIG GET APPENDFSYNC"), "*2|$11|appendfsync|$6|always|");
  EXPECT_EQ(w.Ask("CONFIG GET none"), "*0|");
  EXPECT_EQ(w.Ask("CONFIG SET slowlog-max-len 5 slowlog-log-slower-than 0"), "+OK|");
  EXPECT_EQ(w.Ask("CONFIG GET slowlog-max-len"), "*2|$15|slowlog-max-len|$1|5|");
  EXPECT_TRUE(w.Ask("CONFIG SET maxmemory 1").starts_with("-NOPERM "));
  EXPECT_TRUE(w.Ask("CONFIG SET slowlog-max-len -1").starts_with("-ERR CONFIG SET failed"));
  EXPECT_EQ(w.Ask("INCR k"), ":1|");
  std::string log = w.Ask("SLOWLOG GET 1");
  EXPECT_NE(log.find("*2|$4|incr|$1|k|"), std::string::npos) << log;
  w.Ask("MULTI\r\nHGETALL h\r\nINCR k\r\nEXEC");
  log = w.Ask("SLOWLOG GET 1");
  EXPECT_NE(log.find("|$4|exec|"), std::string::npos) << log;
  EXPECT_EQ(w.Ask("SLOWLOG RESET\r\nSLOWLOG LEN"), "+OK|:0|");
  EXPECT_EQ(w.Ask("CONFIG RESETSTAT"), "+OK|");
}

TEST(Info, HasItsSections) {
  World w;
  w.Ask("INCR k\r\nGET k\r\nGET none\r\nNOSUCH");
  std::string all = w.Ask("INFO");
  for (const char* part :
       {"# Server|redis_version:7.2.0|", "|loading:0|", "|role:master|", "|connected_clients:1|",
        "|keyspace_hits:1|keyspace_misses:1|total_error_replies:1|", "|errorstat_ERR:count=1|", "|cluster_enabled:0|",
        "|db0:keys=1,expires=0,avg_ttl=0|", "|quipu_durability:sync|quipu_loss_window_ms:0|"}) {
    EXPECT_NE(all.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(all.find("cmdstat_"), std::string::npos);
  EXPECT_NE(w.Ask("INFO commandstats").find("|cmdstat_get:calls=2,"), std::string::npos);
  EXPECT_EQ(w.Ask("INFO nosuch"), "$0||");
  w.Ask("HELLO 3");
  EXPECT_TRUE(w.Ask("INFO cluster").starts_with("=34|txt:# Cluster|"));
}

}  // namespace
}  // namespace quipu::resp
