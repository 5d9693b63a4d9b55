// The main function of every program of tests: what gtest's own does, and a line that replays a failure whose inputs
// rapidcheck drew from this run's seed.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <random>
#include <string>

#include <fmt/core.h>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (::getenv("RC_PARAMS") == nullptr) {
    const uint64_t high = std::random_device()();
    ::setenv("RC_PARAMS", fmt::format("seed={}", high << 32 | std::random_device()()).c_str(), 1);
  }
  const int failed = RUN_ALL_TESTS();
  if (failed != 0) {
    fmt::print("replay with: RC_PARAMS='{}' {} --gtest_filter='{}'\n", ::getenv("RC_PARAMS"), argv[0],
               GTEST_FLAG_GET(filter));
  }
  return failed;
}
