#include "gateway/resp/reply.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace quipu::resp {
namespace {

TEST(ReplyBuffer, WritesTheFormsOfResp2) {
  ReplyBuffer out;
  out.Simple("OK");
  out.Error("ERR a\r\nb");
  out.Integer(-12);
  out.Bulk("ab");
  out.Bulk("");
  out.BulkInteger(105);
  out.Null();
  out.NullArray();
  out.Boolean(true);
  out.Verbatim("x");
  out.Array(2);
  out.Map(2);
  out.Set(3);
  EXPECT_EQ(out.bytes(),
            "+OK\r\n-ERR a  "
            "b\r\n:-12\r\n$2\r\nab\r\n$0\r\n\r\n$3\r\n105\r\n$-1\r\n*-1\r\n:1\r\n$1\r\nx\r\n*2\r\n*4\r\n*3\r\n");
}

TEST(ReplyBuffer, WritesTheFormsOfResp3) {
  ReplyBuffer out;
  out.SetProtocol(Protocol::kResp3);
  out.Null();
  out.NullArray();
  out.Boolean(false);
  out.Verbatim("x");
  out.Map(2);
  out.Set(3);
  EXPECT_EQ(out.bytes(), "_\r\n_\r\n#f\r\n=5\r\ntxt:x\r\n%2\r\n~3\r\n");
}

TEST(ReplyBuffer, WritesEveryWidthOfInteger) {
  std::string expected;
  ReplyBuffer out;
  for (int64_t v = 1; v > 0 && v < std::numeric_limits<int64_t>::max() / 10; v *= 10) {
    for (int64_t x : {v - 1, v, -v}) {
      out.Integer(x);
      expected += ":" + std::to_string(x) + "\r\n";
    }
  }
  for (int64_t x : {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    out.Integer(x);
    expected += ":" + std::to_string(x) + "\r\n";
  }
  EXPECT_EQ(out.bytes(), expected);
}

TEST(ReplyBuffer, ConsumesGrowsAndReplacesWithoutLosingBytes) {
  ReplyBuffer out;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    out.Integer(i);
    expected += ":" + std::to_string(i) + "\r\n";
    if (i % 7 == 0) {
      out.Consume(3);
      expected.erase(0, 3);
    }
    ASSERT_EQ(out.bytes(), expected);
  }
  out.Replace(10, 20, "xyz");
  expected.replace(10, 10, "xyz");
  EXPECT_EQ(out.bytes(), expected);
  out.Consume(out.size());
  out.Release();
  EXPECT_EQ(out.capacity(), 0u);
}

}  // namespace
}  // namespace quipu::resp
