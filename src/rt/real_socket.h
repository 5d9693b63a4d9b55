// Connected streams and listeners of the real loop.
//
// Threads   The loop's. A handler may destroy its own or any other socket, and a listener, from inside a callback.
// Cost      Read and Write are one system call each. SetInterest makes one only when the kernel has to be told: wanting
//           reads no longer is not told until an unwanted read event has come, since it is mostly taken back before.
#pragma once
#include <memory>
#include <string>

#include "rt/real_loop.h"
#include "rt/socket_address.h"
#include "rt/unique_fd.h"

namespace quipu::rt {

class RealSocket final : public Socket, private FdSource {
 public:
  // `fd` is connected and does not block.
  RealSocket(RealLoop* loop, UniqueFd fd, const SocketAddress& peer);
  ~RealSocket() override;
  IoResult Read(std::span<char> into) override;
  IoResult Write(std::span<const char> data) override;
  void SetInterest(bool read, bool write) override;
  void ShutdownWrite() override;
  std::string peer_address() const override { return peer_.ToString(); }
  std::string local_address() const override;
  bool peer_is_loopback() const override { return peer_.IsLoopback(); }

  void Watch(SocketHandler* handler);

 private:
  void OnEvents(uint32_t events) override;
  void TellKernel();

  RealLoop* const loop_;
  const UniqueFd fd_;
  SocketHandler* handler_ = nullptr;
  uint32_t wanted_;
  uint32_t told_ = 0;  // what epoll knows; meaningful while registered_
  uint32_t generation_ = 0;
  bool registered_ = false;
  const SocketAddress peer_;
};

class RealListener final : public Listener, private FdSource {
 public:
  static Result<std::unique_ptr<Listener>> Open(RealLoop* loop, PortSharing sharing, const std::string& address,
                                                AcceptHandler* handler);
  RealListener(RealLoop* loop, UniqueFd fd, const SocketAddress& address, AcceptHandler* handler);
  ~RealListener() override;
  std::string address() const override { return address_.ToString(); }

 private:
  void OnEvents(uint32_t events) override;
  void Pause();
  void Resume();

  RealLoop* const loop_;
  const UniqueFd fd_;
  const SocketAddress address_;
  AcceptHandler* const handler_;
  uint32_t generation_ = 0;
  Timer resume_;
};

}  // namespace quipu::rt
