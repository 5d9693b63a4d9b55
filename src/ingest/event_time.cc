#include "ingest/event_time.h"

#include <array>
#include <charconv>

namespace quipu::ingest {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<int, 12> kDaysBefore = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
constexpr std::array<int, 12> kDaysIn = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
constexpr std::string_view kConversions = "YymdeHIpMSfbzs%";

bool IsLeap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

struct Parts {
  int64_t year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0;
  int64_t offset_minutes = 0;
  bool afternoon = false, twelve_hours = false;
  std::optional<int64_t> unix_seconds;
};

// Days from 1970-01-01 to the first of January of the year, which is at least 1.
int64_t DaysBeforeYear(int64_t year) {
  const int64_t y = year - 1;
  return y * 365 + y / 4 - y / 100 + y / 400 - 719'162;
}

std::optional<int64_t> ToMs(const Parts& p) {
  if (p.unix_seconds) return *p.unix_seconds * 1000 + p.ms;
  if (p.year < 1 || p.year > 9999 || p.month < 1 || p.month > 12 || p.day < 1) return std::nullopt;
  const auto month = static_cast<size_t>(p.month - 1);
  const bool leap_day = p.month == 2 && p.day == 29 && IsLeap(p.year);
  if (p.day > kDaysIn[month] && !leap_day) return std::nullopt;
  int64_t hour = p.hour;
  if (p.twelve_hours) {
    if (hour < 1 || hour > 12) return std::nullopt;
    hour = hour % 12 + (p.afternoon ? 12 : 0);
  }
  // Second 60 is a leap second; it counts with the minute after.
  if (hour > 23 || p.minute > 59 || p.second > 60) return std::nullopt;
  const int64_t days =
      DaysBeforeYear(p.year) + kDaysBefore[month] + (p.month > 2 && IsLeap(p.year) ? 1 : 0) + p.day - 1;
  return (((days * 24 + hour) * 60 + p.minute - p.offset_minutes) * 60 + p.second) * 1000 + p.ms;
}

// Takes pieces from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  bool Literal(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Next(char c) const { return !text_.empty() && text_.front() == c; }
  // Between digits_min and digits_max decimal digits.
  bool Number(size_t digits_min, size_t digits_max, int64_t* value) {
    size_t n = 0;
    *value = 0;
    while (n < digits_max && n < text_.size() && text_[n] >= '0' && text_[n] <= '9')
      *value = *value * 10 + text_[n++] - '0';
    if (n < digits_min) return false;
    text_.remove_prefix(n);
    return true;
  }
  bool Fraction(int64_t* ms) {
    int64_t scale = 100;
    size_t n = 0;
    *ms = 0;
    for (; n < text_.size() && text_[n] >= '0' && text_[n] <= '9'; ++n, scale /= 10) *ms += (text_[n] - '0') * scale;
    text_.remove_prefix(n);
    return n > 0;
  }
  bool Month(int64_t* month) {
    for (size_t i = 0; i < kMonths.size(); ++i) {
      if (!text_.starts_with(kMonths[i])) continue;
      *month = static_cast<int64_t>(i) + 1;
      text_.remove_prefix(3);
      return true;
    }
    return false;
  }
  // Z, +hh:mm, +hhmm, +hh.
  bool Offset(int64_t* minutes) {
    if (Literal('Z') || Literal('z')) return true;
    const bool negative = Next('-');
    if (!Literal('-') && !Literal('+')) return false;
    int64_t hours = 0, rest = 0;
    if (!Number(2, 2, &hours)) return false;
    Literal(':');
    if (!done() && !Number(2, 2, &rest)) return false;
    *minutes = (hours * 60 + rest) * (negative ? -1 : 1);
    return hours <= 23 && rest <= 59;
  }

 private:
  std::string_view text_;
};

std::optional<int64_t> ParseUnix(std::string_view text) {
  const size_t dot = text.find('.');
  int64_t value = 0, ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + std::min(dot, text.size()), value);
  if (error != std::errc() || end != text.data() + std::min(dot, text.size())) return std::nullopt;
  if (dot != std::string_view::npos) {
    Cursor fraction(text.substr(dot + 1));
    if (!fraction.Fraction(&ms) || !fraction.done()) return std::nullopt;
  }
  const int64_t size = value < 0 ? -value : value;
  if (size < 100'000'000'000) return value * 1000 + (text.front() == '-' ? -ms : ms);
  if (size < 100'000'000'000'000) return value;
  return value / 1000;
}

