// The text form of addresses, as options and logs show it: "127.0.0.1:7379", "[::1]:7379", "unix:/run/x.sock".
//
// Threads   A value. Names are not looked up: an address that could change under a running server is not one.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace quipu::rt {

struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };
  socklen_t size;

  SocketAddress();  // of no family, with room for any
  // kInvalidArgument
  static Result<SocketAddress> Parse(std::string_view text);
  std::string ToString() const;
  // 127.0.0.0/8, ::1, or a unix socket. An IPv4 address inside IPv6 counts, and is shown, as IPv4.
  bool IsLoopback() const;
  bool IsUnix() const { return any.sa_family == AF_UNIX; }
  std::string UnixPath() const;
};

}  // namespace quipu::rt
