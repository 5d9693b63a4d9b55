// Offline verification of a data directory, behind `quipu check DIR`: every checksum, and every count recomputed from
// its events. What must follow from the events is recomputed from nothing else: each counter's value, existence and
// expiry, its interval sums, the index of names, the number of counters of each namespace; each token that an event
// holds must be found, and no token may have counted twice inside its horizon.
//
// A counter whose oldest events were dropped by retention is recounted from the first event kept on, whose value before
// is then taken as given.
//
// Changes nothing on the disk, so that it serves on a copy, a read-only medium, and where evidence must be kept.
//
// Threads   Any one; blocks. Shares the directory's lock with other checks; no server may run on it.
// Memory    The unsettled journal (bounded by the engine's settle_bytes), one counter's events, the block cache.
// Errors    What is wrong with the data is a finding, not an error. kNotFound (no data directory), kAlreadyExists (a
//           server has it), kInvalidArgument (another format), kUnavailable (a file cannot be read).
// Cost      Reads every byte; about 10 us a counter and 3 us an event with a token.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"

namespace quipu::store {

struct CheckOptions {
  size_t block_cache_bytes = 64u << 20;
  size_t findings_max = 100;  // that are kept; all are counted
};

struct CheckFinding {
  std::string place;  // a file or folder, or a counter by namespace and name
  std::string text;
};

struct CheckReport {
  uint64_t bytes = 0;              // on disk, of journal and sorted runs
  uint64_t journal_frames = 0;     // in the segments that are there
  uint64_t journal_records = 0;    // beyond the settled ones
  uint64_t events = 0;             // of counters: settled and in the journal
  uint64_t tokens = 0;             // among them with a token
  uint64_t counters = 0;           // that exist
  uint64_t recounted_full = 0;     // counters recounted from their first event
  uint64_t recounted_partial = 0;  // from the first event kept
  uint64_t namespaces = 0;
  uint64_t sources = 0;
  std::vector<CheckFinding> findings;
  uint64_t findings_total = 0;
};

Result<CheckReport> CheckDataDirectory(rt::Disk* disk, const std::string& data_dir, const CheckOptions& options);

}  // namespace quipu::store
