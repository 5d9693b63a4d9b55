// Preloaded into redis-server: every sync of a file takes QUIPU_SYNC_DELAY_US more, asleep, as on a slower disk.
#include <dlfcn.h>
#include <sys/prctl.h>
#include <time.h>

namespace {

int Delayed(const char* name, int fd) {
  using Sync = int (*)(int);
  // The kernel may otherwise wake a sleeper 50 us late.
  thread_local const int exact = ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  static_cast<void>(exact);
  const timespec delay{.tv_sec = 0, .tv_nsec = QUIPU_SYNC_DELAY_US * 1000L};
  static_cast<void>(::nanosleep(&delay, nullptr));
  return reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fdatasync(int fd) { return Delayed("fdatasync", fd); }
extern "C" int fsync(int fd) { return Delayed("fsync", fd); }
