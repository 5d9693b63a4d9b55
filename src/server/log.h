// The server's own log, on standard output: text lines on a terminal, JSON lines otherwise. A message is a constant
// sentence; what varies stands in fields. Counter names, tokens and secrets never appear.
//
// Threads   Any. Lines are written by a thread of their own; when it cannot keep up the oldest waiting lines go, and
// the
//           number of those is reported.
#pragma once
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "rt/clock.h"
#include "server/config.h"

namespace quipu::server {

struct LogField {
  std::string_view name;
  std::string value;
};

// Unix milliseconds as RFC 3339 in UTC, with milliseconds.
std::string Rfc3339Millis(int64_t unix_ms);

// One line without its line end. Text: "2026-01-02 03:04:05.678 info  message  name=value". JSON has ts, level, msg,
// event, module and the fields, in this order; ts is RFC 3339 with microseconds.
std::string FormatLogLine(LogFormat format, int64_t unix_us, LogLevel level, std::string_view event,
                          std::string_view message, std::initializer_list<LogField> fields);

class Log {
 public:
  // kAuto: text if standard output is a terminal.
  Log(LogLevel level, LogFormat format, const rt::Clock* clock);
  ~Log();
  // Writes what is waiting. Later lines go nowhere.
  void Finish();
  void SetLevel(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  // `event` is a stable dotted name, its first part the module.
  void Write(LogLevel level, std::string_view event, std::string_view message,
             std::initializer_list<LogField> fields = {});
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

 private:
  struct Sink;
  std::atomic<LogLevel> level_;
  LogFormat format_;
  const rt::Clock* clock_;
  std::unique_ptr<Sink> sink_;
};

// Lets one line a second through, and says how many it held back since the last. One for each place that logs.
class LogLimit {
 public:
  // True if a line may be written now; *suppressed is then how many were not.
  bool Allow(int64_t mono_us, uint64_t* suppressed);

 private:
  int64_t next_us_ = INT64_MIN;
  uint64_t suppressed_ = 0;
};

}  // namespace quipu::server
