#include "rt/socket_address.h"

#include <arpa/inet.h>
#include <string.h>

#include <charconv>
#include <cstddef>

namespace quipu::rt {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

Status BadAddress(std::string_view text, std::string_view why) {
  return Status(Code::kInvalidArgument,
                fmt::format("address \"{}\" {}; write 127.0.0.1:7379, [::1]:7379 or unix:/path", text, why));
}

in_addr MappedV4(const sockaddr_in6& v6) {
  in_addr v4;
  ::memcpy(&v4, v6.sin6_addr.s6_addr + 12, sizeof(v4));
  return v4;
}

bool IsLoopbackV4(in_addr v4) { return (ntohl(v4.s_addr) >> 24) == 127; }

std::string FormatV4(in_addr v4, in_port_t port) {
  char text[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &v4, text, sizeof(text));
  return fmt::format("{}:{}", text, ntohs(port));
}

Result<SocketAddress> ParseUnix(std::string_view text) {
  const std::string_view path = text.substr(kUnixPrefix.size());
  SocketAddress address;
  constexpr size_t kPathMax = sizeof(address.local.sun_path) - 1;
  if (path.empty()) return BadAddress(text, "has an empty path");
  if (path.size() > kPathMax) {
    return BadAddress(text, fmt::format("has a path of {} bytes, at most {} are allowed", path.size(), kPathMax));
  }
  address.local.sun_family = AF_UNIX;
  ::memcpy(address.local.sun_path, path.data(), path.size());
  address.local.sun_path[path.size()] = '\0';
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

}  // namespace

SocketAddress::SocketAddress() : size(sizeof(local)) {
  ::memset(&local, 0, sizeof(local));
  static_assert(sizeof(local) >= sizeof(v6), "sockaddr_un is the largest of the four, so clearing it clears all");
}

Result<SocketAddress> SocketAddress::Parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return ParseUnix(text);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, "has no port");
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return BadAddress(text, "has no port in 0..65535");

  SocketAddress address;
  const std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    const std::string inner(host.substr(1, host.size() - 2));
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    address.size = sizeof(address.v6);
    if (::inet_pton(AF_INET6, inner.c_str(), &address.v6.sin6_addr) == 1) return address;
    return BadAddress(text, "is not a numeric IPv6 address");
  }
  address.v4.sin_family = AF_INET;
  address.v4.sin_port = htons(port);
  address.size = sizeof(address.v4);
  if (::inet_pton(AF_INET, std::string(host).c_str(), &address.v4.sin_addr) == 1) return address;
  return BadAddress(text, "is not a numeric IPv4 address");
}

std::string SocketAddress::ToString() const {
  switch (any.sa_family) {
    case AF_INET:
      return FormatV4(v4.sin_addr, v4.sin_port);
    case AF_INET6: {
      if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return FormatV4(MappedV4(v6), v6.sin6_port);
      char text[INET6_ADDRSTRLEN] = "";
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
      return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
    }
    case AF_UNIX:
      return fmt::format("{}{}", kUnixPrefix, UnixPath());
    default:
      return "unknown";
  }
}

bool SocketAddress::IsLoopback() const {
  switch (any.sa_family) {
    case AF_INET:
      return IsLoopbackV4(v4.sin_addr);
    case AF_INET6:
      if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return IsLoopbackV4(MappedV4(v6));
      return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    default:
      return IsUnix();
  }
}

std::string SocketAddress::UnixPath() const {
  constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
  if (!IsUnix() || size <= kPathOffset) return "";
  return std::string(local.sun_path, ::strnlen(local.sun_path, size - kPathOffset));
}

}  // namespace quipu::rt
