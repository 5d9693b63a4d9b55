#include "cli/exit_code.h"

namespace quipu::cli {

ExitCode ExitCodeOf(Code code) {
  switch (code) {
    case Code::kOk:
      return kExitDone;
    case Code::kInvalidArgument:
    case Code::kTooLarge:
    case Code::kTokenRequired:
      return kExitUsage;
    case Code::kNamespaceNotFound:
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kAlreadyExists:
    case Code::kVersionMismatch:
    case Code::kTokenConflict:
    case Code::kTokenExpired:
    case Code::kTokenInFuture:
    case Code::kEventTooOld:
    case Code::kEventInFuture:
    case Code::kOverflow:
    case Code::kConditionNotMet:
    case Code::kReservationClosed:
      return kExitConflict;
    case Code::kReadOnly:
    case Code::kRateLimited:
    case Code::kQuotaExceeded:
    case Code::kStorageFull:
    case Code::kOverloaded:
    case Code::kUnavailable:
      return kExitUnavailable;
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return kExitPermission;
    case Code::kDataLoss:
      return kExitDamaged;
    case Code::kDeadlineExceeded:
    case Code::kUnknownOutcome:
    case Code::kInternal:
      return kExitUnknown;
    case Code::kUnimplemented:
      return kExitFailure;
  }
  return kExitFailure;
}

}  // namespace quipu::cli
