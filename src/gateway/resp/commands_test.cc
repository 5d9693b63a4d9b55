// Counter commands as a client sees them.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <map>

#include "gateway/resp/expiry.h"
#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(Counters, CountAsRedisDoes) {
  World w;
  EXPECT_EQ(w.Ask("INCR k"), ":1|");
  EXPECT_EQ(w.Ask("incrby k 10"), ":11|");
  EXPECT_EQ(w.Ask("DECR k"), ":10|");
  EXPECT_EQ(w.Ask("DECRBY k 4"), ":6|");
  EXPECT_EQ(w.Ask("GET k"), "$1|6|");
  EXPECT_EQ(w.Ask("GET none"), "$-1|");
  EXPECT_EQ(w.Ask("MGET k none k"), "*3|$1|6|$-1|$1|6|");
}

TEST(Counters, ArithmeticErrorsHaveTheirTexts) {
  World w;
  EXPECT_EQ(w.Ask("SET k 9223372036854775807"), "+OK|");
  EXPECT_EQ(w.Ask("INCR k"), "-ERR increment or decrement would overflow|");
  EXPECT_EQ(w.Ask("GET k"), "$19|9223372036854775807|");
  EXPECT_EQ(w.Ask("DECRBY k -9223372036854775808"), "-ERR decrement would overflow|");
  for (const char* bad : {"INCRBY k abc", "INCRBY k 1.5", "INCRBY k 9223372036854775808", "DECRBY k x", "SET k text",
                          "SETNX k 1x", "GETSET k +1", "INCRBYFLOAT k 1", "HINCRBYFLOAT k f 1", "HINCRBY k f x",
                          "HSET k f x", "MSET k x", "EXPIRE k x", "SET k 1 EX x", "SETEX k x 1"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR value is not an integer or out of range|") << bad;
  }
  EXPECT_EQ(w.AskArgs({"INCRBY", "k", "1 "}), "-ERR value is not an integer or out of range|");
}

TEST(Counters, NamesAreChecked) {
  World w;
  EXPECT_TRUE(w.AskArgs({"INCR", ""}).starts_with("-ERR invalid counter name: "));
  EXPECT_TRUE(w.AskArgs({"INCR", "a\nb"}).starts_with("-ERR invalid counter name: "));
  EXPECT_TRUE(w.AskArgs({"INCR", "\xff"}).starts_with("-ERR invalid counter name: "));
  EXPECT_TRUE(w.AskArgs({"INCR", std::string(1025, 'a')}).starts_with("-ERR invalid counter name: "));
  EXPECT_EQ(w.AskArgs({"INCR", std::string(1024, 'a')}), ":1|");
  EXPECT_EQ(w.AskArgs({"INCR", "h\xc3\xa9llo"}), ":1|");
  EXPECT_TRUE(w.AskArgs({"MSET", "good", "1", "", "2"}).starts_with("-ERR invalid counter name: "));
  EXPECT_EQ(w.Ask("EXISTS good"), ":0|");
}

TEST(Counters, SetTakesItsOptions) {
  World w;
  EXPECT_EQ(w.Ask("SET k 5"), "+OK|");
  EXPECT_EQ(w.Ask("SET k 6 NX"), "$-1|");
  EXPECT_EQ(w.Ask("SET none 6 XX"), "$-1|");
  EXPECT_EQ(w.Ask("SET k 6 XX GET"), "$1|5|");
  EXPECT_EQ(w.Ask("SET new 1 GET"), "$-1|");
  EXPECT_EQ(w.Ask("SET k 7 NX GET"), "$1|6|");
  EXPECT_EQ(w.Ask("GET k"), "$1|6|");
  EXPECT_EQ(w.Ask("SET k 7 EX 100"), "+OK|");
  EXPECT_EQ(w.Ask("TTL k"), ":100|");
  EXPECT_EQ(w.Ask("SET k 8 KEEPTTL"), "+OK|");
  EXPECT_EQ(w.Ask("TTL k"), ":100|");
  EXPECT_EQ(w.Ask("SET k 9"), "+OK|");
  EXPECT_EQ(w.Ask("TTL k"), ":-1|");
  for (const char* bad : {"SET k 1 NX XX", "SET k 1 EX", "SET k 1 EX 1 PX 1", "SET k 1 KEEPTTL EX 1", "SET k 1 FOO",
                          "SET k 1 EX x PX 1"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR syntax error|") << bad;
  }
  for (const char* bad : {"SET k 1 EX 0", "SET k 1 PX -1", "SET k 1 EXAT 0", "SET k 1 EX 9223372036854775807"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR invalid expire time in 'set' command|") << bad;
  }
  EXPECT_EQ(w.Ask("SET k 1 EX 0 EX x"), "-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("SETEX k 0 1"), "-ERR invalid expire time in 'setex' command|");
  EXPECT_EQ(w.Ask("PSETEX k -1 1"), "-ERR invalid expire time in 'psetex' command|");
  EXPECT_EQ(w.Ask("SETEX k 10 1"), "+OK|");
  EXPECT_EQ(w.Ask("PSETEX k 10000 2"), "+OK|");
  EXPECT_EQ(w.Ask("TTL k"), ":10|");
  EXPECT_EQ(w.Ask("SETNX k 1"), ":0|");
  EXPECT_EQ(w.Ask("SETNX fresh 1"), ":1|");
  EXPECT_EQ(w.Ask("MSET a 1 b 2 a 3"), "+OK|");
  EXPECT_EQ(w.Ask("MGET a b"), "*2|$1|3|$1|2|");
  EXPECT_EQ(w.Ask("MSET a 1 b"), "-ERR wrong number of arguments for 'mset' command|");
  EXPECT_EQ(w.Ask("GETSET a 9"), "$1|3|");
  EXPECT_EQ(w.Ask("GETDEL a"), "$1|9|");
  EXPECT_EQ(w.Ask("GETDEL a"), "$-1|");
}

TEST(Counters, SeveralAreSetAllOrNone) {
  World w;
  w.AskArgs({"QUIPU.NSCREATE", "small", R"({"counters_max": 3})"});
  EXPECT_EQ(w.Ask("QUIPU.NS small"), "+OK|");
  EXPECT_EQ(w.Ask("MSET a 1 b 1"), "+OK|");
  const std::string refused = "-OOM quota of counters in this namespace is used up|";
  EXPECT_EQ(w.Ask("MSET a 2 c 2 d 2"), refused);
  EXPECT_EQ(w.Ask("MGET a c d"), "*3|$1|1|$-1|$-1|");
  EXPECT_EQ(w.Ask("HSET h f 1 g 1"), refused);
  EXPECT_EQ(w.Ask("HMSET h f 1 g 1"), refused);
  EXPECT_EQ(w.Ask("HLEN h"), ":0|");
  EXPECT_EQ(w.Ask("MULTI\r\nINCR a\r\nMSET a 9 c 9 d 9\r\nHSET h f 1\r\nINCR a\r\nEXEC"),
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|:2|" + refused + ":1|:3|");
  EXPECT_EQ(w.Ask("DBSIZE"), ":3|");
}

TEST(Counters, GetExSetsTheExpiryOfWhatItReads) {
  World w;
  w.Ask("SET k 5");
  EXPECT_EQ(w.Ask("GETEX k EX 100"), "$1|5|");
  EXPECT_EQ(w.Ask("TTL k"), ":100|");
  EXPECT_EQ(w.Ask("GETEX k"), "$1|5|");
  EXPECT_EQ(w.Ask("TTL k"), ":100|");
  EXPECT_EQ(w.Ask("GETEX k PERSIST"), "$1|5|");
  EXPECT_EQ(w.Ask("TTL k"), ":-1|");
  EXPECT_EQ(w.Ask("GETEX none EX 1"), "$-1|");
  EXPECT_EQ(w.Ask("GETEX k PERSIST EX 1"), "-ERR syntax error|");
  EXPECT_EQ(w.Ask("GETEX k EX 0"), "-ERR invalid expire time in 'getex' command|");
  EXPECT_EQ(w.Ask("GETEX k EX x"), "-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("GETEX none EX 0\r\nGETEX none EX x"), "$-1|$-1|");
}

TEST(Counters, DeleteAndCountKeys) {
  World w;
  w.Ask("MSET a 1 b 2 c 3");
  EXPECT_EQ(w.Ask("EXISTS a a none"), ":2|");
  EXPECT_EQ(w.Ask("TOUCH a none"), ":1|");
  EXPECT_EQ(w.Ask("DEL a none"), ":1|");
  EXPECT_EQ(w.Ask("UNLINK b c"), ":2|");
  EXPECT_EQ(w.Ask("DBSIZE"), ":0|");
}

TEST(Counters, ExpiryFollowsRedis) {
  World w;
  w.Ask("SET k 1");
  EXPECT_EQ(w.Ask("TTL none"), ":-2|");
  EXPECT_EQ(w.Ask("TTL k"), ":-1|");
  EXPECT_EQ(w.Ask("EXPIRE none 10"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100"), ":1|");
  EXPECT_EQ(w.Ask("TTL k"), ":100|");
  EXPECT_EQ(w.Ask("EXPIRE k 200 NX"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 50 GT"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 200 GT XX"), ":1|");
  EXPECT_EQ(w.Ask("EXPIRE k 300 LT"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100 LT XX"), ":1|");
  EXPECT_EQ(w.Ask("PERSIST k"), ":1|");
  EXPECT_EQ(w.Ask("PERSIST k"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100 XX"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100 XX LT"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100 GT"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 100 LT"), ":1|");
  EXPECT_EQ(w.Ask("EXPIREAT k 33177117420"), ":1|");
  EXPECT_EQ(w.Ask("EXPIRETIME k"), ":33177117420|");
  EXPECT_EQ(w.Ask("PEXPIREAT k 33177117420123"), ":1|");
  EXPECT_EQ(w.Ask("PEXPIRETIME k"), ":33177117420123|");
  EXPECT_EQ(w.Ask("PEXPIRE k 10000"), ":1|");
  EXPECT_TRUE(w.Ask("PTTL k").starts_with(":99"));
  EXPECT_EQ(w.Ask("EXPIRE k -1"), ":1|");
  EXPECT_EQ(w.Ask("EXISTS k"), ":0|");
  EXPECT_EQ(w.Ask("EXPIRE k 1 NX XX"), "-ERR NX and XX, GT or LT options at the same time are not compatible|");
  EXPECT_EQ(w.Ask("EXPIRE k 1 GT LT"), "-ERR GT and LT options at the same time are not compatible|");
  EXPECT_EQ(w.Ask("EXPIRE k 1 AB"), "-ERR Unsupported option AB|");
  EXPECT_EQ(w.Ask("EXPIRE k 9223372036854775807"), "-ERR invalid expire time in 'expire' command|");
  EXPECT_EQ(w.Ask("PEXPIRE k 9223372036854775807"), "-ERR invalid expire time in 'pexpire' command|");
  EXPECT_EQ(w.Ask("EXPIREAT k 9223372036854775807"), "-ERR invalid expire time in 'expireat' command|");
}

TEST(Counters, ATimeNotAfterNowIsPastForEveryClock) {
  for (ExpiryUnit unit : {ExpiryUnit::kSeconds, ExpiryUnit::kMillis}) {
    EXPECT_EQ(ExpiryAtMs(unit, 0, 1'000'000), 1);
    EXPECT_EQ(ExpiryAtMs(unit, -5, 1'000'000), 1);
  }
  EXPECT_EQ(ExpiryAtMs(ExpiryUnit::kMillis, 1, 1'000'000), 1'000'001);
}

TEST(Counters, AnExpiredCounterStartsAgain) {
  World w;
  w.Ask("INCRBY k 7");
  w.Ask("PEXPIRE k 100");
  w.loop.RunFor(200'000);
  EXPECT_EQ(w.Ask("GET k"), "$-1|");
  EXPECT_EQ(w.Ask("INCR k"), ":1|");
  EXPECT_EQ(w.Ask("TTL k"), ":-1|");
}

TEST(Groups, FieldsAreCounters) {
  World w;
  EXPECT_EQ(w.Ask("HINCRBY h f 5"), ":5|");
  EXPECT_EQ(w.Ask("HSET h f 6 g 1"), ":1|");
  EXPECT_EQ(w.Ask("GET h[f]"), "$1|6|");
  EXPECT_EQ(w.Ask("HGET h f"), "$1|6|");
  EXPECT_EQ(w.Ask("HGET h none"), "$-1|");
  EXPECT_EQ(w.Ask("HMGET h f none"), "*2|$1|6|$-1|");
  EXPECT_EQ(w.Ask("HGETALL h"), "*4|$1|f|$1|6|$1|g|$1|1|");
  EXPECT_EQ(w.Ask("HKEYS h"), "*2|$1|f|$1|g|");
  EXPECT_EQ(w.Ask("HVALS h"), "*2|$1|6|$1|1|");
  EXPECT_EQ(w.Ask("HLEN h"), ":2|");
  EXPECT_EQ(w.Ask("HEXISTS h g"), ":1|");
  EXPECT_EQ(w.Ask("HSCAN h 0 MATCH g*"), "*2|$1|0|*2|$1|g|$1|1|");
  EXPECT_EQ(w.Ask("HSCAN h 7"), "*2|$1|0|*4|$1|g|$1|1|$1|f|$1|6|");
  EXPECT_EQ(w.Ask("HSCAN h -1"), "*2|$1|0|*0|");
  EXPECT_EQ(w.Ask("HSCAN h x"), "-ERR invalid cursor|");
  EXPECT_EQ(w.Ask("HDEL h f none"), ":1|");
  EXPECT_EQ(w.Ask("HGETALL none"), "*0|");
  EXPECT_EQ(w.Ask("TYPE h"), "+hash|");
  EXPECT_EQ(w.Ask("INCR h"), ":1|");
  EXPECT_EQ(w.Ask("TYPE h"), "+string|");
  EXPECT_EQ(w.Ask("TYPE none"), "+none|");
  EXPECT_EQ(w.Ask("HSET h f"), "-ERR wrong number of arguments for 'hset' command|");
  EXPECT_EQ(w.Ask("HSET h f 1 g"), "-ERR wrong number of arguments for 'hset' command|");
  for (const char* bad : {"HINCRBY h a]b 1", "HINCRBY h [ 1", "HINCRBY h[ f 1", "HINCRBY h] f 1"}) {
    EXPECT_EQ(w.Ask(bad),
              "-ERR invalid counter name: the key of a group is not empty, neither key nor field holds [ or ]|")
        << bad;
  }
  EXPECT_EQ(w.AskArgs({"HINCRBY", "h", "", "1"}), ":1|");
  EXPECT_EQ(w.AskArgs({"HINCRBY", "", "f", "1"}),
            "-ERR invalid counter name: the key of a group is not empty, neither key nor field holds [ or ]|");
}

TEST(Groups, AreKeysAsAWhole) {
  World w;
  w.Ask("HSET h f 6 g 1");
  w.Ask("HSET h2 f 1");
  EXPECT_EQ(w.Ask("EXISTS h h none"), ":2|");
  EXPECT_EQ(w.Ask("TOUCH h"), ":1|");
  EXPECT_EQ(w.Ask("TTL h"), ":-1|");
  EXPECT_EQ(w.Ask("EXPIRE h 100"), ":1|");
  EXPECT_EQ(w.Ask("EXPIRE h 200 NX"), ":0|");
  EXPECT_EQ(w.Ask("TTL h"), ":100|");
  EXPECT_EQ(w.Ask("HINCRBY h new 1"), ":1|");
  EXPECT_EQ(w.Ask("HSET h f 7"), ":0|");
  for (const char* field : {"TTL h[new]", "TTL h[f]", "TTL h[g]"}) EXPECT_EQ(w.Ask(field), ":100|") << field;
  EXPECT_EQ(w.Ask("PERSIST h"), ":1|");
  EXPECT_EQ(w.Ask("TTL h"), ":-1|");
  EXPECT_EQ(w.Ask("PEXPIRE h 500"), ":1|");
  w.loop.RunFor(600'000);
  EXPECT_EQ(w.Ask("HGETALL h"), "*0|");
  EXPECT_EQ(w.Ask("TYPE h"), "+none|");
  w.Ask("HSET h f 6 g 1");
  w.Ask("SET h 5");
  EXPECT_EQ(w.Ask("DEL h h none"), ":1|");
  EXPECT_EQ(w.Ask("EXISTS h h[f] h[g] h2[f]"), ":1|");
  w.Ask("HSET h f 6 g 1");
  EXPECT_EQ(w.Ask("EXPIREAT h 1"), ":1|");
  EXPECT_EQ(w.Ask("HLEN h"), ":0|");
  EXPECT_EQ(w.Ask("UNLINK h2"), ":1|");
  EXPECT_EQ(w.Ask("DBSIZE"), ":0|");
}

TEST(Groups, HsetnxSetsOnlyWhatIsMissingAndHmsetAnswersOk) {
  World w;
  EXPECT_EQ(w.Ask("HSETNX h f 6"), ":1|");
  EXPECT_EQ(w.Ask("HSETNX h f 7"), ":0|");
  EXPECT_EQ(w.Ask("HMSET h f 8 g 9"), "+OK|");
  EXPECT_EQ(w.Ask("HGETALL h"), "*4|$1|f|$1|8|$1|g|$1|9|");
  EXPECT_EQ(w.Ask("HMSET h f"), "-ERR wrong number of arguments for 'hmset' command|");
  EXPECT_EQ(w.Ask("HMSET h f 1 g"), "-ERR wrong number of arguments for 'hmset' command|");
  EXPECT_EQ(w.Ask("HSETNX h g x"), "-ERR value is not an integer or out of range|");
}

TEST(Groups, HscanGivesEveryFieldThatStaysExactlyOnceWhateverComesAndGoes) {
  World w;
  for (int i = 0; i < 100; ++i) w.Ask(fmt::format("HSET h stays{} {} goes{} 1", i, i, i));
  std::map<std::string, int> seen;
  std::string cursor = "0";
  int pages = 0;
  do {
    std::string page = w.Ask("HSCAN h " + cursor + " MATCH stays* COUNT 7");
    std::vector<std::string> parts;
    for (size_t at = 0, end; (end = page.find('|', at)) != std::string::npos; at = end + 1) {
      if (page[at] != '*' && page[at] != '$') parts.push_back(page.substr(at, end - at));
    }
    ASSERT_FALSE(parts.empty()) << page;
    cursor = parts[0];
    for (size_t i = 1; i < parts.size(); i += 2) {
      ++seen[parts[i]];
      EXPECT_EQ(parts[i], "stays" + parts[i + 1]);
    }
    w.Ask(fmt::format("HDEL h goes{} goes{}", pages, 99 - pages));
    w.Ask(fmt::format("HSET h comes{} 1", pages));
    ++pages;
  } while (cursor != "0" && pages < 200);
  EXPECT_GT(pages, 20);
  EXPECT_EQ(seen.size(), 100u);
  for (const auto& [field, times] : seen) EXPECT_EQ(times, 1) << field;
  EXPECT_EQ(w.Ask("HSCAN none 0"), "*2|$1|0|*0|");
  EXPECT_EQ(w.Ask("HSCAN h 0 COUNT 0"), "-ERR syntax error|");
}

TEST(Groups, Resp3ShowsAMap) {
  World w;
  w.Ask("HSET h f 6");
  w.Ask("HELLO 3");
  EXPECT_EQ(w.Ask("HGETALL h"), "%1|$1|f|$1|6|");
  EXPECT_EQ(w.Ask("GET none"), "_|");
}

TEST(Listings, ScanGivesEveryCounterOnce) {
  World w;
  for (int i = 0; i < 60; ++i) w.Ask("INCR k:" + std::to_string(i));
  std::map<std::string, int> seen;
  std::string cursor = "0";
  do {
    std::string reply = w.Ask("SCAN " + cursor + " COUNT 7");
    std::vector<std::string> lines;
    size_t at = 0;
    for (size_t end; (end = reply.find('|', at)) != std::string::npos; at = end + 1)
      lines.push_back(reply.substr(at, end - at));
    ASSERT_EQ(lines[0], "*2");
    cursor = lines[2];
    for (size_t i = 5; i < lines.size(); i += 2) ++seen[lines[i]];
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 60u);
  for (const auto& [name, times] : seen) EXPECT_EQ(times, 1) << name;
  EXPECT_EQ(w.Ask("SCAN 0 MATCH k:3 COUNT 1000"), "*2|$1|0|*1|$3|k:3|");
  EXPECT_EQ(w.Ask("SCAN 0 TYPE hash COUNT 1000"), "*2|$1|0|*0|");
  EXPECT_EQ(w.Ask("SCAN x"), "-ERR invalid cursor|");
  EXPECT_EQ(w.Ask("SCAN 0 COUNT 0"), "-ERR syntax error|");
  EXPECT_EQ(w.Ask("SCAN 0 COUNT x"), "-ERR value is not an integer or out of range|");
  EXPECT_EQ(w.Ask("SCAN 0 FOO"), "-ERR syntax error|");
}

TEST(Listings, KeysMatchesAndRefusesTooMany) {
  World w({.keys_hits_max = 3});
  w.Ask("MSET a1 1 a2 2 b1 3 c1 4");
  EXPECT_EQ(w.Ask("KEYS a*"), "*2|$2|a1|$2|a2|");
  EXPECT_EQ(w.Ask("KEYS ?1"), "*3|$2|a1|$2|b1|$2|c1|");
  EXPECT_EQ(w.Ask("KEYS [^a]1"), "*2|$2|b1|$2|c1|");
  EXPECT_EQ(w.Ask("KEYS none"), "*0|");
  EXPECT_EQ(w.Ask("KEYS *"), "-ERR KEYS matches more than 3 counters, use SCAN|");
  EXPECT_EQ(w.Ask("DBSIZE"), ":4|");
}

TEST(Listings, TopShowsTheLargest) {
  World w;
  w.Ask("MSET a 5 b 7 c 1 d 7");
  EXPECT_EQ(w.Ask("QUIPU.TOP 2"), "*2|*2|$1|b|:7|*2|$1|d|:7|");
  EXPECT_EQ(w.Ask("QUIPU.TOP 1 ASC"), "*1|*2|$1|c|:1|");
  EXPECT_EQ(w.Ask("QUIPU.TOP 5 PREFIX a"), "*1|*2|$1|a|:5|");
  EXPECT_EQ(w.Ask("QUIPU.TOP 0"), "-ERR count is 0, allowed are 1 to 10000|");
}

// As in Redis any number is taken for one: the scan goes on from that place, and ends.
TEST(Listings, ACursorThatNobodyGaveOutEndsLikeAnyOther) {
  World w;
  for (int i = 0; i < 40; ++i) w.Ask("INCR k" + std::to_string(i));
  uint64_t state = 1;
  for (int n = 0; n < 200; ++n) {
    state = state * 6364136223846793005 + 1442695040888963407;
    const uint64_t foreign = n == 0 ? UINT64_MAX : n == 1 ? 1 : state;
    std::string cursor = std::to_string(foreign);
    int pages = 0;
    do {
      const std::string page = w.Ask("SCAN " + cursor + " COUNT 5");
      ASSERT_TRUE(page.starts_with("*2|$")) << page;
      const size_t begin = page.find('|', 3) + 1;
      cursor = page.substr(begin, page.find('|', begin) - begin);
      ASSERT_LT(++pages, 50) << foreign;
    } while (cursor != "0");
  }
  EXPECT_EQ(w.Ask("SCAN -1"), w.Ask("SCAN 18446744073709551615"));
  EXPECT_EQ(w.AskArgs({"SCAN", "", "COUNT", "100"}), w.Ask("SCAN 0 COUNT 100"));
  for (const char* bad : {"SCAN -", "SCAN abc", "SCAN 18446744073709551616", "SCAN 1.5"}) {
    EXPECT_EQ(w.Ask(bad), "-ERR invalid cursor|") << bad;
  }
}

TEST(Listings, FlushIsOffUnlessAllowed) {
  World off;
  EXPECT_EQ(off.Ask("FLUSHALL"),
            "-NOPERM User default has no permissions to run the 'flushall' command: resp.allow_flush is false|");
  World w({.allow_flush = true});
  for (int i = 0; i < 5; ++i) w.Ask("MSET a" + std::to_string(i) + " 1 b" + std::to_string(i) + " 2");
  EXPECT_EQ(w.Ask("INCR x\r\nFLUSHALL\r\nDBSIZE\r\nINCR x"), ":1|+OK|:0|:1|");
  EXPECT_EQ(w.Ask("FLUSHDB ASYNC"), "+OK|");
  EXPECT_EQ(w.Ask("FLUSHDB x"), "-ERR syntax error|");
}

TEST(Objects, TellWhatTheyAre) {
  World w;
  w.Ask("INCR k");
  EXPECT_EQ(w.Ask("OBJECT ENCODING k"), "$3|int|");
  EXPECT_EQ(w.Ask("OBJECT ENCODING none"), "$-1|");
  EXPECT_EQ(w.Ask("MEMORY USAGE k"), ":65|");
  EXPECT_EQ(w.Ask("MEMORY USAGE none"), "$-1|");
}

}  // namespace
}  // namespace quipu::resp
