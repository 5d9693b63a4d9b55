#include "gateway/resp/command_table.h"

#include <gtest/gtest.h>

#include <set>

#include "gateway/resp/resp_testing.h"

namespace quipu::resp {
namespace {

TEST(CommandTable, FindsEveryCommandInAnyCaseAndNothingElse) {
  const CommandTable& table = CommandTable::Get();
  std::set<std::string> names;
  for (const CommandSpec& spec : table.all()) {
    std::string upper(spec.name);
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(table.Find(spec.name), &spec);
    EXPECT_EQ(table.Find(upper), &spec);
    EXPECT_TRUE(names.insert(upper).second) << spec.name;
    for (size_t i = 0; i < spec.name.size(); ++i) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string other(spec.name);
        other[i] = static_cast<char>(byte);
        const CommandSpec* found = table.Find(other);
        if (found == nullptr) continue;
        for (char& c : other) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        EXPECT_EQ(found->name, other);
      }
    }
  }
  for (const char* none : {"", "x", "gett", "ge", "quipu", "averyveryverylongname"})
    EXPECT_EQ(table.Find(none), nullptr);
}

TEST(CommandTable, EveryRowIsWhole) {
  const CommandTable& table = CommandTable::Get();
  std::set<size_t> indexes;
  auto check = [&](const CommandSpec& spec) {
    std::string name = table.FullName(spec);
    EXPECT_NE(spec.arity, 0) << name;
    EXPECT_TRUE(spec.handler != nullptr || !spec.subcommands.empty()) << name;
    EXPECT_FALSE(spec.summary.empty()) << name;
    EXPECT_FALSE(spec.since.empty()) << name;
    EXPECT_FALSE(spec.group.empty()) << name;
    EXPECT_FALSE((spec.flags & kWrite) != 0 && (spec.flags & kReadOnly) != 0) << name;
    EXPECT_EQ(spec.first_key == 0, spec.key_step == 0) << name;
    EXPECT_TRUE(indexes.insert(table.IndexOf(spec)).second) << name;
    // Required arguments of the synopsis agree with the arity.
    int required = name.find('|') == std::string::npos ? 1 : 2;
    bool open = false;
    for (const ArgumentDoc& doc : ParseSynopsis(spec.synopsis)) {
      if (!doc.optional)
        required += doc.type == "block" ? static_cast<int>(doc.parts.size())
                                        : (doc.token.empty() || doc.type == "pure-token" ? 1 : 2);
      open |= doc.optional || doc.multiple;
    }
    if (spec.subcommands.empty() && spec.handler != nullptr && (spec.flags & kOff) == 0 && name != "client|setinfo" &&
        name != "client|kill" && name != "quit" && name != "cluster") {
      EXPECT_EQ(std::abs(spec.arity), required) << name;
      EXPECT_EQ(spec.arity < 0, open) << name;
    }
  };
  for (const CommandSpec& spec : table.all()) {
    check(spec);
    for (const CommandSpec& sub : spec.subcommands) check(sub);
  }
  EXPECT_EQ(indexes.size(), table.size());
}

TEST(CommandTable, ASynopsisBecomesArguments) {
  std::vector<ArgumentDoc> docs = ParseSynopsis("key value... [NX|XX] [EX seconds|KEEPTTL] [GET]");
  ASSERT_EQ(docs.size(), 4u);
  EXPECT_EQ(docs[0].type, "block");
  EXPECT_TRUE(docs[0].multiple);
  EXPECT_EQ(docs[0].parts[0].type, "key");
  EXPECT_EQ(docs[1].type, "oneof");
  EXPECT_TRUE(docs[1].optional);
  EXPECT_EQ(docs[1].parts[1].token, "XX");
  EXPECT_EQ(docs[2].parts[0].token, "EX");
  EXPECT_EQ(docs[2].parts[0].type, "integer");
  EXPECT_EQ(docs[2].parts[1].type, "pure-token");
  EXPECT_EQ(docs[3].type, "pure-token");
}

TEST(Command, DescribesCommands) {
  World w;
  EXPECT_EQ(
      w.Ask("COMMAND INFO get nosuch"),
      "*2|*10|$3|get|:2|*2|+readonly|+fast|:1|:1|:1|*3|+@read|+@string|+@fast|*0|*1|*6|$5|flags|*2|+RO|+access|$12|"
      "begin_search|*4|$4|type|$5|index|$4|spec|*2|$5|index|:1|$9|find_keys|*4|$4|type|$5|range|$4|spec|*6|$7|lastkey|"
      ":0|$7|keystep|:1|$5|limit|:0|*0|*-1|");
  EXPECT_EQ(w.Ask("COMMAND COUNT"), ":" + std::to_string(CommandTable::Get().all().size()) + "|");
  EXPECT_EQ(w.Ask("COMMAND GETKEYS MSET a 1 b 2"), "*2|$1|a|$1|b|");
  EXPECT_EQ(w.Ask("COMMAND GETKEYS MEMORY USAGE k"), "*1|$1|k|");
  EXPECT_EQ(w.Ask("COMMAND GETKEYS nosuch x"), "-ERR Invalid command specified|");
  EXPECT_EQ(w.Ask("COMMAND GETKEYS GET"), "-ERR Invalid number of arguments specified for command|");
  EXPECT_EQ(w.Ask("COMMAND GETKEYS PING"), "-ERR The command has no key arguments|");
  EXPECT_EQ(w.Ask("COMMAND LIST FILTERBY PATTERN hget*"), "*2|$4|hget|$7|hgetall|");
  EXPECT_EQ(w.Ask("COMMAND DOCS get nosuch"),
            "*2|$3|get|*10|$7|summary|$23|The value of a "
            "counter.|$5|since|$5|1.0.0|$5|group|$6|string|$10|complexity|$4|O(1)|"
            "$9|arguments|*1|*6|$4|name|$3|key|$4|type|$3|key|$14|key_spec_index|:0|");
}

// The number of replies that begin at *at, or -1: checks that nested headers and contents agree.
bool SkipReply(std::string_view bytes, size_t* at) {
  size_t end = bytes.find("\r\n", *at);
  if (end == std::string_view::npos) return false;
  char type = bytes[*at];
  long count = type == '+' || type == '-' ? 0 : std::stol(std::string(bytes.substr(*at + 1, end - *at - 1)));
  *at = end + 2;
  if (type == '+' || type == '-' || type == ':') return true;
  if (type == '$' || type == '=') {
    *at += static_cast<size_t>(count) + 2;
    return *at <= bytes.size();
  }
  if (type == '%') count *= 2;
  for (long i = 0; i < count; ++i) {
    if (!SkipReply(bytes, at)) return false;
  }
  return true;
}

TEST(Command, AllItsOutputIsWellFormedInBothProtocols) {
  World w;
  for (const char* hello : {"HELLO 2\r\n", "HELLO 3\r\n"}) {
    for (const char* command :
         {"COMMAND\r\n", "COMMAND DOCS\r\n", "COMMAND LIST\r\n", "CONFIG GET *\r\n", "HELLO\r\n"}) {
      w.client->Send(std::string(hello) + command);
      w.loop.RunFor(200'000);
      std::string bytes = w.client->Take();
      size_t at = 0;
      EXPECT_TRUE(SkipReply(bytes, &at)) << command;
      EXPECT_TRUE(SkipReply(bytes, &at)) << command;
      EXPECT_EQ(at, bytes.size()) << command;
    }
  }
}

}  // namespace
}  // namespace quipu::resp
