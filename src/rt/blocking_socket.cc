#include "rt/blocking_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/assert.h"
#include "rt/real_clock.h"

namespace quipu::rt {
namespace {

std::string ErrnoText(int error) { return std::generic_category().message(error); }

// True when the descriptor is ready; false when the deadline came first.
bool WaitReady(int fd, short events, int64_t deadline_mono_us) {
  for (;;) {
    int timeout_ms = -1;
    if (deadline_mono_us != kNoDeadline) {
      const int64_t left_us = deadline_mono_us - RealClock().MonoMicros();
      if (left_us <= 0) return false;
      timeout_ms = static_cast<int>(std::min<int64_t>((left_us + 999) / 1000, 1'000'000));
    }
    pollfd p{.fd = fd, .events = events, .revents = 0};
    const int n = ::poll(&p, 1, timeout_ms);
    if (n > 0) return true;
    QUIPU_ASSERT(n == 0 || errno == EINTR, "poll: {}", ErrnoText(errno));
  }
}

Result<int> ConnectTo(const std::string& address, const sockaddr* where, socklen_t size, int family,
                      int64_t deadline_mono_us) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Status(Code::kUnavailable, fmt::format("socket for {}: {}", address, ErrnoText(errno)));
  int error = 0;
  if (::connect(fd, where, size) != 0) error = errno;
  if (error == EINPROGRESS) {
    if (!WaitReady(fd, POLLOUT, deadline_mono_us)) {
      ::close(fd);
      return Status(Code::kDeadlineExceeded, fmt::format("connect to {}: no answer in time", address));
    }
    socklen_t length = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  }
  if (error != 0) {
    ::close(fd);
    return Status(Code::kUnavailable, fmt::format("connect to {}: {}", address, ErrnoText(error)));
  }
  if (family != AF_UNIX) {
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return fd;
}

Result<int> ConnectUnix(const std::string& address, int64_t deadline_mono_us) {
  const std::string path = address.substr(5);
  sockaddr_un where{};
  where.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof where.sun_path) {
    return Status(Code::kInvalidArgument, fmt::format("address {}: the path has {} bytes, allowed are 1 to {}", address,
                                                      path.size(), sizeof where.sun_path - 1));
  }
  std::memcpy(where.sun_path, path.data(), path.size());
  return ConnectTo(address, reinterpret_cast<const sockaddr*>(&where), sizeof where, AF_UNIX, deadline_mono_us);
}

}  // namespace

Result<std::unique_ptr<BlockingSocket>> BlockingSocket::Connect(const std::string& address, int64_t deadline_mono_us) {
  if (address.starts_with("unix:")) {
    QUIPU_ASSIGN_OR_RETURN(const int fd, ConnectUnix(address, deadline_mono_us));
    return std::unique_ptr<BlockingSocket>(new BlockingSocket(fd));
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return Status(Code::kInvalidArgument, fmt::format("address `{}` is not HOST:PORT or unix:PATH", address));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::string port = address.substr(colon + 1);
  // getaddrinfo would take a larger number modulo 65536.
  uint16_t number = 0;
  const auto [end, error_code] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error_code != std::errc() || end != port.data() + port.size() || number == 0) {
    return Status(Code::kInvalidArgument, fmt::format("address {}: port `{}` is none of 1 to 65535", address, port));
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return Status(Code::kUnavailable, fmt::format("address {}: {}", address, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, &::freeaddrinfo);
  Status last(Code::kUnavailable, fmt::format("address {} has no stream address", address));
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    Result<int> fd = ConnectTo(address, a->ai_addr, a->ai_addrlen, a->ai_family, deadline_mono_us);
    if (fd.ok()) return std::unique_ptr<BlockingSocket>(new BlockingSocket(*fd));
    last = fd.status();
  }
  return last;
}

BlockingSocket::~BlockingSocket() { ::close(fd_); }

Result<size_t> BlockingSocket::SendSome(std::string_view data) {
  for (;;) {
    const ssize_t n = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return size_t{0};
    if (errno != EINTR) return Status(Code::kUnavailable, fmt::format("send: {}", ErrnoText(errno)));
  }
}

Status BlockingSocket::SendAll(std::string_view data, int64_t deadline_mono_us, size_t* sent) {
  *sent = 0;
  while (*sent < data.size()) {
    QUIPU_ASSIGN_OR_RETURN(const size_t n, SendSome(data.substr(*sent)));
    *sent += n;
    if (n == 0 && !WaitReady(fd_, POLLOUT, deadline_mono_us)) {
      return Status(Code::kDeadlineExceeded, fmt::format("send: {} of {} bytes in time", *sent, data.size()));
    }
  }
  return OkStatus();
}

Result<size_t> BlockingSocket::Receive(std::span<char> into, int64_t deadline_mono_us) {
  for (;;) {
    const ssize_t n = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      return Status(Code::kUnavailable, fmt::format("receive: {}", ErrnoText(errno)));
    }
    if (!WaitReady(fd_, POLLIN, deadline_mono_us)) return Status(Code::kDeadlineExceeded, "receive: no answer in time");
  }
}

SocketPoller::SocketPoller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  QUIPU_ASSERT(fd_ >= 0, "epoll_create1: {}", ErrnoText(errno));
}
SocketPoller::~SocketPoller() { ::close(fd_); }

namespace {
epoll_event EventFor(uint32_t tag, bool want_write) {
  epoll_event event{};
  event.events = want_write ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.u32 = tag;
  return event;
}
}  // namespace

void SocketPoller::Add(BlockingSocket* socket, uint32_t tag, bool want_write) {
  epoll_event event = EventFor(tag, want_write);
  QUIPU_ASSERT(::epoll_ctl(fd_, EPOLL_CTL_ADD, socket->fd_, &event) == 0, "epoll_ctl: {}", ErrnoText(errno));
}
void SocketPoller::Change(BlockingSocket* socket, uint32_t tag, bool want_write) {
  epoll_event event = EventFor(tag, want_write);
  QUIPU_ASSERT(::epoll_ctl(fd_, EPOLL_CTL_MOD, socket->fd_, &event) == 0, "epoll_ctl: {}", ErrnoText(errno));
}
void SocketPoller::Remove(BlockingSocket* socket) {
  QUIPU_ASSERT(::epoll_ctl(fd_, EPOLL_CTL_DEL, socket->fd_, nullptr) == 0, "epoll_ctl: {}", ErrnoText(errno));
}

size_t SocketPoller::Wait(std::span<uint32_t> ready, int64_t timeout_ms) {
  std::array<epoll_event, 256> events;
  const int room = static_cast<int>(std::min(ready.size(), events.size()));
  const int n = ::epoll_wait(fd_, events.data(), room, static_cast<int>(timeout_ms));
  if (n < 0) {
    QUIPU_ASSERT(errno == EINTR, "epoll_wait: {}", ErrnoText(errno));
    return 0;
  }
  for (int i = 0; i < n; ++i) ready[static_cast<size_t>(i)] = events[static_cast<size_t>(i)].data.u32;
  return static_cast<size_t>(n);
}

}  // namespace quipu::rt
