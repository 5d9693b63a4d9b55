#include "rt/host.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/assert.h"
#include "rt/posix_error.h"

namespace quipu::rt {
namespace {

// The number in a one-line file; 0 if there is none.
uint64_t NumberInFile(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[32] = {};
  const ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  return n > 0 ? std::strtoull(text, nullptr, 10) : 0;
}

int DescriptorOf(StandardStream stream) {
  switch (stream) {
    case StandardStream::kIn:
      return STDIN_FILENO;
    case StandardStream::kOut:
      return STDOUT_FILENO;
    case StandardStream::kError:
      return STDERR_FILENO;
  }
  return STDERR_FILENO;
}

}  // namespace

void PauseMicros(int64_t us) {
  timespec left{.tv_sec = us / 1'000'000, .tv_nsec = us % 1'000'000 * 1000};
  while (us > 0 && ::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

bool IsTerminal(StandardStream stream) { return ::isatty(DescriptorOf(stream)) == 1; }

int TerminalColumns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

uint64_t MemoryBytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGESIZE);
  uint64_t bytes = pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const uint64_t limit = NumberInFile(path);
    if (limit > 0 && (bytes == 0 || limit < bytes)) bytes = limit;
  }
  return bytes;
}

std::vector<std::pair<std::string, std::string>> Environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<std::string> ReadWholeFile(const std::string& path, size_t bytes_max) {
  QUIPU_ASSIGN_OR_RETURN(const std::unique_ptr<ByteInput> in, ByteInput::Open(path));
  std::string text;
  for (size_t got = 1; got > 0;) {
    const size_t held = text.size();
    text.resize(held + 65536);
    QUIPU_ASSIGN_OR_RETURN(got, in->Read(std::span(text).subspan(held)));
    text.resize(held + got);
    if (text.size() > bytes_max) {
      return Status(Code::kTooLarge, fmt::format("{} has more than {} bytes", path, bytes_max));
    }
  }
  return text;
}

unsigned CpuCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1u, static_cast<unsigned>(CPU_COUNT(&set)));
}

uint64_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // what a process has by default
  const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

struct Thread::State {
  std::thread thread;
};
Thread::Thread(std::function<void()> body) : state_(std::make_unique<State>(State{std::thread(std::move(body))})) {}
Thread::~Thread() { state_->thread.join(); }

ProcessFigures ReadProcessFigures() {
  ProcessFigures out;
  out.process_id = ::getpid();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  out.resident_bytes_peak = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  out.cpu_user_us = usage.ru_utime.tv_sec * 1'000'000 + usage.ru_utime.tv_usec;
  out.cpu_system_us = usage.ru_stime.tv_sec * 1'000'000 + usage.ru_stime.tv_usec;
  const Result<std::string> statm = ReadWholeFile("/proc/self/statm", 4096);  // pages: all, resident, ...
  if (statm.ok()) {
    const size_t blank = statm->find(' ');
    const uint64_t pages = blank == std::string::npos ? 0 : std::strtoull(statm->c_str() + blank, nullptr, 10);
    out.resident_bytes = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  return out;
}

std::string ExecutablePath() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

std::string CommandName() {
  const std::filesystem::path path = ExecutablePath();
  std::error_code error;
  const char* const search = std::getenv("PATH");
  for (std::string_view rest = search == nullptr ? "" : search; !rest.empty();) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
    if (std::filesystem::equivalent(std::filesystem::path(folder) / path.filename(), path, error)) {
      return path.filename().string();
    }
  }
  const std::string relative = path.lexically_relative(std::filesystem::current_path(error)).string();
  return relative.empty() || relative.starts_with("..") ? path.string() : relative;
}

void ExitAtOnce(int code) { ::_exit(code); }

Result<std::string> MakeTemporaryDir(std::string_view prefix) {
  std::error_code error;
  std::string path = (std::filesystem::temp_directory_path(error) / fmt::format("{}-XXXXXX", prefix)).string();
  if (error) return Status(Code::kUnavailable, fmt::format("temporary directory: {}", error.message()));
  if (::mkdtemp(path.data()) == nullptr) return PosixError("mkdtemp", path, errno);
  return path;
}

Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return Status(Code::kUnavailable, fmt::format("remove {}: {}", path, error.message()));
  return OkStatus();
}

void NotifyServiceManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un where{};
  if (path == nullptr || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof where.sun_path) return;
  where.sun_family = AF_UNIX;
  std::memcpy(where.sun_path, path, std::strlen(path));
  if (path[0] == '@') where.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  // The manager may be gone; a server goes on without it.
  [[maybe_unused]] const ssize_t n =
      ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&where), size);
  ::close(fd);
}

Result<std::unique_ptr<ByteInput>> ByteInput::Open(const std::string& path) {
  const int fd = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return PosixError("open", path, errno);
  struct stat info{};
  if (::fstat(fd, &info) != 0) {
    const int error = errno;
    ::close(fd);
    return PosixError("fstat", path, error);
  }
  if (S_ISDIR(info.st_mode)) {
    ::close(fd);
    return Status(Code::kInvalidArgument, fmt::format("{} is a directory", path));
  }
  const bool regular = S_ISREG(info.st_mode) && path != "-";
  if (regular) ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  const uint64_t size = regular ? static_cast<uint64_t>(info.st_size) : 0;
  return std::unique_ptr<ByteInput>(new ByteInput(fd, path, size, regular));
}

Result<size_t> ByteInput::Read(std::span<char> into) {
  for (;;) {
    const ssize_t n = ::read(fd_, into.data(), into.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return PosixError("read", path_, errno);
  }
}

ByteInput::~ByteInput() { ::close(fd_); }

Result<std::unique_ptr<ByteOutput>> ByteOutput::Append(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return PosixError("open", path, errno);
  return std::unique_ptr<ByteOutput>(new ByteOutput(fd, path));
}

Status ByteOutput::Write(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd_, data.data(), data.size());
    if (n >= 0)
      data.remove_prefix(static_cast<size_t>(n));
    else if (errno != EINTR)
      return PosixError("write", path_, errno);
  }
  return OkStatus();
}

Status ByteOutput::Sync() {
  if (::fdatasync(fd_) == 0 || errno == EINVAL || errno == EROFS) return OkStatus();
  return PosixError("sync", path_, errno);
}

ByteOutput::~ByteOutput() { ::close(fd_); }

}  // namespace quipu::rt
