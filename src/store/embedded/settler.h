// Settling: a prefix of the journal becomes sorted runs. Pure work on files: it reads whole frames, sorts them by
// counter, and hands the SettledStore one run: events and tokens by slice, interval sums, checkpoints, names, and the
// position reached. Each counter's checkpoint is the state in its last record; nothing of the hot state is touched.
//
// Threads   The worker. Shards that settle at the same time wait for each other (SettledStore::changing).
// Memory    The frames of the range (bounded by SettleInput::bytes_max) and 80 bytes a record.
// Errors    kDataLoss, kStorageFull, kUnavailable: nothing has changed, try again later.
// Cost      About 1.1 us a record of one core, of which RocksDB and its compression take two thirds.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "store/embedded/journal_reader.h"
#include "store/embedded/record.h"
#include "store/embedded/settled.h"
#include "store/embedded/token_window.h"

namespace quipu::store {

// The memory that a settle works in, to be used again by the next one. One at a time.
struct SettleScratch;
std::shared_ptr<SettleScratch> MakeSettleScratch();

struct SettleInput {
  rt::Disk* disk = nullptr;
  SettledStore* settled = nullptr;
  std::string journal_dir;
  std::vector<uint64_t> segments;
  uint32_t shard = 0;
  std::string generation;  // of the set of journals
  uint64_t token_seed = 0;
  Position after = 0;             // settled already
  Position through = 0;           // durable
  size_t bytes_max = 128u << 20;  // of frames in one run; the rest waits for the next
  size_t bytes_expected = 0;      // of frames in the range, about; only how much memory is taken at once
  std::shared_ptr<SettleScratch> scratch = nullptr;  // none: its own
};

struct SettleOutcome {
  Status status;
  Position settled = 0;            // reached
  Micros commit_us = 0;            // of its last frame
  Micros newest_own_us = kNoTime;  // over all settled tokens
  uint64_t records = 0;
  size_t bytes = 0;  // of frames
};

SettleOutcome Settle(const SettleInput& input);

// ---- the small named values in the settled store, shared with recovery and check
struct SettledPosition {
  Position position = 0;
  Micros commit_us = 0;
  Micros newest_own_us = kNoTime;
};
inline constexpr std::string_view kPositionPrefix = "position/";  // position/<generation>/<shard>
std::string PositionKey(std::string_view generation, uint32_t shard);
std::string EncodeSettledPosition(const SettledPosition& p);
bool DecodeSettledPosition(std::string_view bytes, SettledPosition* p);
inline constexpr std::string_view kCountPrefix = "count/";  // count/<shard 4 BE><ns 4 BE> -> varint
std::string CountKey(uint32_t shard, NamespaceId ns);
bool DecodeCountKey(std::string_view key, uint32_t* shard, NamespaceId* ns);
inline constexpr std::string_view kNamespacePrefix = "ns/";  // ns/<id 4 BE> -> the namespace's journal record
std::string NamespaceKey(NamespaceId ns);
inline constexpr std::string_view kSourcePrefix = "source/";  // source/<id 16 BE> -> the source's journal record
std::string SourceKey(uint64_t hi, uint64_t lo);
inline constexpr std::string_view kExpiryPrefix = "expiry/";  // expiry/<ms 8 BE><ns 4 BE><hash 8 BE> -> "1"
std::string ExpiryKey(int64_t expiry_ms, NamespaceId ns, uint64_t hash);
bool DecodeExpiryKey(std::string_view key, int64_t* expiry_ms, NamespaceId* ns, uint64_t* hash);

// ---- what a record means, for replay, recovery and settling alike
// The result that a replay of the record's token repeats. own_us: the token's own time or kNoTime.
TokenResult ResultOf(const CounterRecord& r, Position position, Micros own_us, Micros commit_us);

// The event row of a record. Its token may point into the record's bytes.
SettledEvent EventOf(const CounterRecord& r, Position position, Micros commit_us);

// Whether a frame is one shard's part of a step over several.
bool BeginsStep(std::string_view payload, Micros frame_us, StepRecord* step);

// 128 bits for (namespace, counter, token), with the data directory's secret.
TokenPrint MakeTokenPrint(uint64_t seed, uint64_t counter_hash, NamespaceId ns, std::string_view name,
                          const TokenBytes& token);

}  // namespace quipu::store
