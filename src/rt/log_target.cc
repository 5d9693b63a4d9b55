#include "rt/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <bit>

#include "base/assert.h"
#include "rt/posix_error.h"

namespace quipu::rt {
namespace {

constexpr size_t kAlignmentMin = 512;
constexpr size_t kAlignmentMax = 4096;

// What direct writes to this file need, for address, offset and size alike; 0 if the kernel does not say.
size_t DirectAlignment(int fd) {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) != 0) return 0;
  if ((info.stx_mask & STATX_DIOALIGN) == 0) return 0;
  return std::max<size_t>(info.stx_dio_mem_align, info.stx_dio_offset_align);
}

Status Failed(const char* call, const LogTarget& target, const LogFile::WriteOp& op, int error) {
  const Status status = PosixError(call, target.path, error);
  return Status(status.code() == Code::kStorageFull ? Code::kStorageFull : Code::kUnavailable,
                fmt::format("{}, offset {}, size {}", status.message(), op.offset, op.data.size()));
}

}  // namespace

Result<LogTarget> LogTarget::Open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_DIRECT));
  bool direct = fd.valid();
  size_t alignment = direct ? DirectAlignment(fd.get()) : 0;
  // Some file systems have no direct writes (EINVAL); one with larger blocks than the journal's is as good as none.
  if (alignment > kAlignmentMax) direct = false;
  if (!direct) {
    alignment = 0;
    fd = UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid()) return PosixError("open", path, errno);
  }
  alignment = alignment == 0 ? kAlignmentMax : std::max(alignment, kAlignmentMin);
  QUIPU_ASSERT(std::has_single_bit(alignment), "alignment {} is not a power of two", alignment);
  return LogTarget{.fd = std::move(fd), .alignment = alignment, .path = path};
}

Status LogWriteStatus(const LogTarget& target, const LogFile::WriteOp& op, int64_t written) {
  if (written == static_cast<int64_t>(op.data.size())) return OkStatus();
  if (written < 0) return Failed("write", target, op, static_cast<int>(-written));
  return Status(Code::kUnavailable, fmt::format("write {}: {} of {} bytes at offset {}", target.path, written,
                                                op.data.size(), op.offset));
}

Status LogSyncStatus(const LogTarget& target, const LogFile::WriteOp& op, int error) {
  return Failed("fdatasync", target, op, error);
}

void CheckLogWrite(const LogTarget& target, const LogFile::WriteOp& op) {
  constexpr size_t kWriteMax = size_t{1} << 30;  // more than this comes back short from the kernel
  const size_t mask = target.alignment - 1;
  QUIPU_ASSERT(op.on_done != nullptr, "a log write needs on_done");
  QUIPU_ASSERT(!op.data.empty() && op.data.size() <= kWriteMax, "size={}", op.data.size());
  QUIPU_ASSERT((op.offset & mask) == 0, "offset={} alignment={}", op.offset, target.alignment);
  QUIPU_ASSERT((op.data.size() & mask) == 0, "size={} alignment={}", op.data.size(), target.alignment);
  QUIPU_ASSERT((reinterpret_cast<uintptr_t>(op.data.data()) & mask) == 0, "the address is not aligned to {}",
               target.alignment);
}

}  // namespace quipu::rt
