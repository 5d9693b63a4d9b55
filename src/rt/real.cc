#include "rt/real.h"

#include "rt/real_clock.h"
#include "rt/real_disk.h"
#include "rt/real_loop.h"
#include "rt/real_random.h"
#include "rt/uring_log.h"

namespace quipu::rt {

std::unique_ptr<Clock> MakeRealClock() { return std::make_unique<RealClock>(); }
std::unique_ptr<Random> MakeRealRandom() { return std::make_unique<RealRandom>(); }
std::unique_ptr<Disk> MakeRealDisk(const DiskOptions& options) { return std::make_unique<RealDisk>(options); }
std::unique_ptr<Loop> MakeRealLoop(const LoopOptions& options) { return std::make_unique<RealLoop>(options); }

bool IoUringAllowed() {
  static const bool allowed = UringRing::Allowed();
  return allowed;
}

}  // namespace quipu::rt
