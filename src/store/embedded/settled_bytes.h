// The spelling of numbers in keys and values of the settled state. Included by settled_*rows.cc alone.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/varint.h"

namespace quipu::store {

inline constexpr char kRowVersion = 1;

template <class T>
inline char* PutBig(char* p, T v) {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
  return PutFixed(p, v);
}
template <class T>
inline T GetBig(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return sizeof(T) == 4 ? static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(v)))
                        : static_cast<T>(__builtin_bswap64(v));
}

using uint128 = unsigned __int128;
inline char* PutVarint128(char* p, uint128 v) {
  for (; v >= 0x80; v >>= 7) *p++ = static_cast<char>(static_cast<uint8_t>(v) | 0x80);
  *p++ = static_cast<char>(v);
  return p;
}

// Takes parts off the front; once one is missing or malformed, ok() stays false and zeros come out.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  uint8_t Byte() {
    if (bytes_.empty()) return Fail<uint8_t>();
    const auto b = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return b;
  }
  // The shortest spelling only.
  template <class U = uint64_t>
  U Varint() {
    constexpr int kBits = sizeof(U) * 8;
    U v = 0;
    for (int shift = 0; shift < kBits; shift += 7) {
      const uint8_t b = Byte();
      if (shift > 0 && b == 0) return Fail<U>();
      if (kBits - shift < 7 && (b >> (kBits - shift)) != 0) return Fail<U>();
      v |= static_cast<U>(b & 0x7f) << shift;
      if (b < 0x80) return ok_ ? v : 0;
    }
    return Fail<U>();
  }
  int64_t ZigZagVarint() { return UnZigZag(Varint()); }
  std::string_view Bytes(size_t n) {
    if (bytes_.size() < n) return Fail<std::string_view>();
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  uint64_t Big64() {
    const std::string_view taken = Bytes(8);
    return ok_ ? GetBig<uint64_t>(taken.data()) : 0;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  template <class T>
  T Fail() {
    ok_ = false;
    bytes_ = {};
    return T();
  }
  std::string_view bytes_;
  bool ok_ = true;
};

inline void Assign(std::string* out, const char* begin, const char* end) {
  out->assign(begin, static_cast<size_t>(end - begin));
}

}  // namespace quipu::store
