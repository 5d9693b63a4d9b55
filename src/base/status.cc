#include "base/status.h"

namespace quipu {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "OK";
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kTooLarge: return "TOO_LARGE";
    case Code::kUnimplemented: return "UNIMPLEMENTED";
    case Code::kUnauthenticated: return "UNAUTHENTICATED";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kNamespaceNotFound: return "NAMESPACE_NOT_FOUND";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kAlreadyExists: return "ALREADY_EXISTS";
    case Code::kVersionMismatch: return "VERSION_MISMATCH";
    case Code::kTokenConflict: return "TOKEN_CONFLICT";
    case Code::kTokenExpired: return "TOKEN_EXPIRED";
    case Code::kTokenInFuture: return "TOKEN_IN_FUTURE";
    case Code::kTokenRequired: return "TOKEN_REQUIRED";
    case Code::kEventTooOld: return "EVENT_TOO_OLD";
    case Code::kEventInFuture: return "EVENT_IN_FUTURE";
    case Code::kOverflow: return "OVERFLOW";
    case Code::kConditionNotMet: return "CONDITION_NOT_MET";
    case Code::kReservationClosed: return "RESERVATION_CLOSED";
    case Code::kReadOnly: return "READ_ONLY";
    case Code::kRateLimited: return "RATE_LIMITED";
    case Code::kQuotaExceeded: return "QUOTA_EXCEEDED";
    case Code::kStorageFull: return "STORAGE_FULL";
    case Code::kOverloaded: return "OVERLOADED";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kDataLoss: return "DATA_LOSS";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kUnknownOutcome: return "UNKNOWN_OUTCOME";
    case Code::kInternal: return "INTERNAL";
  }
  return "INTERNAL";
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  if (!message_) return std::string(CodeName(code_));
  return fmt::format("{}: {}", CodeName(code_), *message_);
}

}  // namespace quipu
