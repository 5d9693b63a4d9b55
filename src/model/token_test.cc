#include "model/token.h"

#include <gtest/gtest.h>

namespace quipu {
namespace {

TEST(Token, IsRefusedWithFieldSizeAndLimit) {
  EXPECT_TRUE(CheckToken("t").ok());
  EXPECT_TRUE(CheckToken(std::string(128, 't')).ok());
  EXPECT_EQ(CheckToken("").ToString(), "INVALID_ARGUMENT: idempotency_token.token has 0 bytes, allowed are 1 to 128");
  EXPECT_EQ(CheckToken(std::string(129, 't')).ToString(),
            "INVALID_ARGUMENT: idempotency_token.token has 129 bytes, allowed are 1 to 128");
  EXPECT_EQ(
      CheckToken("a\tb").ToString(),
      "INVALID_ARGUMENT: idempotency_token.token: byte 1 (0x09) breaks the rule: UTF-8 without control characters");
}

TEST(TokenOwnTime, ReadsTheExampleOfTheUuidStandard) {
  // RFC 9562, appendix A.6: 2022-02-22 14:22:22 at UTC-5.
  EXPECT_EQ(TokenOwnTime("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), 1645557742000'000);
  EXPECT_EQ(TokenOwnTime("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), 1645557742000'000);
}

TEST(TokenOwnTime, ReadsTheExampleOfTheUlidSpecification) {
  EXPECT_EQ(TokenOwnTime("01ARZ3NDEKTSV4RRFFQ69G5FAV"), 1469922850259'000);
  EXPECT_EQ(TokenOwnTime("01arz3ndektsv4rrffq69g5fav"), 1469922850259'000);
  EXPECT_EQ(TokenOwnTime("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), ((int64_t{1} << 48) - 1) * 1000);
}

TEST(TokenOwnTime, IsUnknownForAnythingElse) {
  for (std::string_view t : {
           "", "x", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",   // more than 128 bits
           "01ARZ3NDEKTSV4RRFFQ69G5FAU",            // U is no digit
           "01ARZ3NDEKTSV4RRFFQ69G5FAI",            // nor is I
           "01ARZ3NDEKTSV4RRFFQ69G5FA",             // too short
           "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",  // version 4
           "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",  // variant of Microsoft's
           "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",  // g is no digit
           "017f22e279b0-7cc3-98c4-dc0c0c07398f0",  // hyphens elsewhere
           "017f22e279b07cc398c4dc0c0c07398f",      // without hyphens it may be anything
       }) {
    EXPECT_EQ(TokenOwnTime(t), kNoTime) << t;
  }
}

TEST(MakeUuidV7, CarriesItsTimeVersionVariantAndRandomBits) {
  EXPECT_EQ(MakeUuidV7(0x017F22E279B0, 0, 0), "017f22e2-79b0-7000-8000-000000000000");
  EXPECT_EQ(MakeUuidV7(0x017F22E279B0, ~0ull, ~0ull), "017f22e2-79b0-7fff-bfff-ffffffffffff");
  EXPECT_EQ(TokenOwnTime(MakeUuidV7(1645557742123, 5, 9)), 1645557742123'000);
}

// The packed form is on disk: forms and bytes never change.
TEST(PackToken, ShrinksTheCommonFormsToFixedBytes) {
  auto packed = [](std::string_view t) {
    TokenBytes b = PackToken(t);
    std::string hex;
    for (char c : b.packed) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return std::to_string(static_cast<int>(b.form)) + ":" + hex;
  };
  EXPECT_EQ(packed("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), "2:017f22e279b07cc398c4dc0c0c07398f");
  EXPECT_EQ(packed("00000000-0000-0000-0000-0000000000ff"), "2:000000000000000000000000000000ff");
  EXPECT_EQ(packed("d41d8cd98f00b204e9800998ecf8427e"), "3:d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(packed("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "4:01563e3ab5d3d6764c61efb99302bd5b");
  EXPECT_EQ(packed("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"), "4:ffffffffffffffffffffffffffffffff");
}

// Eight digits are read at once: every byte in every place is a digit or not, by itself.
TEST(PackToken, KnowsADigitInEveryPlace) {
  const std::string uuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", hex = "017f22e279b07cc398c4dc0c0c07398f";
  for (int byte = 0; byte < 256; ++byte) {
    const auto c = static_cast<char>(byte);
    const bool lower = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'), either = lower || (c >= 'A' && c <= 'F');
    for (size_t i = 0; i < uuid.size(); ++i) {
      std::string t = uuid;
      t[i] = c;
      const bool hyphen = uuid[i] == '-';
      EXPECT_EQ(PackToken(t).form == TokenForm::kUuid, hyphen ? c == '-' : lower) << i << " " << byte;
      if (lower && !hyphen) {
        EXPECT_EQ(TokenText(PackToken(t)), t);
      }
      if (i == 14 || i == 19) continue;  // version and variant
      EXPECT_EQ(TokenOwnTime(t) != kNoTime, hyphen ? c == '-' : either) << i << " " << byte;
    }
    for (size_t i = 0; i < hex.size(); ++i) {
      std::string t = hex;
      t[i] = c;
      EXPECT_EQ(PackToken(t).form == TokenForm::kHex32, lower) << i << " " << byte;
      if (lower) {
        EXPECT_EQ(TokenText(PackToken(t)), t);
      }
    }
  }
}

TEST(PackToken, LeavesEverythingElseAsText) {
  EXPECT_EQ(PackToken("").form, TokenForm::kNone);
  for (std::string_view t : {"x", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "D41D8CD98F00B204E9800998ECF8427E",
                             "01arz3ndektsv4rrffq69g5fav", "81ARZ3NDEKTSV4RRFFQ69G5FAV"}) {
    EXPECT_EQ(PackToken(t).form, TokenForm::kText) << t;
  }
}

}  // namespace
}  // namespace quipu
