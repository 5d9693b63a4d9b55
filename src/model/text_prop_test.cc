// The fast check against a slow one written from the definition: decode by the bit patterns, then judge the code point.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "model/text.h"

namespace quipu {
namespace {

bool IsPrintableUtf8Slowly(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at])); };
    uint32_t first = byte(i);
    size_t length = first < 0x80            ? 1
                    : first >> 5 == 0b110   ? 2
                    : first >> 4 == 0b1110  ? 3
                    : first >> 3 == 0b11110 ? 4
                                            : 0;
    if (length == 0 || i + length > text.size()) return false;
    uint32_t point = length == 1 ? first : first & ((1u << (7 - length)) - 1);
    for (size_t k = 1; k < length; k++) {
      if (byte(i + k) >> 6 != 0b10) return false;
      point = point << 6 | (byte(i + k) & 0x3F);
    }
    size_t shortest = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    bool control = point < 0x20 || (point >= 0x7F && point <= 0x9F);
    if (length != shortest || surrogate || control || point > 0x10FFFF) return false;
    i += length;
  }
  return true;
}

std::string Encode(uint32_t point) {
  std::string out;
  auto put = [&](uint32_t b) { out.push_back(static_cast<char>(b)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6), put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12), put(0x80 | (point >> 6 & 0x3F)), put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18), put(0x80 | (point >> 12 & 0x3F)), put(0x80 | (point >> 6 & 0x3F)),
        put(0x80 | (point & 0x3F));
  }
  return out;
}

TEST(PrintableUtf8, AgreesWithTheDefinitionOnEveryCodePoint) {
  for (uint32_t point = 0; point < 0x200000; point++) {
    std::string c = Encode(point);
    ASSERT_EQ(IsPrintableUtf8(c), IsPrintableUtf8Slowly(c)) << std::hex << point;
  }
}

TEST(PrintableUtf8, AgreesWithTheDefinitionOnEveryStringOfThreeBytes) {
  std::string s(3, 0);
  for (uint32_t i = 0; i < 1u << 24; i++) {
    s[0] = static_cast<char>(i >> 16), s[1] = static_cast<char>(i >> 8), s[2] = static_cast<char>(i);
    if (IsPrintableUtf8(s) != IsPrintableUtf8Slowly(s)) FAIL() << std::hex << i;
  }
}

TEST(PrintableUtf8, FindsABadByteAtEveryPlaceOfEveryLength) {
  for (size_t size = 1; size <= 40; size++) {
    for (size_t at = 0; at < size; at++) {
      for (int byte = 0; byte < 256; byte++) {
        std::string s(size, 'a');
        s[at] = static_cast<char>(byte);
        bool good = byte >= 0x20 && byte < 0x7F;
        ASSERT_EQ(IsPrintableUtf8(s), good) << size << " " << at << " " << byte;
        ASSERT_EQ(PrintableUtf8Prefix(s), good ? size : at);
      }
    }
  }
}

RC_GTEST_PROP(PrintableUtf8, AgreesWithTheDefinitionOnArbitraryMixtures, ()) {
  auto pieces = *rc::gen::container<std::vector<std::string>>(
      rc::gen::oneOf(rc::gen::map(rc::gen::inRange<uint32_t>(0, 0x110000), Encode),
                     rc::gen::map(rc::gen::inRange<uint32_t>(0x20, 0x7F), Encode),
                     rc::gen::map(rc::gen::inRange<uint32_t>(0xA0, 0x300), Encode),
                     rc::gen::element<std::string>("\x80", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                                   "\xF0\x80\x80\x80", "plain text")));
  std::string text;
  for (const auto& p : pieces) text += p;
  RC_ASSERT(IsPrintableUtf8(text) == IsPrintableUtf8Slowly(text));
}

}  // namespace
}  // namespace quipu
