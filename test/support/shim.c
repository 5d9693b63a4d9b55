// Preloaded into a server, makes faults that nothing outside of it can make:
//   QUIPU_TEST_CLOCK   a file of 8 bytes: so many seconds the wall clock is off, read at every look at it
//   QUIPU_TEST_SUBMIT  n: from the n-th submission to io_uring on, what is submitted goes to no file and fails
// QUIPU_TEST_COUNT names a file that gets a byte for every fault that happened.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void happened(void) {
  const char* path = getenv("QUIPU_TEST_COUNT");
  if (path == NULL) return;
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (write(fd, "1", 1) != 1) abort();
  close(fd);
}

static const volatile int64_t* offset(void) {
  static const volatile int64_t* mapped;
  if (mapped != NULL) return mapped;
  const char* path = getenv("QUIPU_TEST_CLOCK");
  const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  static const int64_t none;
  mapped = fd < 0 ? &none : mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  return mapped;
}

int clock_gettime(clockid_t id, struct timespec* t) {
  static int (*real)(clockid_t, struct timespec*);
  if (real == NULL) real = dlsym(RTLD_NEXT, "clock_gettime");
  const int rc = real(id, t);
  if (rc == 0 && id == CLOCK_REALTIME) t->tv_sec += *offset();
  return rc;
}

int io_uring_submit(struct io_uring* ring) {
  static int (*real)(struct io_uring*);
  static long left = -1;
  if (real == NULL) {
    real = dlsym(RTLD_NEXT, "io_uring_submit");
    const char* n = getenv("QUIPU_TEST_SUBMIT");
    left = n == NULL ? -1 : atol(n);
  }
  if (left > 0) --left;
  if (left == 0) {
    for (unsigned n = ring->sq.sqe_head; n != ring->sq.sqe_tail; ++n) {
      ring->sq.sqes[n & *ring->sq.kring_mask].fd = -1;
      happened();
    }
  }
  return real(ring);
}
