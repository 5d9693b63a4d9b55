#include "client/reply.h"

#include <gtest/gtest.h>

namespace quipu::client {
namespace {

Reply MustParse(std::string_view bytes) {
  Reply reply;
  const Result<size_t> used = ParseReply(bytes, &reply);
  EXPECT_TRUE(used.ok() && *used == bytes.size());
  return reply;
}

TEST(Reply, ReadsEveryType) {
  EXPECT_EQ(MustParse("+OK\r\n").text, "OK");
  EXPECT_TRUE(MustParse("-ERR no\r\n").is_error());
  EXPECT_EQ(MustParse(":-9223372036854775808\r\n").integer, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(MustParse("$4\r\na\r\nb\r\n").text, "a\r\nb");
  EXPECT_EQ(MustParse("$0\r\n\r\n").type, Reply::Type::kBulk);
  EXPECT_TRUE(MustParse("$-1\r\n").is_null());
  EXPECT_TRUE(MustParse("*-1\r\n").is_null());
  EXPECT_EQ(MustParse("*2\r\n:1\r\n*1\r\n+x\r\n").elements[1].elements[0].text, "x");
}

TEST(Reply, EveryProperPrefixIsIncomplete) {
  const std::string whole = "*3\r\n:12\r\n$3\r\nabc\r\n*1\r\n-ERR x\r\n";
  for (size_t n = 0; n < whole.size(); ++n) {
    Reply reply;
    const Result<size_t> used = ParseReply(std::string_view(whole).substr(0, n), &reply);
    ASSERT_TRUE(used.ok()) << n;
    EXPECT_EQ(*used, 0u) << n;
  }
}

TEST(Reply, OtherBytesAreAnError) {
  for (const std::string_view bytes : {"x\r\n", "\r\n", ":1x\r\n", ":\r\n", "$-2\r\n", "$1\r\nabc", "+a\rb\r\n",
                                       "*9999999999\r\n", "$99999999999\r\n"}) {
    Reply reply;
    EXPECT_EQ(ParseReply(bytes, &reply).code(), Code::kInvalidArgument) << bytes;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "*1\r\n";
  Reply reply;
  EXPECT_EQ(ParseReply(deep, &reply).code(), Code::kInvalidArgument);
}

TEST(Reply, ATextIsAnIntegerOnlyInFull) {
  EXPECT_EQ(*MustParse("$2\r\n-7\r\n").AsInteger(), -7);
  EXPECT_EQ(MustParse("$3\r\n7.0\r\n").AsInteger().code(), Code::kInvalidArgument);
  EXPECT_EQ(MustParse("$-1\r\n").AsInteger().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace quipu::client
