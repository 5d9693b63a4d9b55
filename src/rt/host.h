// What a program that people start needs from its host: time while it waits, terminals, memory, byte streams
// from files and pipes. The server's request path uses Loop and Disk instead.
//
// Threads   Free functions from any thread; objects have one owner.
// Errors    kNotFound, kUnavailable (messages name path and errno).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quipu::rt {

// Blocks this thread. Does nothing if us <= 0.
void PauseMicros(int64_t us);

enum class StandardStream : uint8_t { kIn, kOut, kError };
bool IsTerminal(StandardStream stream);
// Columns of the terminal on standard error; 80 if it is none.
int TerminalColumns();

// All variables of the environment.
std::vector<std::pair<std::string, std::string>> Environment();

// Usable memory: the smaller of the machine's and the control group's limit. 0 if unknown.
uint64_t MemoryBytes();
// CPUs that this process may run on; at least 1.
unsigned CpuCount();
// Raises the number of descriptors that this process may have open to the most that it is allowed, and returns it.
uint64_t RaiseDescriptorLimit();

// A thread that runs `body` once. Joined when destroyed.
class Thread {
 public:
  explicit Thread(std::function<void()> body);
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Of this process.
struct ProcessFigures {
  int64_t process_id = 0;
  uint64_t resident_bytes = 0, resident_bytes_peak = 0;
  int64_t cpu_user_us = 0, cpu_system_us = 0;
};
ProcessFigures ReadProcessFigures();
// Where this program's file lies; empty if that cannot be told.
std::string ExecutablePath();
// What to type in this directory to run this program: its name if the search path finds it, else its shortest path.
std::string CommandName();
// Ends the process now, without destroying anything.
[[noreturn]] void ExitAtOnce(int code);
// A new empty directory under the system's place for temporary files.
Result<std::string> MakeTemporaryDir(std::string_view prefix);
// Removes a directory and all that is in it.
Status RemoveTree(const std::string& path);

// Tells the service manager (sd_notify's protocol) if there is one: "READY=1", "STOPPING=1", "STATUS=...".
void NotifyServiceManager(std::string_view state);

// Bytes in order, from a file or, for "-", from standard input.
class ByteInput {
 public:
  static Result<std::unique_ptr<ByteInput>> Open(const std::string& path);
  // 0 at the end.
  Result<size_t> Read(std::span<char> into);
  // Bytes of the file as it is now; 0 for a pipe.
  uint64_t size() const { return size_; }
  bool can_reopen() const { return regular_; }
  ~ByteInput();
  ByteInput(const ByteInput&) = delete;
  ByteInput& operator=(const ByteInput&) = delete;

 private:
  ByteInput(int fd, std::string path, uint64_t size, bool regular)
      : fd_(fd), path_(std::move(path)), size_(size), regular_(regular) {}
  int fd_;
  std::string path_;
  uint64_t size_;
  bool regular_;
};

// The whole file, or kTooLarge if it has more than bytes_max.
Result<std::string> ReadWholeFile(const std::string& path, size_t bytes_max);

// Appends to a file, created if missing.
class ByteOutput {
 public:
  static Result<std::unique_ptr<ByteOutput>> Append(const std::string& path);
  Status Write(std::string_view data);
  // What was written survives power loss; of what cannot be synced (a pipe, a terminal) it is done.
  Status Sync();
  ~ByteOutput();
  ByteOutput(const ByteOutput&) = delete;
  ByteOutput& operator=(const ByteOutput&) = delete;

 private:
  ByteOutput(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

}  // namespace quipu::rt
