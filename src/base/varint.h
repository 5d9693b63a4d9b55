// Variable-length integers, little end first, seven bits a byte (as in Protocol Buffers' wire format); signed values
// zigzag. Readers refuse values beyond 64 bits, overlong ends and truncation.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>

namespace quipu {

inline constexpr int kVarintBytesMax = 10;

inline char* PutVarint(char* p, uint64_t v) {
  while (v >= 0x80) {
    *p++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *p++ = static_cast<char>(v);
  return p;
}
inline uint64_t ZigZag(int64_t v) { return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63); }
inline int64_t UnZigZag(uint64_t v) { return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1); }
inline char* PutSigned(char* p, int64_t v) { return PutVarint(p, ZigZag(v)); }

// Null if the bytes end or are no 64-bit varint.
inline const char* GetVarint(const char* p, const char* end, uint64_t* v) {
  uint64_t result = 0;
  for (int shift = 0; shift < 64 && p < end; shift += 7) {
    auto byte = static_cast<unsigned char>(*p++);
    if (shift == 63 && byte > 1) return nullptr;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (byte == 0 && shift != 0) return nullptr;
      *v = result;
      return p;
    }
  }
  return nullptr;
}
inline const char* GetSigned(const char* p, const char* end, int64_t* v) {
  uint64_t u;
  p = GetVarint(p, end, &u);
  if (p) *v = UnZigZag(u);
  return p;
}

// Fixed width, little end first whatever the host.
template <class T>
inline char* PutFixed(char* p, T v) {
  std::memcpy(p, &v, sizeof v);
  return p + sizeof v;
}
template <class T>
inline T GetFixed(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "disk formats are little-endian and so are the hosts we build for");

}  // namespace quipu
