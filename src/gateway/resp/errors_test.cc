#include "gateway/resp/errors.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace quipu::resp {
namespace {

TEST(Errors, EveryCodeHasTheReplyOfThePublicTable) {
  const std::map<Code, std::string_view> starts = {
      {Code::kInvalidArgument, "ERR"},
      {Code::kTooLarge, "ERR Protocol error: "},
      {Code::kUnimplemented, "ERR unknown command"},
      {Code::kUnauthenticated, "NOAUTH"},
      {Code::kPermissionDenied, "NOPERM"},
      {Code::kNamespaceNotFound, "ERR no such "},
      {Code::kNotFound, "ERR no such "},
      {Code::kAlreadyExists, "ERR namespace exists"},
      {Code::kVersionMismatch, "ERR version mismatch"},
      {Code::kTokenConflict, "TOKENCONFLICT"},
      {Code::kTokenExpired, "TOKENEXPIRED"},
      {Code::kTokenInFuture, "TOKENFUTURE"},
      {Code::kTokenRequired, "ERR token required"},
      {Code::kEventTooOld, "ERR event time"},
      {Code::kEventInFuture, "ERR event time"},
      {Code::kOverflow, "ERR increment or decrement would overflow"},
      {Code::kConditionNotMet, "ERR condition not met"},
      {Code::kReservationClosed, "ERR reservation closed"},
      {Code::kReadOnly, "READONLY"},
      {Code::kRateLimited, "BUSY rate limit"},
      {Code::kQuotaExceeded, "OOM quota"},
      {Code::kStorageFull, "OOM"},
      {Code::kOverloaded, "BUSY overloaded"},
      {Code::kUnavailable, "TRYAGAIN"},
      {Code::kDataLoss, "DATALOSS"},
      {Code::kDeadlineExceeded, "UNCERTAIN deadline"},
      {Code::kUnknownOutcome, "UNCERTAIN"},
      {Code::kInternal, "UNCERTAIN internal"},
  };
  for (int i = 1; i <= static_cast<int>(Code::kInternal); ++i) {
    auto code = static_cast<Code>(i);
    ASSERT_TRUE(starts.contains(code)) << CodeName(code);
    EXPECT_TRUE(ErrorText(code).starts_with(starts.at(code))) << CodeName(code) << ": " << ErrorText(code);
    EXPECT_TRUE(ErrorText(code).starts_with(ErrorPrefix(code))) << CodeName(code);
  }
}

TEST(Errors, UnknownEffectHasAWordOfItsOwn) {
  for (int i = 1; i <= static_cast<int>(Code::kInternal); ++i) {
    auto code = static_cast<Code>(i);
    EXPECT_EQ(ErrorText(code).starts_with("UNCERTAIN"), IsUnknown(code)) << CodeName(code);
  }
}

TEST(Errors, AMessageReplacesTheTextBehindThePrefix) {
  EXPECT_EQ(ErrorText(Status(Code::kReadOnly, "namespace x is frozen")), "READONLY namespace x is frozen");
  EXPECT_EQ(ErrorText(Status(Code::kReadOnly)), ErrorText(Code::kReadOnly));
}

}  // namespace
}  // namespace quipu::resp
