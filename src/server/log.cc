#include "server/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "rt/host.h"

namespace quipu::server {
namespace {

constexpr size_t kWaitingLinesMax = 8192;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

struct CivilTime {
  int64_t year;
  int month, day, hour, minute, second, micros;
};

CivilTime ToCivil(int64_t unix_us) {
  unix_us = std::max<int64_t>(unix_us, 0);  // a clock before 1970 is not set
  constexpr int64_t kDayUs = 86'400'000'000;
  const int64_t days = unix_us / kDayUs;
  const int64_t in_day = unix_us - days * kDayUs;
  CivilTime t{};
  t.micros = static_cast<int>(in_day % 1'000'000);
  t.second = static_cast<int>(in_day / 1'000'000 % 60);
  t.minute = static_cast<int>(in_day / 60'000'000 % 60);
  t.hour = static_cast<int>(in_day / 3'600'000'000);
  const auto is_leap = [](int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); };
  int64_t left = days;
  for (t.year = 1970; left >= (is_leap(t.year) ? 366 : 365); ++t.year) left -= is_leap(t.year) ? 366 : 365;
  for (t.month = 1;; ++t.month) {
    constexpr std::array<int, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int64_t in_month = kDays[static_cast<size_t>(t.month - 1)] + (t.month == 2 && is_leap(t.year) ? 1 : 0);
    if (left < in_month) break;
    left -= in_month;
  }
  t.day = static_cast<int>(left) + 1;
  return t;
}

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (*out += '\\') += c;
    else if (byte < 0x20 || byte == 0x7F)
      *out += fmt::format("\\u{:04x}", byte);
    else
      *out += c;
  }
  *out += '"';
}

}  // namespace

std::string Rfc3339Millis(int64_t unix_ms) {
  const CivilTime t = ToCivil(unix_ms * 1000);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.year, t.month, t.day, t.hour, t.minute, t.second,
                     t.micros / 1000);
}

std::string FormatLogLine(LogFormat format, int64_t unix_us, LogLevel level, std::string_view event,
                          std::string_view message, std::initializer_list<LogField> fields) {
  const CivilTime t = ToCivil(unix_us);
  const std::string date = fmt::format("{:04}-{:02}-{:02}", t.year, t.month, t.day);
  const std::string time = fmt::format("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
  if (format == LogFormat::kText) {
    std::string line = fmt::format("{} {}.{:03} {:<5} {}", date, time, t.micros / 1000, LevelName(level), message);
    for (const LogField& f : fields) {
      line += fmt::format("  {}=", f.name);
      if (f.value.find_first_of(" \"\\\n\r\t\x1b") == std::string::npos && !f.value.empty())
        line += f.value;
      else
        AppendJsonString(f.value, &line);
    }
    return line;
  }
  std::string line =
      fmt::format("{{\"ts\":\"{}T{}.{:06}Z\",\"level\":\"{}\",\"msg\":", date, time, t.micros, LevelName(level));
  AppendJsonString(message, &line);
  line += fmt::format(",\"event\":\"{}\",\"module\":\"{}\"", event, event.substr(0, event.find('.')));
  for (const LogField& f : fields) {
    line += fmt::format(",\"{}\":", f.name);
    AppendJsonString(f.value, &line);
  }
  return line + "}";
}

struct Log::Sink {
  std::shared_ptr<spdlog::details::thread_pool> pool =
      std::make_shared<spdlog::details::thread_pool>(kWaitingLinesMax, 1);
  std::shared_ptr<spdlog::async_logger> logger = std::make_shared<spdlog::async_logger>(
      "quipu", std::make_shared<spdlog::sinks::stdout_sink_mt>(), pool, spdlog::async_overflow_policy::overrun_oldest);
};

Log::Log(LogLevel level, LogFormat format, const rt::Clock* clock)
    : level_(level), format_(format), clock_(clock), sink_(std::make_unique<Sink>()) {
  if (format_ == LogFormat::kAuto) {
    format_ = rt::IsTerminal(rt::StandardStream::kOut) ? LogFormat::kText : LogFormat::kJson;
  }
  sink_->logger->set_pattern("%v");
  sink_->logger->set_level(spdlog::level::trace);
  sink_->logger->flush_on(spdlog::level::trace);
}

Log::~Log() { Finish(); }

void Log::Finish() {
  if (sink_ == nullptr) return;
  if (const size_t lost = sink_->pool->overrun_counter(); lost > 0) {
    Write(LogLevel::kWarn, "log.dropped", "lines were dropped because standard output did not take them",
          {{"lines", std::to_string(lost)}});
  }
  sink_.reset();
}

void Log::Write(LogLevel level, std::string_view event, std::string_view message,
                std::initializer_list<LogField> fields) {
  if (level < level_.load(std::memory_order_relaxed) || sink_ == nullptr) return;
  sink_->logger->info(FormatLogLine(format_, clock_->WallMicros(), level, event, message, fields));
}

bool LogLimit::Allow(int64_t mono_us, uint64_t* suppressed) {
  if (mono_us < next_us_) {
    ++suppressed_;
    return false;
  }
  next_us_ = mono_us + 1'000'000;
  *suppressed = std::exchange(suppressed_, 0);
  return true;
}

}  // namespace quipu::server
