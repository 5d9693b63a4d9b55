#include "cli/latency_histogram.h"

#include <algorithm>

namespace quipu::cli {

// Below 2^kSubBits each value has its own bucket; above, each power of two has 2^kSubBits of them.
size_t LatencyHistogram::BucketOf(uint64_t us) {
  if (us < (1u << kSubBits)) return us;
  const int shift = 63 - __builtin_clzll(us) - kSubBits;
  const size_t bucket = (static_cast<size_t>(shift) << kSubBits) + (us >> shift);
  return std::min(bucket, kBuckets - 1);
}

int64_t LatencyHistogram::UpperEnd(size_t bucket) {
  if (bucket < (2u << kSubBits)) return static_cast<int64_t>(bucket);
  const size_t shift = (bucket >> kSubBits) - 1;
  const size_t mantissa = bucket - (shift << kSubBits);
  return static_cast<int64_t>(((mantissa + 1) << shift) - 1);
}

void LatencyHistogram::Add(int64_t us, uint64_t times) {
  buckets_[BucketOf(static_cast<uint64_t>(std::max<int64_t>(us, 0)))] += times;
  count_ += times;
  max_us_ = std::max(max_us_, us);
}

int64_t LatencyHistogram::Quantile(double share) const {
  const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen > 0 && seen >= wanted) return std::min(UpperEnd(i), max_us_);
  }
  return 0;
}

}  // namespace quipu::cli
