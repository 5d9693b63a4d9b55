#include "rt/socket_address.h"

#include <gtest/gtest.h>

namespace quipu::rt {
namespace {

TEST(SocketAddress, EveryFormComesBackAsItWasWritten) {
  for (const char* text : {"127.0.0.1:7379", "0.0.0.0:0", "[::1]:7379", "[::]:65535", "[2001:db8::2]:1",
                           "unix:/run/x.sock", "unix:x"}) {
    auto address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
}

TEST(SocketAddress, OtherTextIsRefusedWithTheReason) {
  const std::string long_path(108, 'p');
  for (const std::string& text :
       {std::string(""), std::string("7379"), std::string("localhost:7379"), std::string("127.0.0.1"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:65536"), std::string("127.0.0.1:-1"),
        std::string("127.0.0.1:1 "), std::string("::1:7379"), std::string("[::1]"), std::string("[:7379"),
        std::string("[nope]:1"), std::string("unix:"),
        "unix:" + long_path}) {
    const auto address = SocketAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(std::string(SocketAddress::Parse("unix:" + long_path).status().message()),
            "address \"unix:" + long_path +
                "\" has a path of 108 bytes, at most 107 are allowed; write 127.0.0.1:7379, [::1]:7379 or unix:/path");
}

TEST(SocketAddress, LoopbackIsWhatCannotLeaveTheMachine) {
  for (const char* text : {"127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x"}) {
    EXPECT_TRUE(SocketAddress::Parse(text)->IsLoopback()) << text;
  }
  for (const char* text : {"0.0.0.0:1", "128.0.0.1:1", "[::]:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_FALSE(SocketAddress::Parse(text)->IsLoopback()) << text;
  }
}

TEST(SocketAddress, AnIPv4ClientOfAnIPv6ListenerShowsAsIPv4) {
  EXPECT_EQ(SocketAddress::Parse("[::ffff:10.1.2.3]:9")->ToString(), "10.1.2.3:9");
}

}  // namespace
}  // namespace quipu::rt
