// The journal's writes through io_uring: each is one O_DIRECT write with RWF_DSYNC, submitted when it is made, so that
// the device works while the loop flushes sockets. Several in flight overlap on the device.
//
// A ring per loop serves all its log files. Completions show in the ring's shared memory when the loop's thread next
// leaves the kernel; Reap reads them there without a system call. A waiting loop is woken by them.
//
// Threads   The loop's.
// Memory    One small record per write in flight, reused. At most UringRing::kInFlightMax at a time.
// Cost      Write: one io_uring_enter, which includes handing the write to the device. Reap: two loads when nothing is
//           done.
#pragma once
#include <liburing.h>

#include <array>
#include <utility>

#include "rt/completion_source.h"
#include "rt/disk.h"
#include "rt/log_target.h"

namespace quipu::rt {

class RealLoop;
class UringLogFile;

class UringRing final : public CompletionSource {
 public:
  static constexpr size_t kInFlightMax = 256;

  // Whether this process may have a ring.
  static bool Allowed();
  // Only where Allowed.
  explicit UringRing(RealLoop* loop);
  ~UringRing() override;
  void Reap() override;
  void Write(UringLogFile* file, LogFile::WriteOp* op);

 private:
  // One write in flight; its address is what the kernel hands back.
  struct InFlight {
    LogFile::WriteOp* op = nullptr;
    UringLogFile* file = nullptr;
    InFlight* next_free = nullptr;
  };
  void Submit();

  RealLoop* const loop_;
  io_uring ring_{};
  bool unsubmitted_ = false;  // the kernel was short of memory; tried again next turn
  std::array<InFlight, kInFlightMax> records_;
  InFlight* free_ = nullptr;
};

class UringLogFile final : public LogFile {
 public:
  UringLogFile(UringRing* ring, LogTarget target) : ring_(ring), target_(std::move(target)) {}
  ~UringLogFile() override;
  void Write(WriteOp* op) override;
  size_t alignment() const override { return target_.alignment; }

 private:
  friend class UringRing;
  UringRing* const ring_;
  const LogTarget target_;
  size_t in_flight_ = 0;
};

}  // namespace quipu::rt
