#include "rt/posix_error.h"

#include <errno.h>

#include <system_error>

namespace quipu::rt {

Status PosixError(std::string_view call, std::string_view path, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOSPC || error == EDQUOT) code = Code::kStorageFull;
  if (error == ENOENT) code = Code::kNotFound;
  return Status(code, fmt::format("{} {}: {} (errno {})", call, path, std::generic_category().message(error), error));
}

bool IsDeviceFailure(const Status& status) {
  static const std::string kEnd = fmt::format("(errno {})", EIO);
  return std::string_view(status.message()).find(kEnd) != std::string_view::npos;
}

}  // namespace quipu::rt
