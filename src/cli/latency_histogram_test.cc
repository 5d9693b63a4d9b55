#include "cli/latency_histogram.h"

#include <gtest/gtest.h>

namespace quipu::cli {
namespace {

TEST(LatencyHistogram, QuantilesAreWithinTwoPercent) {
  LatencyHistogram h;
  for (int64_t us = 1; us <= 1'000'000; ++us) h.Add(us);
  for (const double share : {0.001, 0.1, 0.5, 0.99, 0.999, 1.0}) {
    const double exact = share * 1e6;
    EXPECT_GE(static_cast<double>(h.Quantile(share)), exact * 0.999) << share;
    EXPECT_LE(static_cast<double>(h.Quantile(share)), exact * 1.02 + 1) << share;
  }
  EXPECT_EQ(h.max(), 1'000'000);
}

TEST(LatencyHistogram, ExtremesHaveAPlace) {
  LatencyHistogram h;
  EXPECT_EQ(h.Quantile(0.5), 0);
  h.Add(-5);
  h.Add(0);
  h.Add(INT64_MAX, 3);
  EXPECT_EQ(h.count(), 5u);
  EXPECT_EQ(h.Quantile(0.1), 0);
}

}  // namespace
}  // namespace quipu::cli
