// Assertions on our own invariants, on in every build: a counter that goes on after a broken invariant may show a wrong
// number, which is worse than a stop. Never used on bytes from a client, a peer, a disk or a configuration: those are a
// Status. The message is formatted only on failure.
#pragma once
#include <fmt/core.h>

#include <string>

namespace quipu::internal {
[[noreturn, gnu::cold]] void AssertFailed(const char* file, int line, const char* condition,
                                          const std::string& message);
}

#define QUIPU_ASSERT(cond, ...)                                                               \
  do {                                                                                        \
    if (__builtin_expect(!(cond), 0))                                                         \
      ::quipu::internal::AssertFailed(__FILE__, __LINE__, #cond, ::fmt::format(__VA_ARGS__)); \
  } while (0)

// For checks that cost more than the work they guard: debug and sanitizer builds only.
#if defined(NDEBUG)
#define QUIPU_DASSERT(cond, ...) ((void)0)
#else
#define QUIPU_DASSERT(cond, ...) QUIPU_ASSERT(cond, __VA_ARGS__)
#endif
