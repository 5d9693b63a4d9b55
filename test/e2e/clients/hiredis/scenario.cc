// hiredis 0.14: scenario PORT. See ../../clients_test.py.
#include <hiredis/hiredis.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

namespace {

using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;
redisContext* context = nullptr;

void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

template <typename... Args>
Reply Call(const char* format, Args... args) {
  Reply reply(static_cast<redisReply*>(redisCommand(context, format, args...)), freeReplyObject);
  Expect(reply != nullptr, context->errstr);
  return reply;
}

template <typename... Args>
long long Integer(const char* format, Args... args) {
  Reply reply = Call(format, args...);
  Expect(reply->type == REDIS_REPLY_INTEGER, format);
  return reply->integer;
}

std::string Text(const redisReply* reply) { return {reply->str, static_cast<size_t>(reply->len)}; }

void Step(const char* name) {
  std::printf("ok %s\n", name);
  std::fflush(stdout);
}

void Counters() {
  Expect(Integer("INCR a") == 1, "INCR");
  Expect(Integer("INCRBY a %d", 41) == 42, "INCRBY");
  Expect(Integer("DECR a") == 41, "DECR");
  Expect(Integer("DECRBY a %d", 48) == -7, "DECRBY");
  Expect(Text(Call("GET a").get()) == "-7", "GET");
  Expect(Call("GET none")->type == REDIS_REPLY_NIL, "GET of a missing key");
  Step("counters");
  for (int i = 0; i < 1000; ++i) redisAppendCommand(context, "INCR p");
  for (int i = 1; i <= 1000; ++i) {
    void* raw = nullptr;
    Expect(redisGetReply(context, &raw) == REDIS_OK, "pipeline");
    Reply reply(static_cast<redisReply*>(raw), freeReplyObject);
    Expect(reply->type == REDIS_REPLY_INTEGER && reply->integer == i, "pipelined INCR");
  }
  Step("pipeline");
}

void Blocks() {
  Expect(Text(Call("MULTI").get()) == "OK", "MULTI");
  Expect(Text(Call("INCR m").get()) == "QUEUED", "queued");
  Expect(Text(Call("INCRBY m 9").get()) == "QUEUED", "queued");
  Reply done = Call("EXEC");
  Expect(done->type == REDIS_REPLY_ARRAY && done->elements == 2 && done->element[1]->integer == 10, "EXEC");
  Step("multi");
  Expect(Text(Call("SET e 5").get()) == "OK" && Integer("EXPIRE e 100") == 1, "EXPIRE");
  long long ttl = Integer("TTL e");
  Expect(ttl >= 90 && ttl <= 100 && Integer("PERSIST e") == 1 && Integer("TTL e") == -1, "TTL");
  Step("expire");
}

void Groups() {
  Expect(Integer("HINCRBY h x 3") == 3 && Integer("HINCRBY h y 4") == 4, "HINCRBY");
  Reply all = Call("HGETALL h");
  Expect(all->elements == 4, "HGETALL");
  std::set<std::string> pairs{Text(all->element[0]) + Text(all->element[1]),
                              Text(all->element[2]) + Text(all->element[3])};
  Expect(pairs == std::set<std::string>{"x3", "y4"}, "HGETALL's pairs");
  Step("hash");
  for (int i = 0; i < 300; ++i) Integer("INCR s:%d", i);
  std::multiset<std::string> found;
  std::string cursor = "0";
  do {
    Reply page = Call("SCAN %s MATCH s:* COUNT 50", cursor.c_str());
    Expect(page->type == REDIS_REPLY_ARRAY && page->elements == 2, "SCAN");
    cursor = Text(page->element[0]);
    for (size_t i = 0; i < page->element[1]->elements; ++i) found.insert(Text(page->element[1]->element[i]));
  } while (cursor != "0");
  Expect(found.size() == 300 && std::set<std::string>(found.begin(), found.end()).size() == 300,
         "SCAN finds each key once");
  Step("scan");
}

void Errors() {
  Reply refused = Call("INCRBY a abc");
  Expect(refused->type == REDIS_REPLY_ERROR && Text(refused.get()) == "ERR value is not an integer or out of range",
         "text");
  Expect(Text(Call("SET big 9223372036854775807").get()) == "OK", "SET");
  Reply over = Call("INCR big");
  Expect(over->type == REDIS_REPLY_ERROR && Text(over.get()) == "ERR increment or decrement would overflow",
         "overflow");
  Expect(Text(Call("GET big").get()) == "9223372036854775807", "unchanged");
  Step("errors");
}

}  // namespace

int main(int argc, char** argv) {
  Expect(argc == 2, "usage: scenario PORT");
  context = redisConnect("127.0.0.1", std::atoi(argv[1]));
  Expect(context != nullptr && context->err == 0, "connect");
  Expect(Text(Call("PING").get()) == "PONG", "PING");
  Step("connect");
  Counters();
  Blocks();
  Groups();
  Errors();
  Expect(Integer("INCR kept") == 1, "before the restart");
  std::printf("restart\n");
  std::fflush(stdout);
  Expect(std::getchar() == 'r', "the word to go on");
  Expect(redisReconnect(context) == REDIS_OK, context->errstr);
  Expect(Integer("INCR kept") == 2, "after the restart");
  Step("reconnect");
  redisFree(context);
}
