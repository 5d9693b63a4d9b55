#include "gateway/resp/errors.h"

#include <fmt/core.h>

#include "model/ids.h"

namespace quipu::resp {
namespace {

struct Row {
  std::string_view prefix;
  std::string_view text;  // starts with the prefix
};

Row RowOf(Code code) {
  switch (code) {
    case Code::kOk:
      break;
    case Code::kInvalidArgument:
      return {"ERR", "ERR invalid argument"};
    case Code::kTooLarge:
      return {"ERR Protocol error:", "ERR Protocol error: request too large for one commit"};
    case Code::kUnimplemented:
      return {"ERR unknown command", "ERR unknown command"};
    case Code::kUnauthenticated:
      return {"NOAUTH", text::kNoAuth};
    case Code::kPermissionDenied:
      return {"NOPERM", "NOPERM No permissions to access a key"};
    case Code::kNamespaceNotFound:
      return {"ERR no such", "ERR no such namespace"};
    case Code::kNotFound:
      return {"ERR no such", "ERR no such item"};
    case Code::kAlreadyExists:
      return {"ERR", "ERR namespace exists"};
    case Code::kVersionMismatch:
      return {"ERR version mismatch", "ERR version mismatch"};
    case Code::kTokenConflict:
      return {"TOKENCONFLICT", "TOKENCONFLICT the token was used on this counter with other content"};
    case Code::kTokenExpired:
      return {"TOKENEXPIRED",
              "TOKENEXPIRED the token's time, that of a UUIDv7 or ULID or else GEN, is older than the namespace's "
              "token_horizon"};
    case Code::kTokenInFuture:
      return {"TOKENFUTURE",
              "TOKENFUTURE the token's time, that of a UUIDv7 or ULID or else GEN, is further ahead than the "
              "namespace's token_skew"};
    case Code::kTokenRequired:
      return {"ERR token required", "ERR token required by the namespace"};
    case Code::kEventTooOld:
      return {"ERR event time", "ERR event time is older than can be stored"};
    case Code::kEventInFuture:
      return {"ERR event time", "ERR event time is further in the future than can be stored"};
    case Code::kOverflow:
      return {text::kOverflow, text::kOverflow};
    case Code::kConditionNotMet:
      return {"ERR condition not met", "ERR condition not met"};
    case Code::kReservationClosed:
      return {"ERR reservation closed", "ERR reservation closed"};
    case Code::kReadOnly:
      return {"READONLY", "READONLY the store takes no writes"};
    case Code::kRateLimited:
      return {"BUSY rate limit", "BUSY rate limit reached"};
    case Code::kQuotaExceeded:
      return {"OOM quota", "OOM quota of counters in this namespace is used up"};
    case Code::kStorageFull:
      return {"OOM", "OOM the disk or memory budget is used up"};
    case Code::kOverloaded:
      return {"BUSY overloaded", "BUSY overloaded"};
    case Code::kUnavailable:
      return {"TRYAGAIN", "TRYAGAIN the store is closing, or its disk fails for the moment; nothing was done"};
    case Code::kDataLoss:
      return {"DATALOSS", "DATALOSS a checksum failed where this counter is stored"};
    case Code::kDeadlineExceeded:
      return {"UNCERTAIN deadline", "UNCERTAIN deadline exceeded, the effect is unknown"};
    case Code::kUnknownOutcome:
      return {"UNCERTAIN", "UNCERTAIN the commit failed, the effect is unknown"};
    case Code::kInternal:
      return {"UNCERTAIN internal", "UNCERTAIN internal error, the effect is unknown"};
  }
  return {"UNCERTAIN internal", "UNCERTAIN internal error, the effect is unknown"};
}

}  // namespace

std::string_view ErrorText(Code code) { return RowOf(code).text; }

std::string_view ErrorPrefix(Code code) { return RowOf(code).prefix; }

std::string EventTimeError(std::string_view field, int64_t ms) {
  return fmt::format("{} {} is {} ms, out of range [{}, {}]", ErrorPrefix(Code::kEventInFuture), field, ms,
                     -kEventMsMax, kEventMsMax);
}

std::string NoNamespaceError(std::string_view name) {
  return fmt::format("{} namespace '{}': QUIPU.NSCREATE makes one", ErrorPrefix(Code::kNamespaceNotFound),
                     name.substr(0, 64));
}

std::string ErrorText(const Status& status) {
  if (status.message().empty()) return std::string(ErrorText(status.code()));
  return fmt::format("{} {}", ErrorPrefix(status.code()), status.message());
}

}  // namespace quipu::resp
