// The process's exit codes: a contract with scripts (docs/operating/cli.md).
#pragma once
#include "base/status.h"

namespace quipu::cli {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailure = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitConflict = 4,     // conflict, or a condition that did not hold
  kExitUnavailable = 5,  // unavailable or overloaded; surely not done
  kExitUnknown = 6,      // may have happened: the same token again, or look
  kExitDamaged = 65,     // serve, check, import: damaged data
  kExitOs = 71,          // serve: the port, or the system
  kExitIo = 74,          // serve: a sync or write failed and the engine fenced itself
  kExitLocked = 75,      // serve: another process has the data directory
  kExitPermission = 77,
  kExitConfig = 78,
};

// What a failed call means to a script.
ExitCode ExitCodeOf(Code code);

}  // namespace quipu::cli
