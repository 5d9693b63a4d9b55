#include "gateway/resp/resp_parser.h"

#include <gtest/gtest.h>

#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace quipu::resp {
namespace {

using Command = std::vector<std::string>;
using Result = RespParser::Result;

struct Outcome {
  std::vector<Command> commands;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

// Feeds the stream in the given pieces through a buffer that moves whenever it can, as a connection's does.
Outcome Feed(std::string_view stream, const std::vector<size_t>& cuts, const ParserLimits& limits = {},
             bool auth = true) {
  RespParser parser(limits);
  parser.SetAuthenticated(auth);
  Outcome outcome;
  std::vector<char> held;
  size_t from = 0;
  for (size_t i = 0; i <= cuts.size(); ++i) {
    size_t to = i < cuts.size() ? cuts[i] : stream.size();
    std::vector<char> buffer(held);
    buffer.insert(buffer.end(), stream.begin() + static_cast<long>(from), stream.begin() + static_cast<long>(to));
    from = to;
    size_t at = 0;
    for (;;) {
      Result result = parser.Parse(buffer.data() + at, buffer.size() - at);
      if (result == Result::kError) {
        outcome.error = parser.error();
        return outcome;
      }
      at += parser.consumed();
      if (result == Result::kNeedMore) {
        EXPECT_GT(parser.bytes_wanted(), buffer.size() - at);
        break;
      }
      Command command;
      for (std::string_view arg : parser.args()) command.emplace_back(arg);
      outcome.commands.push_back(command);
    }
    held.assign(buffer.begin() + static_cast<long>(at), buffer.end());
  }
  return outcome;
}

Outcome Feed(std::string_view stream) { return Feed(stream, {}); }

TEST(RespParser, ReadsMultibulkAndInlineRequests) {
  EXPECT_EQ(Feed("*3\r\n$6\r\nINCRBY\r\n$1\r\nk\r\n$2\r\n10\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n").commands,
            (std::vector<Command>{{"INCRBY", "k", "10"}, {"PING"}, {"QUIT"}}));
  EXPECT_EQ(Feed("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n").commands, (std::vector<Command>{{"ECHO", ""}}));
  EXPECT_EQ(Feed("*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n").commands, (std::vector<Command>{{"ECHO", "a\r\nb"}}));
}

TEST(RespParser, SkipsEmptyRequests) {
  EXPECT_EQ(Feed("*0\r\n*-1\r\n\r\n\n  \r\n*-10\r\nPING\r\n").commands, (std::vector<Command>{{"PING"}}));
  RespParser parser{ParserLimits{}};
  std::string only_empty;
  for (int i = 0; i < 100'000; ++i) only_empty += "\r\n*0\r\n";
  EXPECT_EQ(parser.Parse(only_empty.data(), only_empty.size()), Result::kNeedMore);
  EXPECT_EQ(parser.consumed(), only_empty.size());
}

TEST(RespParser, UnquotesInlineArguments) {
  EXPECT_EQ(Feed("set \"a b\" 'c\\'d' \"\\x41\\n\\\"\" e\r\n").commands,
            (std::vector<Command>{{"set", "a b", "c'd", "A\n\"", "e"}}));
  EXPECT_EQ(Feed("echo \"\"\n").commands, (std::vector<Command>{{"echo", ""}}));
  EXPECT_EQ(Feed("set \"\"\"test-key\"\"\" test-value\n").error, "unbalanced quotes in request");
  EXPECT_EQ(Feed("echo \"a\n").error, "unbalanced quotes in request");
  EXPECT_EQ(Feed("echo 'a'b\n").error, "unbalanced quotes in request");
}

TEST(RespParser, EveryProtocolErrorHasItsText) {
  EXPECT_EQ(Feed("*3000000000\r\n").error, "invalid multibulk length");
  EXPECT_EQ(Feed("*1048577\r\n").error, "invalid multibulk length");
  EXPECT_EQ(Feed("*abc\r\n").error, "invalid multibulk length");
  EXPECT_EQ(Feed("*x\r\n").error, "invalid multibulk length");
  EXPECT_EQ(Feed("*1\r\nfoo\r\n").error, "expected '$', got 'f'");
  EXPECT_EQ(Feed(std::string_view("*1\r\n\0", 5)).error, "expected '$', got '\\x00'");
  EXPECT_EQ(Feed("*1\r\n$-10\r\n").error, "invalid bulk length");
  EXPECT_EQ(Feed("*1\r\n$2000000000\r\n").error, "invalid bulk length");
  EXPECT_EQ(Feed("*1\r\n$blabla\r\n").error, "invalid bulk length");
  EXPECT_EQ(Feed("*1\r\n$524289\r\n").error, "invalid bulk length");
  EXPECT_EQ(Feed("*1\r\n$2\r\nabcd\r\n").error, "bulk does not end in CRLF");
  EXPECT_EQ(Feed("*" + std::string(64, '1')).error, "too big mbulk count string");
  EXPECT_EQ(Feed("*1\r\n$" + std::string(64, '1')).error, "too big bulk count string");
  EXPECT_EQ(Feed(std::string(64 * 1024 + 1, 'a')).error, "too big inline request");
  EXPECT_EQ(Feed(std::string(16 * 1024 + 1, 'a'), {}, {}, false).error, "too big inline request");
  EXPECT_EQ(Feed("PING " + std::string(16 * 1024, 'a') + "\n", {}, {}, false).error, "too big inline request");
  EXPECT_EQ(Feed("PING " + std::string(16 * 1024 - 5, 'a') + "\n", {}, {}, false).error, "");
  EXPECT_EQ(Feed("*11\r\n", {}, {}, false).error, "unauthenticated multibulk length");
  EXPECT_EQ(Feed("*1\r\n$16385\r\n", {}, {}, false).error, "unauthenticated bulk length");
  // Also where the limit after AUTH is passed: clients match on this text.
  EXPECT_EQ(Feed("*2000000\r\n", {}, {}, false).error, "unauthenticated multibulk length");
  EXPECT_EQ(Feed("*1\r\n$100000000\r\n", {}, {}, false).error, "unauthenticated bulk length");
}

TEST(RespParser, LimitsThemselvesAreAllowed) {
  EXPECT_EQ(Feed("*1048576\r\n").error, "");
  EXPECT_EQ(Feed("*1\r\n$524288\r\n").error, "");
  EXPECT_EQ(Feed(std::string(64 * 1024, 'a') + "\n").commands.size(), 1u);
  EXPECT_EQ(Feed("*10\r\n", {}, {}, false).error, "");
  EXPECT_EQ(Feed("*1\r\n$16384\r\n", {}, {}, false).error, "");
}

TEST(RespParser, CommandsBeforeAnErrorAreStillTaken) {
  Outcome outcome = Feed("PING\r\n*1\r\n$4\r\nPING\r\n*1\r\nx");
  EXPECT_EQ(outcome.commands.size(), 2u);
  EXPECT_EQ(outcome.error, "expected '$', got 'x'");
}

std::vector<std::string> Corpus() {
  return {
      "*3\r\n$6\r\nINCRBY\r\n$1\r\nk\r\n$2\r\n10\r\n*0\r\nPING\r\n*2\r\n$3\r\nGET\r\n$12\r\nabc\r\ndef\r\ngh\r\n",
      "set \"a b\" 'c'\r\n\r\n*1\r\n$4\r\nPING\r\nget k\n",
      "*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*-1\r\n*1\r\n$1\r\nx\r\n",
      "*1\r\n$4\r\nPING\r\n*1\r\n$2\r\nabXX",
      "*2\r\n$1\r\na\r\n+1\r\n",
      "echo \"a\"b\r\n",
  };
}

TEST(RespParser, EverySplitOfAStreamGivesTheSameCommands) {
  for (const std::string& stream : Corpus()) {
    Outcome whole = Feed(stream);
    for (size_t i = 0; i <= stream.size(); ++i) {
      for (size_t j = i; j <= stream.size(); ++j) ASSERT_EQ(Feed(stream, {i, j}), whole) << i << " " << j;
    }
    std::vector<size_t> bytewise;
    for (size_t i = 1; i < stream.size(); ++i) bytewise.push_back(i);
    EXPECT_EQ(Feed(stream, bytewise), whole);
  }
}

TEST(RespParser, ABigCommandInSmallPiecesCostsWorkInProportion) {
  // 200,000 arguments in pieces of 64 bytes: quadratic work would be 10^10 steps.
  std::string stream = "*200000\r\n";
  for (int i = 0; i < 200'000; ++i) stream += "$3\r\nabc\r\n";
  RespParser parser{ParserLimits{}};
  Result result = Result::kNeedMore;
  for (size_t size = 64; result == Result::kNeedMore; size += 64) {
    result = parser.Parse(stream.data(), std::min(size, stream.size()));
    ASSERT_LE(size, stream.size() + 64);
  }
  EXPECT_EQ(result, Result::kCommand);
  EXPECT_EQ(parser.args().size(), 200'000u);
}

RC_GTEST_PROP(RespParser, AnyArgumentsComeBackAsTheyWereSent, ()) {
  auto commands = *rc::gen::container<std::vector<Command>>(rc::gen::nonEmpty(rc::gen::arbitrary<Command>()));
  std::string stream;
  for (const Command& command : commands) {
    stream += "*" + std::to_string(command.size()) + "\r\n";
    for (const std::string& arg : command) stream += "$" + std::to_string(arg.size()) + "\r\n" + arg + "\r\n";
  }
  size_t cut = *rc::gen::inRange<size_t>(0, stream.size() + 1);
  RC_ASSERT(Feed(stream, {cut}).commands == commands);
}

}  // namespace
}  // namespace quipu::resp
