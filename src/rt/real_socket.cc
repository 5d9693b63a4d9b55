#include "rt/real_socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "rt/posix_error.h"

namespace quipu::rt {
namespace {

constexpr int kBacklog = 4096;          // the kernel cuts it to net.core.somaxconn
constexpr int kAcceptsPerTurnMax = 64;  // a flood of connections shares each turn with the connections that are there
constexpr int64_t kAcceptPauseMicros = 100'000;
constexpr uint32_t kBroken = EPOLLERR | EPOLLHUP;

// These flags cannot fail on a live socket, and of a dead one the next call will tell.
void SetFlag(int fd, int level, int option) {
  const int on = 1;
  (void)::setsockopt(fd, level, option, &on, sizeof(on));
}

bool IsSocketFile(const std::string& path) {
  struct stat about;
  return ::lstat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode);
}

// A server that was killed leaves its socket's name behind. It is stale if nobody answers there. A file that is no
// socket refuses a connection too: it is somebody's.
bool RemoveStaleUnixName(const SocketAddress& address) {
  if (!IsSocketFile(address.UnixPath())) return false;
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return false;
  if (::connect(probe.get(), &address.any, address.size) == 0 || errno != ECONNREFUSED) return false;
  return ::unlink(address.UnixPath().c_str()) == 0;
}

}  // namespace

RealSocket::RealSocket(RealLoop* loop, UniqueFd fd, const SocketAddress& peer)
    : loop_(loop), fd_(std::move(fd)), wanted_(EPOLLIN), peer_(peer) {}

RealSocket::~RealSocket() {
  if (registered_) loop_->Unregister(fd_.get());
}

Socket::IoResult RealSocket::Read(std::span<char> into) {
  QUIPU_ASSERT(!into.empty(), "a read of no bytes cannot tell the end of the stream");
  ssize_t n = -1;
  do {
    n = ::recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) return {Io::kOk, static_cast<size_t>(n)};
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {Io::kWouldBlock, 0};
  return {Io::kClosed, 0};
}

