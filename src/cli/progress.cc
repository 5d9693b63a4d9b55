#include "cli/progress.h"

#include <cstdio>

#include "rt/host.h"

namespace quipu::cli {
namespace {

constexpr int64_t kDrawEveryUs = 100'000;
constexpr int kBarColumnsMax = 40;

}  // namespace

std::string ShortNumber(double number) {
  if (number >= 1e6) return fmt::format("{:.2f} M", number / 1e6);
  if (number >= 1e4) return fmt::format("{:.1f} k", number / 1e3);
  return fmt::format("{:.0f}", number);
}

std::string ProgressText(const Progress& progress, int64_t elapsed_us, int columns) {
  const double seconds = static_cast<double>(std::max<int64_t>(elapsed_us, 1)) / 1e6;
  const std::string rate = fmt::format("{} lines/s", ShortNumber(static_cast<double>(progress.items) / seconds));
  if (progress.all == 0)
    return fmt::format("{} lines  {}", progress.items, rate).substr(0, static_cast<size_t>(columns));
  const double share = std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.all));
  const auto left = static_cast<int64_t>(share > 0 ? seconds / share * (1 - share) + 0.5 : 0);
  const std::string tail = fmt::format("  {:3.0f} %  {}  {}:{:02} left", share * 100, rate, left / 60, left % 60);
  const int bar = std::min(kBarColumnsMax, columns - static_cast<int>(tail.size()) - 2);
  if (bar < 4) return tail.substr(2);
  const int full = static_cast<int>(share * bar);
  std::string text(static_cast<size_t>(full), '=');
  if (full < bar) text += '>';
  text.resize(static_cast<size_t>(bar), ' ');
  return "[" + text + "]" + tail;
}

void ProgressLine::Show(const Progress& progress) {
  const int64_t now = clock_->MonoMicros();
  if (!enabled_ || now - drawn_us_ < kDrawEveryUs) return;
  drawn_us_ = now;
  shown_ = true;
  fmt::print(stderr, "\r{}\x1b[K", ProgressText(progress, now - began_us_, rt::TerminalColumns() - 1));
  std::fflush(stderr);
}

void ProgressLine::Clear() {
  if (std::exchange(shown_, false)) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace quipu::cli