std::optional<int64_t> ParseCommonLog(std::string_view text) {
  Cursor c(text);
  Parts p;
  const bool ok = c.Number(2, 2, &p.day) && c.Literal('/') && c.Month(&p.month) && c.Literal('/') &&
                  c.Number(4, 4, &p.year) && c.Literal(':') && c.Number(2, 2, &p.hour) && c.Literal(':') &&
                  c.Number(2, 2, &p.minute) && c.Literal(':') && c.Number(2, 2, &p.second) &&
                  (c.done() || (c.Literal(' ') && c.Offset(&p.offset_minutes)));
  return ok && c.done() ? ToMs(p) : std::nullopt;
}

std::optional<int64_t> ParseIso(std::string_view text) {
  Cursor c(text);
  Parts p;
  if (!c.Number(4, 4, &p.year) || !c.Literal('-') || !c.Number(2, 2, &p.month) || !c.Literal('-') ||
      !c.Number(2, 2, &p.day)) {
    return std::nullopt;
  }
  if (c.done()) return ToMs(p);
  if (!c.Literal('T') && !c.Literal('t') && !c.Literal(' ')) return std::nullopt;
  if (!c.Number(2, 2, &p.hour) || !c.Literal(':') || !c.Number(2, 2, &p.minute)) return std::nullopt;
  if (c.Literal(':') && !c.Number(2, 2, &p.second)) return std::nullopt;
  if (c.Literal('.') && !c.Fraction(&p.ms)) return std::nullopt;
  if (!c.done() && !c.Offset(&p.offset_minutes)) return std::nullopt;
  return c.done() ? ToMs(p) : std::nullopt;
}

std::optional<int64_t> ParseAny(std::string_view text) {
  if (text.size() >= 5 && text[4] == '-' && text.front() != '-') return ParseIso(text);
  if (text.size() >= 3 && text[2] == '/') return ParseCommonLog(text);
  return text.empty() ? std::nullopt : ParseUnix(text);
}

bool TakeConversion(char conversion, Cursor* c, Parts* p) {
  switch (conversion) {
    case 'Y':
      return c->Number(4, 4, &p->year);
    case 'y': {
      if (!c->Number(2, 2, &p->year)) return false;
      p->year += p->year < 69 ? 2000 : 1900;
      return true;
    }
    case 'm':
      return c->Number(1, 2, &p->month);
    case 'd':
    case 'e':
      c->Literal(' ');
      return c->Number(1, 2, &p->day);
    case 'I':
      p->twelve_hours = true;
      [[fallthrough]];
    case 'H':
      return c->Number(1, 2, &p->hour);
    case 'p':
      p->afternoon = c->Next('P') || c->Next('p');
      return (c->Literal('A') || c->Literal('P') || c->Literal('a') || c->Literal('p')) &&
             (c->Literal('M') || c->Literal('m'));
    case 'M':
      return c->Number(1, 2, &p->minute);
    case 'S':
      return c->Number(1, 2, &p->second);
    case 'f':
      return c->Fraction(&p->ms);
    case 'b':
      return c->Month(&p->month);
    case 'z':
      return c->Offset(&p->offset_minutes);
    case 's': {
      int64_t seconds = 0;
      if (!c->Number(1, 12, &seconds)) return false;
      p->unix_seconds = seconds;
      return true;
    }
    case '%':
      return c->Literal('%');
    default:
      return false;
  }
}

std::optional<int64_t> ParseByFormat(std::string_view format, std::string_view text) {
  Cursor c(text);
  Parts p;
  for (size_t i = 0; i < format.size(); ++i) {
    const bool taken = format[i] == '%' ? TakeConversion(format[++i], &c, &p) : c.Literal(format[i]);
    if (!taken) return std::nullopt;
  }
  return c.done() ? ToMs(p) : std::nullopt;
}

}  // namespace

Result<EventTimeParser> EventTimeParser::Make(std::string format) {
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    ++i;
    if (i == format.size() || kConversions.find(format[i]) == std::string_view::npos) {
      return Status(Code::kInvalidArgument,
                    fmt::format("--time-format: `{}` is none of %Y %y %m %d %e %H %I %p %M %S %f %b %z %s %%",
                                format.substr(i - 1, 2)));
    }
  }
  return EventTimeParser(std::move(format));
}

std::optional<int64_t> EventTimeParser::ParseMs(std::string_view text) {
  if (text == last_text_ && last_ms_) return last_ms_;
  last_ms_ = format_.empty() ? ParseAny(text) : ParseByFormat(format_, text);
  last_text_ = text;
  return last_ms_;
}

}  // namespace quipu::ingest
