#include "gateway/resp/resp_parser.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

constexpr size_t kLengthDigitsMax = 32;  // a length line longer than this is no number
constexpr size_t kArgsKept = 4096;       // room for arguments that is kept between requests
constexpr int64_t kNoBulk = -1;

enum class Line : uint8_t { kOk, kNeedMore, kBad, kTooLong };

Line ReadAnyLength(const char*& p, const char* end, int64_t* value) {
  auto available = static_cast<size_t>(end - p);
  auto cr = static_cast<const char*>(std::memchr(p, '\r', std::min(available, kLengthDigitsMax)));
  if (cr == nullptr) return available >= kLengthDigitsMax ? Line::kTooLong : Line::kNeedMore;
  if (end - cr < 2) return Line::kNeedMore;
  if (cr[1] != '\n' || !ParseInt64({p, static_cast<size_t>(cr - p)}, value)) return Line::kBad;
  p = cr + 2;
  return Line::kOk;
}

// The number of a length line, from behind its type byte to behind its "\r\n". Nearly all have one digit or two.
[[gnu::always_inline]] inline Line ReadLength(const char*& p, const char* end, int64_t* value) {
  if (end - p < 4) return ReadAnyLength(p, end, value);
  const auto first = static_cast<unsigned>(static_cast<unsigned char>(p[0])) - '0';
  const auto second = static_cast<unsigned>(static_cast<unsigned char>(p[1])) - '0';
  if (p[1] == '\r' && p[2] == '\n' && first <= 9) {
    *value = first;
    p += 3;
    return Line::kOk;
  }
  if (p[2] == '\r' && p[3] == '\n' && first - 1 < 9 && second <= 9) {
    *value = first * 10 + second;
    p += 4;
    return Line::kOk;
  }
  return ReadAnyLength(p, end, value);
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

std::string Printable(char c) {
  if (c >= 0x20 && c < 0x7f) return std::string(1, c);
  return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
}

}  // namespace

RespParser::Result RespParser::NeedMore(size_t wanted) {
  bytes_wanted_ = wanted;
  return Result::kNeedMore;
}

RespParser::Result RespParser::Fail(std::string text) {
  error_ = std::move(text);
  begun_ = false;
  return Result::kError;
}

void RespParser::Rebase(const char* data) {
  for (std::string_view& arg : args_) arg = {data + (arg.data() - base_), arg.size()};
  base_ = data;
}

RespParser::Result RespParser::Parse(char* data, size_t size) {
  size_t skipped = 0;
  for (;;) {
    if (!begun_) {
      Result header = ParseHeader(data + skipped, size - skipped);
      if (header != Result::kCommand) {
        consumed_ = skipped;
        return header;
      }
    }
    Result result =
        multibulk_ ? ParseBulks(data + skipped, size - skipped) : ParseInline(data + skipped, size - skipped);
    if (result != Result::kCommand) {
      consumed_ = skipped;
      return result;
    }
    begun_ = false;
    skipped += position_;
    if (args_.empty()) continue;
    consumed_ = skipped;
    return Result::kCommand;
  }
}

RespParser::Result RespParser::ParseHeader(const char* data, size_t size) {
  if (size == 0) return NeedMore(1);
  if (args_.capacity() > kArgsKept) args_ = {};
  args_.clear();
  position_ = 0;
  elements_left_ = 0;
  bulk_bytes_ = kNoBulk;
  base_ = data;
  multibulk_ = data[0] == '*';
  if (multibulk_) {
    const char* p = data + 1;
    int64_t elements = 0;
    switch (ReadLength(p, data + size, &elements)) {
      case Line::kOk:
        break;
      case Line::kNeedMore:
        return NeedMore(size + 1);
      case Line::kBad:
        return Fail("invalid multibulk length");
      case Line::kTooLong:
        return Fail("too big mbulk count string");
    }
    if (elements > 0) elements_left_ = static_cast<size_t>(elements);
    if (!authenticated_ && elements_left_ > limits_.elements_max_before_auth)
      return Fail("unauthenticated multibulk length");
    if (elements_left_ > limits_.elements_max) return Fail("invalid multibulk length");
    position_ = static_cast<size_t>(p - data);
  }
  begun_ = true;
  return Result::kCommand;
}

