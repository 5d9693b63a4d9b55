// The one place where an errno becomes a Status: the table of rt/disk.h.
#pragma once
#include <string_view>

#include "base/status.h"

namespace quipu::rt {

// ENOSPC, EDQUOT: kStorageFull. ENOENT: kNotFound. Everything else: kUnavailable.
// The message is "CALL PATH: TEXT (errno N)".
Status PosixError(std::string_view call, std::string_view path, int error);
// Whether it was the device that failed (EIO), rather than the system that refused.
bool IsDeviceFailure(const Status& status);

}  // namespace quipu::rt