Socket::IoResult RealSocket::Write(std::span<const char> data) {
  ssize_t n = -1;
  do {
    n = ::send(fd_.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return {Io::kOk, static_cast<size_t>(n)};
  // ENOBUFS: the kernel is short of memory for now; the socket becomes writable again when it is not.
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return {Io::kWouldBlock, 0};
  return {Io::kClosed, 0};
}

void RealSocket::SetInterest(bool read, bool write) {
  wanted_ = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
  if (handler_ == nullptr) return;
  const bool news = (wanted_ & ~told_) != 0;
  const bool always_ready = (told_ & ~wanted_ & EPOLLOUT) != 0;  // would come every turn
  if (news || always_ready) TellKernel();
}

void RealSocket::ShutdownWrite() {
  // Fails only when the peer has gone, which the next read says.
  (void)::shutdown(fd_.get(), SHUT_WR);
}

std::string RealSocket::local_address() const {
  SocketAddress address;
  if (::getsockname(fd_.get(), &address.any, &address.size) != 0) return "unknown";
  return address.ToString();
}

void RealSocket::Watch(SocketHandler* handler) {
  QUIPU_ASSERT(handler_ == nullptr, "a socket is watched once");
  handler_ = handler;
  TellKernel();
}

void RealSocket::TellKernel() {
  if (registered_) {
    loop_->ChangeEvents(fd_.get(), wanted_);
  } else {
    generation_ = loop_->Register(fd_.get(), wanted_, this);
    registered_ = true;
  }
  told_ = wanted_;
}

void RealSocket::OnEvents(uint32_t events) {
  if ((events & kBroken) != 0 && wanted_ == 0) {
    // epoll reports a broken stream whether asked or not, every turn. Nobody wants to know: leave until somebody does.
    loop_->Unregister(fd_.get());
    registered_ = false;
    told_ = 0;
    return;
  }
  if ((events & told_ & ~wanted_) != 0) TellKernel();
  RealLoop* const loop = loop_;
  const int fd = fd_.get();
  const uint32_t generation = generation_;
  if ((wanted_ & EPOLLIN) != 0 && (events & (EPOLLIN | kBroken)) != 0) handler_->OnReadable();
  if ((events & (EPOLLOUT | kBroken)) == 0) return;
  if (!loop->IsRegistered(fd, generation)) return;  // destroyed by its handler: this object is gone
  if ((wanted_ & EPOLLOUT) != 0) handler_->OnWritable();
}

Result<std::unique_ptr<Listener>> RealListener::Open(RealLoop* loop, PortSharing sharing, const std::string& address,
                                                     AcceptHandler* handler) {
  QUIPU_ASSIGN_OR_RETURN(SocketAddress wanted, SocketAddress::Parse(address));
  UniqueFd fd(::socket(wanted.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto failed = [&](const char* call, int why) {
    return Status(Code::kUnavailable, std::string(PosixError(call, address, why).message()));
  };
  if (!fd.valid()) return failed("socket", errno);
  if (!wanted.IsUnix()) {
    SetFlag(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    if (sharing == PortSharing::kShared) SetFlag(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  }
  const auto bind = [&] { return ::bind(fd.get(), &wanted.any, wanted.size) == 0 ? 0 : errno; };
  int error = bind();
  if (error == EADDRINUSE && wanted.IsUnix() && RemoveStaleUnixName(wanted)) error = bind();
  if (error == EADDRINUSE && wanted.IsUnix() && !IsSocketFile(wanted.UnixPath())) {
    return Status(Code::kUnavailable, fmt::format("bind {}: the file is there and is no socket", address));
  }
  if (error != 0) return failed("bind", error);
  if (::listen(fd.get(), kBacklog) != 0) return failed("listen", errno);
  SocketAddress bound;
  if (::getsockname(fd.get(), &bound.any, &bound.size) != 0) return failed("getsockname", errno);
  return std::unique_ptr<Listener>(std::make_unique<RealListener>(loop, std::move(fd), bound, handler));
}

RealListener::RealListener(RealLoop* loop, UniqueFd fd, const SocketAddress& address, AcceptHandler* handler)
    : loop_(loop), fd_(std::move(fd)), address_(address), handler_(handler) {
  resume_.on_fire = [this] { Resume(); };
  Resume();
}

RealListener::~RealListener() {
  if (resume_.armed) {
    loop_->Disarm(&resume_);
  } else {
    loop_->Unregister(fd_.get());
  }
  if (address_.IsUnix() && IsSocketFile(address_.UnixPath())) ::unlink(address_.UnixPath().c_str());
}

void RealListener::OnEvents(uint32_t /*events*/) {
  RealLoop* const loop = loop_;
  const int listening = fd_.get();
  const uint32_t generation = generation_;
  for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
    SocketAddress peer;
    UniqueFd fd(::accept4(listening, &peer.any, &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return Pause();
      continue;  // this one connection broke before it was taken (ECONNABORTED and its like)
    }
    if (address_.IsUnix()) {
      peer = address_;  // clients of a unix socket have no name of their own
    } else {
      // A reply must not wait for the acknowledgement of the one before.
      SetFlag(fd.get(), IPPROTO_TCP, TCP_NODELAY);
    }
    handler_->OnAccept(std::make_unique<RealSocket>(loop, std::move(fd), peer));
    if (!loop->IsRegistered(listening, generation)) return;  // destroyed by its handler: this object is gone
  }
}

// Without a free descriptor a connection can be neither taken nor refused, and would be reported every turn.
void RealListener::Pause() {
  loop_->Unregister(fd_.get());
  loop_->Arm(&resume_, loop_->MonoMicros() + kAcceptPauseMicros);
}

void RealListener::Resume() { generation_ = loop_->Register(fd_.get(), EPOLLIN, this); }

}  // namespace quipu::rt
