// What goes wrong on a simulated disk, and how often: probabilities drawn at each call, and scripts that hit one call.
// Everything is off by default. Units in the names.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace quipu::sim {

enum class Call : uint8_t {
  kOpen,  // Open, OpenLog, Lock, MakeDir
  kRead,
  kWrite,     // WriteAt, Truncate
  kLogWrite,  // LogFile::Write
  kSync,
  kSyncDir,
  kRename,  // Rename, Remove, RemoveDir
  kLook,    // Size, Exists, IsDir, List, Space: counted, and fail only without power
};
inline constexpr size_t kCalls = 8;
std::string_view CallName(Call call);

enum class Fault : uint8_t {
  kNone,
  kError,    // EIO. On a sync the pages count as clean from then on: reads still show them, the medium never gets them
  kNoSpace,  // ENOSPC
  kPartial,  // a part of the write took place, then EIO
  kFlip,     // a read answers with one bit changed; the medium is as it was
  kStall,    // right, but late
};
inline constexpr size_t kFaults = 6;
std::string_view FaultName(Fault fault);

struct Latency {
  int64_t min_us = 20;
  int64_t max_us = 200;
  double stall = 0;  // probability of a further stall_min_us to stall_max_us
  int64_t stall_min_us = 1'000'000;
  int64_t stall_max_us = 30'000'000;
};

struct FaultPlan {
  // Probabilities per call.
  double open_error = 0;
  double read_error = 0;
  double read_flip = 0;
  // Reads of paths that contain this always work, also without power: for a library that aborts. Empty: none.
  std::string read_spares;
  double write_error = 0;
  double write_partial = 0;  // File and LogFile
  double log_write_error = 0;
  double sync_error = 0;
  double sync_dir_error = 0;
  double rename_error = 0;
  double no_space = 0;  // on calls that allocate: create, growing write, sync, rename
  // The system writes one dirty page of the file back early, after a WriteAt.
  double write_back = 0.02;
  Latency log_write;
  Latency sync{.min_us = 50, .max_us = 2000};
  uint64_t capacity_bytes = std::numeric_limits<uint64_t>::max();
};

// Hits the call after `skip` matching ones, once.
struct ScriptedFault {
  Call call = Call::kSync;
  Fault fault = Fault::kError;
  uint64_t skip = 0;
  std::string path_contains;
};

struct DiskCounts {
  std::array<uint64_t, kCalls> calls{};
  std::array<std::array<uint64_t, kFaults>, kCalls> faults{};
  uint64_t power_losses = 0;
  uint64_t process_deaths = 0;
  uint64_t pages_lost = 0, pages_torn = 0, pages_kept = 0, pages_garbage = 0;  // by power losses
  uint64_t log_writes_lost = 0, log_writes_torn = 0, log_writes_kept = 0;
  uint64_t names_lost = 0, names_torn = 0, names_kept = 0;
  uint64_t damages = 0;  // calls of SimDisk that change the medium behind the system's back

  uint64_t Calls() const;
  uint64_t Faults() const;  // all kinds but stalls
};

}  // namespace quipu::sim
