// One line on standard error that says how far a long command is: only on a terminal, drawn at most ten times a second.
#pragma once
#include <cstdint>
#include <string>

#include "rt/clock.h"

namespace quipu::cli {

struct Progress {
  uint64_t items = 0;
  uint64_t done = 0, all = 0;  // in any unit; all = 0: unknown
};

// "[=========>          ]  45 %  1.20 M lines/s  0:07 left", at most `columns` wide.
std::string ProgressText(const Progress& progress, int64_t elapsed_us, int columns);
// 950, 1.20 k, 3.40 M.
std::string ShortNumber(double number);

class ProgressLine {
 public:
  ProgressLine(const rt::Clock* clock, bool enabled)
      : clock_(clock), enabled_(enabled), began_us_(clock->MonoMicros()) {}
  ~ProgressLine() { Clear(); }
  void Show(const Progress& progress);
  // Takes the line away, so that something else can be printed.
  void Clear();

 private:
  const rt::Clock* clock_;
  const bool enabled_;
  const int64_t began_us_;
  int64_t drawn_us_ = 0;
  bool shown_ = false;
};

}  // namespace quipu::cli