RespParser::Result RespParser::ParseBulks(const char* data, size_t size) {
  if (data != base_) Rebase(data);
  const char* end = data + size;
  const char* p = data + position_;
  while (elements_left_ > 0) {
    if (bulk_bytes_ == kNoBulk) {
      position_ = static_cast<size_t>(p - data);
      if (p == end) return NeedMore(position_ + 4);
      if (*p != '$') return Fail(fmt::format("expected '$', got '{}'", Printable(*p)));
      ++p;
      int64_t length = 0;
      switch (ReadLength(p, end, &length)) {
        case Line::kOk:
          break;
        case Line::kNeedMore:
          return NeedMore(size + 1);
        case Line::kBad:
          return Fail("invalid bulk length");
        case Line::kTooLong:
          return Fail("too big bulk count string");
      }
      if (length < 0) return Fail("invalid bulk length");
      if (!authenticated_ && static_cast<uint64_t>(length) > limits_.bulk_bytes_max_before_auth) {
        return Fail("unauthenticated bulk length");
      }
      if (static_cast<uint64_t>(length) > limits_.bulk_bytes_max) return Fail("invalid bulk length");
      bulk_bytes_ = length;
    }
    auto length = static_cast<size_t>(bulk_bytes_);
    if (static_cast<size_t>(end - p) < length + 2) {
      position_ = static_cast<size_t>(p - data);
      return NeedMore(position_ + length + 2);
    }
    if (p[length] != '\r' || p[length + 1] != '\n') return Fail("bulk does not end in CRLF");
    args_.emplace_back(p, length);
    p += length + 2;
    bulk_bytes_ = kNoBulk;
    --elements_left_;
  }
  position_ = static_cast<size_t>(p - data);
  return Result::kCommand;
}

RespParser::Result RespParser::ParseInline(char* data, size_t size) {
  auto newline = static_cast<char*>(std::memchr(data + position_, '\n', size - position_));
  size_t line_bytes = newline == nullptr ? size : static_cast<size_t>(newline - data);
  const size_t line_bytes_max = authenticated_ ? limits_.inline_bytes_max
                                               : std::min(limits_.inline_bytes_max, limits_.bulk_bytes_max_before_auth);
  if (line_bytes > line_bytes_max) return Fail("too big inline request");
  position_ = line_bytes;
  if (newline == nullptr) return NeedMore(line_bytes + 1);
  ++position_;
  return SplitInline(data, newline);
}

// Arguments are parted by blanks; "..." may hold \n \r \t \b \a \xHH \" \\, '...' only \'; a closing quote ends its
// argument.
RespParser::Result RespParser::SplitInline(char* line, char* end) {
  char* p = line;
  for (;;) {
    while (p < end && IsBlank(*p)) ++p;
    if (p == end) return Result::kCommand;
    char* begin = p;
    char* out = p;
    char quote = 0;
    for (; p < end; ++p) {
      char c = *p;
      if (quote == 0) {
        if (IsBlank(c)) break;
        if (c == '"' || c == '\'')
          quote = c;
        else
          *out++ = c;
        continue;
      }
      if (c == quote) {
        if (p + 1 < end && !IsBlank(p[1])) return Fail("unbalanced quotes in request");
        quote = 0;
      } else if (c == '\\' && quote == '"' && end - p >= 4 && p[1] == 'x' && HexDigit(p[2]) >= 0 &&
                 HexDigit(p[3]) >= 0) {
        *out++ = static_cast<char>(HexDigit(p[2]) * 16 + HexDigit(p[3]));
        p += 3;
      } else if (c == '\\' && p + 1 < end && (quote == '"' || p[1] == '\'')) {
        ++p;
        *out++ = quote == '"' ? Unescape(*p) : *p;
      } else {
        *out++ = c;
      }
    }
    if (quote != 0) return Fail("unbalanced quotes in request");
    args_.emplace_back(begin, static_cast<size_t>(out - begin));
  }
}

}  // namespace quipu::resp
