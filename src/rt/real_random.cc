#include "rt/real_random.h"

#include <errno.h>
#include <sys/random.h>

#include <bit>

#include "base/assert.h"

namespace quipu::rt {

RealRandom::RealRandom() {
  // Up to 256 bytes come whole once the kernel's pool is ready; before that (early boot) a signal may interrupt the
  // wait.
  ssize_t got = -1;
  do {
    got = ::getrandom(state_.data(), sizeof(state_), 0);
  } while (got < 0 && errno == EINTR);
  QUIPU_ASSERT(got == ssize_t{sizeof(state_)}, "getrandom gave {} of {} bytes, errno {}", got, sizeof(state_), errno);
  state_[0] |= 1;  // the one state that the generator cannot leave is all zeros
}

uint64_t RealRandom::Next() {
  const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const uint64_t carried = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= carried;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

}  // namespace quipu::rt
