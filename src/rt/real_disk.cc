#include "rt/real_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "base/assert.h"
#include "rt/log_target.h"
#include "rt/posix_error.h"
#include "rt/real_loop.h"
#include "rt/thread_log.h"
#include "rt/unique_fd.h"
#include "rt/uring_log.h"

namespace quipu::rt {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirMode = 0750;

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY | O_CLOEXEC;
    case OpenMode::kReadWrite:
      return O_RDWR | O_CLOEXEC;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_CLOEXEC;
    case OpenMode::kTruncate:
      return O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
  }
  QUIPU_ASSERT(false, "mode={}", static_cast<int>(mode));
}

// The call's result, or of its first run that no signal interrupted.
template <class Call>
auto Uninterrupted(Call call) {
  decltype(call()) result = -1;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

Result<UniqueFd> OpenFd(const std::string& path, int flags) {
  UniqueFd fd(Uninterrupted([&] { return ::open(path.c_str(), flags, kFileMode); }));
  if (!fd.valid()) return PosixError("open", path, errno);
  return fd;
}

class RealFile final : public File {
 public:
  RealFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = Uninterrupted(
          [&] { return ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done)); });
      if (n < 0) return PosixError("read", path_, errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status WriteAt(uint64_t offset, std::span<const char> data) override {
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t n = Uninterrupted([&] {
        return ::pwrite(fd_.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
      });
      if (n < 0) return PosixError("write", path_, errno);
      done += static_cast<size_t>(n);
    }
    return OkStatus();
  }

  Status Sync() override {
    if (::fdatasync(fd_.get()) != 0) return PosixError("fdatasync", path_, errno);
    return OkStatus();
  }

  Result<uint64_t> Size() override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return PosixError("stat", path_, errno);
    return static_cast<uint64_t>(info.st_size);
  }

  Status Truncate(uint64_t size) override {
    if (Uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      return PosixError("truncate", path_, errno);
    }
    return OkStatus();
  }

 private:
  const UniqueFd fd_;
  const std::string path_;
};

class RealFileLock final : public FileLock {
 public:
  explicit RealFileLock(UniqueFd fd) : fd_(std::move(fd)) {}

 private:
  const UniqueFd fd_;  // closing it unlocks
};

Result<std::unique_ptr<FileLock>> LockFile(const std::string& path, int flags, short type) {
  QUIPU_ASSIGN_OR_RETURN(UniqueFd fd, OpenFd(path, flags | O_CLOEXEC));
  struct flock whole_file{};
  whole_file.l_type = type;
  whole_file.l_whence = SEEK_SET;
  if (Uninterrupted([&] { return ::fcntl(fd.get(), F_OFD_SETLK, &whole_file); }) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      return Status(Code::kAlreadyExists, fmt::format("lock {}: held by another process", path));
    }
    return PosixError("lock", path, errno);
  }
  return std::unique_ptr<FileLock>(std::make_unique<RealFileLock>(std::move(fd)));
}

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

Result<std::unique_ptr<File>> RealDisk::Open(const std::string& path, OpenMode mode) {
  QUIPU_ASSIGN_OR_RETURN(UniqueFd fd, OpenFd(path, OpenFlags(mode)));
  return std::unique_ptr<File>(std::make_unique<RealFile>(std::move(fd), path));
}

Result<std::unique_ptr<LogFile>> RealDisk::OpenLog(const std::string& path, Loop* loop) {
  QUIPU_ASSIGN_OR_RETURN(LogTarget target, LogTarget::Open(path));
  RealLoop* const real = RealLoop::From(loop);
  UringRing* const ring = options_.log_writes == LogWrites::kAuto ? real->Ring() : nullptr;
  if (ring != nullptr) return std::unique_ptr<LogFile>(std::make_unique<UringLogFile>(ring, std::move(target)));
  return std::unique_ptr<LogFile>(std::make_unique<ThreadLogFile>(real->WriterThread(), std::move(target)));
}

Result<std::unique_ptr<FileLock>> RealDisk::Lock(const std::string& path) {
  return LockFile(path, O_RDWR | O_CREAT, F_WRLCK);
}

Result<std::unique_ptr<FileLock>> RealDisk::LockShared(const std::string& path) {
  return LockFile(path, O_RDONLY, F_RDLCK);
}

Status RealDisk::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return PosixError("rename", fmt::format("{} to {}", from, to), errno);
  return OkStatus();
}

Status RealDisk::Remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return PosixError("remove", path, errno);
  return OkStatus();
}

Status RealDisk::MakeDir(const std::string& path) {
  if (::mkdir(path.c_str(), kDirMode) == 0) return OkStatus();
  const int error = errno;
  const Status failed = PosixError("mkdir", path, error);
  if (error != EEXIST) return failed;
  return IsDir(path) ? OkStatus() : Status(failed.code(), path + ": is a file, not a directory");
}

Status RealDisk::RemoveDir(const std::string& path) {
  if (::rmdir(path.c_str()) != 0) return PosixError("rmdir", path, errno);
  return OkStatus();
}

Status RealDisk::SyncDir(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(UniqueFd fd, OpenFd(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (::fsync(fd.get()) != 0) return PosixError("fsync", path, errno);
  return OkStatus();
}

bool RealDisk::Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool RealDisk::IsDir(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<std::vector<std::string>> RealDisk::List(const std::string& dir) {
  const std::unique_ptr<DIR, DirCloser> stream(::opendir(dir.c_str()));
  if (stream == nullptr) return PosixError("opendir", dir, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return PosixError("readdir", dir, errno);
  std::sort(names.begin(), names.end());
  return names;
}

Result<DiskSpace> RealDisk::Space(const std::string& path) {
  struct statvfs info{};
  if (Uninterrupted([&] { return ::statvfs(path.c_str(), &info); }) != 0) return PosixError("statvfs", path, errno);
  return DiskSpace{.free_bytes = uint64_t{info.f_bavail} * info.f_frsize,
                   .total_bytes = uint64_t{info.f_blocks} * info.f_frsize};
}

}  // namespace quipu::rt
