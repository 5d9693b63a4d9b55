// Makes the real side of the seams: the system's clocks, randomness, files and sockets. Its other side is sim/, which
// makes the same interfaces from one seed. Only wiring code and tests call this.
//
// Lifetime  A loop outlives its sockets, listeners and log files; a disk may go before its files.
#pragma once
#include <cstdint>
#include <memory>

#include "rt/clock.h"
#include "rt/disk.h"
#include "rt/loop.h"
#include "rt/random.h"

namespace quipu::rt {

enum class PortSharing : uint8_t {
  kExclusive,  // a second listener on the same address fails
  kShared,     // SO_REUSEPORT: listeners of several loops share an address, the kernel spreads connections over them
};

struct LoopOptions {
  // kShared when several loops serve one port. It also lets another process of the same user join in unnoticed, so one
  // loop alone keeps kExclusive.
  PortSharing port_sharing = PortSharing::kExclusive;
};

enum class LogWrites : uint8_t {
  kAuto,    // io_uring if the kernel allows it, else a thread
  kThread,  // one writer thread per loop, also where io_uring would work
};

struct DiskOptions {
  // kThread costs a thread and, per synced write, two wake-ups across cores; for kernels whose io_uring is not
  // trusted.
  LogWrites log_writes = LogWrites::kAuto;
};

std::unique_ptr<Clock> MakeRealClock();
std::unique_ptr<Random> MakeRealRandom();
std::unique_ptr<Disk> MakeRealDisk(const DiskOptions& options = {});
std::unique_ptr<Loop> MakeRealLoop(const LoopOptions& options = {});

// Whether this kernel lets this process use io_uring; containers often forbid it. Asks once.
bool IoUringAllowed();

}  // namespace quipu::rt
