#include "gateway/resp/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "base/assert.h"

namespace quipu::resp {
namespace {

constexpr size_t kFirstCapacity = 1024;
constexpr size_t kIntegerBytesMax = 20;

constexpr auto kPairs = [] {
  std::array<char, 200> pairs{};
  for (size_t n = 0; n < 100; ++n) {
    pairs[2 * n] = static_cast<char>('0' + n / 10);
    pairs[2 * n + 1] = static_cast<char>('0' + n % 10);
  }
  return pairs;
}();

char* PutPair(char* end, uint64_t pair) {
  end[-2] = kPairs[2 * pair];
  end[-1] = kPairs[2 * pair + 1];
  return end - 2;
}

constexpr auto kPowersOfTen = [] {
  std::array<uint64_t, 20> powers{1};
  for (size_t n = 1; n < powers.size(); ++n) powers[n] = powers[n - 1] * 10;
  return powers;
}();

// Of a number above 0.
size_t CountDigits(uint64_t value) {
  const auto at_least = static_cast<size_t>(std::bit_width(value)) * 1233 >> 12;  // the logarithm of 2 is 1233 / 4096
  return at_least + (value >= kPowersOfTen[at_least] ? 1 : 0);
}

// Of any but 0.
[[gnu::noinline]] char* PutAnyInteger(char* p, int64_t value) {
  uint64_t left = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  *p = '-';
  if (value < 0) ++p;
  char* const end = p + CountDigits(left);
  // Two digits at a time from the right.
  char* at = end;
  for (; left >= 100; left /= 100) at = PutPair(at, left % 100);
  if (left >= 10) {
    PutPair(at, left);
  } else {
    at[-1] = static_cast<char>('0' + left);
  }
  return end;
}

[[gnu::always_inline]] inline char* PutInteger(char* p, int64_t value) {
  if (value < 0 || value > 9) return PutAnyInteger(p, value);
  *p = static_cast<char>('0' + value);
  return p + 1;
}

char* PutLineEnd(char* p) {
  p[0] = '\r';
  p[1] = '\n';
  return p + 2;
}

}  // namespace

void ReplyBuffer::Grow(size_t bytes) {
  size_t held = size();
  if (begin_ > 0 && capacity_ - held >= bytes && begin_ >= held) {
    std::memcpy(data_.get(), data_.get() + begin_, held);
  } else {
    size_t capacity = std::max({kFirstCapacity, capacity_ * 2, held + bytes});
    std::unique_ptr<char[]> grown(new char[capacity]);
    if (held > 0) std::memcpy(grown.get(), data_.get() + begin_, held);
    data_ = std::move(grown);
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
}

void ReplyBuffer::Consume(size_t count) {
  QUIPU_ASSERT(count <= size(), "consumes {} of {} bytes", count, size());
  begin_ += count;
  if (begin_ == end_) Clear();
}

void ReplyBuffer::Release() {
  QUIPU_ASSERT(empty(), "releases {} bytes that are not sent", size());
  data_.reset();
  capacity_ = 0;
  Clear();
}

void ReplyBuffer::Replace(size_t from, size_t to, std::string_view with) {
  QUIPU_ASSERT(from <= to && to <= size(), "replaces {}..{} of {} bytes", from, to, size());
  std::string tail(bytes().substr(to));
  Truncate(from);
  Raw(with);
  Raw(tail);
}

void ReplyBuffer::Raw(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(Reserve(bytes.size()), bytes.data(), bytes.size());
  end_ += bytes.size();
}

void ReplyBuffer::Line(char type, std::string_view text) {
  char* p = Reserve(text.size() + 3);
  *p++ = type;
  if (!text.empty()) std::memcpy(p, text.data(), text.size());
  PutLineEnd(p + text.size());
  end_ += text.size() + 3;
}

void ReplyBuffer::Simple(std::string_view text) { Line('+', text); }

void ReplyBuffer::Error(std::string_view text) {
  Line('-', text);
  char* line = data_.get() + end_ - text.size() - 2;
  std::replace_if(line, line + text.size(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
}

void ReplyBuffer::Header(char type, size_t count) {
  char* start = Reserve(kIntegerBytesMax + 3);
  char* p = start;
  *p++ = type;
  p = PutLineEnd(PutInteger(p, static_cast<int64_t>(count)));
  end_ += static_cast<size_t>(p - start);
}

void ReplyBuffer::Integer(int64_t value) {
  char* start = Reserve(kIntegerBytesMax + 3);
  char* p = start;
  *p++ = ':';
  p = PutLineEnd(PutInteger(p, value));
  end_ += static_cast<size_t>(p - start);
}

void ReplyBuffer::Bulk(std::string_view bytes) {
  char* start = Reserve(bytes.size() + kIntegerBytesMax + 5);
  char* p = start;
  *p++ = '$';
  p = PutLineEnd(PutInteger(p, static_cast<int64_t>(bytes.size())));
  if (!bytes.empty()) std::memcpy(p, bytes.data(), bytes.size());
  p = PutLineEnd(p + bytes.size());
  end_ += static_cast<size_t>(p - start);
}

void ReplyBuffer::BulkInteger(int64_t value) {
  fmt::format_int digits(value);
  Bulk({digits.data(), digits.size()});
}

void ReplyBuffer::Null() { Raw(protocol_ == Protocol::kResp3 ? "_\r\n" : "$-1\r\n"); }

void ReplyBuffer::NullArray() { Raw(protocol_ == Protocol::kResp3 ? "_\r\n" : "*-1\r\n"); }

void ReplyBuffer::Boolean(bool value) {
  if (protocol_ == Protocol::kResp3)
    Raw(value ? "#t\r\n" : "#f\r\n");
  else
    Integer(value ? 1 : 0);
}

void ReplyBuffer::Verbatim(std::string_view text) {
  if (protocol_ == Protocol::kResp2) return Bulk(text);
  Header('=', text.size() + 4);
  Raw("txt:");
  Raw(text);
  Raw("\r\n");
}

void ReplyBuffer::Map(size_t pairs) {
  if (protocol_ == Protocol::kResp3)
    Header('%', pairs);
  else
    Header('*', pairs * 2);
}

void ReplyBuffer::Set(size_t count) { Header(protocol_ == Protocol::kResp3 ? '~' : '*', count); }

}  // namespace quipu::resp
