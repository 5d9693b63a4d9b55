#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "model/token.h"

namespace quipu {
namespace {

std::string RoundTrip(std::string_view token) {
  TokenBytes bytes = PackToken(token);
  const TokenBytes stored = StoredToken(bytes.form, bytes.bytes());
  EXPECT_TRUE(stored == bytes);
  EXPECT_EQ(TokenOwnTime(stored), TokenOwnTime(token));
  return TokenText(stored);
}

std::string Draw(std::string_view alphabet, size_t size) {
  auto digits = *rc::gen::container<std::string>(size, rc::gen::elementOf(std::string(alphabet)));
  return digits;
}

RC_GTEST_PROP(PackToken, RoundTripsUuids, ()) {
  std::string t = Draw("0123456789abcdef", 36);
  for (size_t i : {8u, 13u, 18u, 23u}) t[i] = '-';
  RC_ASSERT(PackToken(t).form == TokenForm::kUuid);
  RC_ASSERT(RoundTrip(t) == t);
}

RC_GTEST_PROP(PackToken, RoundTripsThirtyTwoHexDigits, ()) {
  std::string t = Draw("0123456789abcdef", 32);
  RC_ASSERT(PackToken(t).form == TokenForm::kHex32);
  RC_ASSERT(RoundTrip(t) == t);
}

RC_GTEST_PROP(PackToken, RoundTripsUlids, ()) {
  std::string t = Draw("01234567", 1) + Draw("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 25);
  RC_ASSERT(PackToken(t).form == TokenForm::kUlid);
  RC_ASSERT(RoundTrip(t) == t);
}

// Lengths and letters close to the packed forms, so that a form that is claimed too generously loses something.
RC_GTEST_PROP(PackToken, RoundTripsAnythingThatResemblesAPackedForm, ()) {
  auto size = *rc::gen::element<size_t>(1, 25, 26, 27, 31, 32, 33, 35, 36, 37, 128);
  std::string t = Draw("0127-abfABFUZ", size);
  if (*rc::gen::arbitrary<bool>() && size == 36) {
    for (size_t i : {8u, 13u, 18u, 23u}) t[i] = '-';
  }
  RC_ASSERT(RoundTrip(t) == t);
}

RC_GTEST_PROP(PackToken, RoundTripsArbitraryBytes, ()) {
  auto t = *rc::gen::nonEmpty<std::string>();
  RC_ASSERT(RoundTrip(t) == t);
}

RC_GTEST_PROP(MakeUuidV7, GivesBackItsTime, (uint64_t a, uint64_t b)) {
  auto ms = *rc::gen::inRange<int64_t>(0, int64_t{1} << 48);
  std::string t = MakeUuidV7(ms, a, b);
  RC_ASSERT(TokenOwnTime(t) == ms * 1000);
  RC_ASSERT(PackToken(t).form == TokenForm::kUuid);
}

}  // namespace
}  // namespace quipu
