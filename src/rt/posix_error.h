// The one place where an errno becomes a Status: the table of rt/disk.h.
#pragma once
#include <string_view>

#include "base/status.h"

namespace quipu::rt {

// ENOSPC, EDQUOT: kStorageFull. ENOENT: kNotFound. Everything else: kUnavailable.
// The message is "CALL PATH: TEXT (errno N)".
Status PosixError(std::string_view call, std::string_view path, int error);

}  // namespace quipu::rt
