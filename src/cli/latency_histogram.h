// Latencies in bounded memory: buckets of at most 1.6 % width from 1 us to an hour.
#pragma once
#include <array>
#include <cstdint>

namespace quipu::cli {

class LatencyHistogram {
 public:
  void Add(int64_t us, uint64_t times = 1);
  // The upper end of the bucket in which the share (0 to 1) of all lies; 0 if there are none.
  int64_t Quantile(double share) const;
  int64_t max() const { return max_us_; }
  uint64_t count() const { return count_; }

 private:
  static constexpr int kSubBits = 6;
  static constexpr size_t kBuckets = 32 << kSubBits;
  static size_t BucketOf(uint64_t us);
  static int64_t UpperEnd(size_t bucket);
  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  int64_t max_us_ = 0;
};

}  // namespace quipu::cli
