// The fixture of the suite: each test runs once per row of AllEngines(). Helpers build ops and run them to their
// on_done.
#pragma once
#include <gtest/gtest.h>

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/event_store.h"
#include "test/contract/engines.h"

namespace quipu::store {

inline constexpr Micros kMs = 1000, kSecond = 1000 * kMs, kMinute = 60 * kSecond, kHour = 60 * kMinute;
// By then the figures of Info() are those of every shard.
inline constexpr Micros kFiguresLag = 200 * kMs;
inline constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();

// Ops on namespace `default`; names and tokens must outlive the op.
Op Add(std::string_view name, int64_t delta, std::string_view token = {});
Op Set(std::string_view name, int64_t value, std::string_view token = {});
Op Get(std::string_view name);
Op Clear(std::string_view name, std::string_view token = {});
Op Delete(std::string_view name, std::string_view token = {});
Op Expire(std::string_view name, ExpireRule rule, int64_t at_ms, std::string_view token = {});
Op TokenOutcome(std::string_view name, std::string_view token);
Op CheckVersion(std::string_view name, uint64_t version);
std::vector<std::string> NamesOf(const std::vector<CounterEntry>& entries);
// Variations of an op.
Op In(NamespaceId ns, Op op);
Op Bounded(Op op, int64_t floor, int64_t ceiling);
Op Saturating(Op op, int64_t floor, int64_t ceiling);
Op If(Condition condition, Op op);
Op Expiring(Op op, ExpireRule rule, int64_t at_ms);
Op Stamped(Op op, Micros token_time_us);
Op At(Op op, Micros event_time_us);

// A result in words, so that two results compare as text and a difference reads at once. Position and version are left
// out: they are the engine's own.
std::string ResultText(const Op& op);

struct BatchOptions {
  bool atomic = false;
  bool all_or_nothing = false;
  const SourceStep* source = nullptr;
};
struct RanBatch {
  Code code = Code::kOk;
  size_t failed_index = 0;
  uint64_t source_offset = 0;
  uint64_t commit_bytes = 0;
  std::vector<Op> ops;
};

class StoreContract : public testing::TestWithParam<EngineKind> {
 protected:
  StoreContract();

  EventStore& store() { return *engine_->store(); }
  Micros NowUs() const { return machine_.NowUs(); }
  int64_t NowMs() const { return NowUs() / 1000; }
  // Lets time pass, timers and all.
  void Pass(Micros us) { machine_.loop.RunFor(us); }

  // Runs to on_done and returns the answer. Checks that on_done ran once, outside of Submit, with status kOk.
  RanBatch Run(std::vector<Op> ops, BatchOptions options = {});
  Op Do(Op op);
  int64_t Value(std::string_view name, NamespaceId ns = kDefaultNamespace);
  bool Exists(std::string_view name, NamespaceId ns = kDefaultNamespace);

  ScanOp Scan(ScanOp op);
  // Every entry by a full scan in hash order with pages of about `limit`, in the order of the pages.
  std::vector<CounterEntry> EntriesByHash(size_t limit = 100, NamespaceId ns = kDefaultNamespace);
  // One page by name or by value; all of it by hash.
  std::vector<CounterEntry> EntriesBy(ScanOp::Order order, NamespaceId ns = kDefaultNamespace);
  std::vector<EventEntry> EventsOf(std::string_view name, Position after = 0);
  std::vector<SourceState> SourcesOf(SourceId anchor);
  Result<Namespace> Put(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings);
  // Creates a namespace and returns its id.
  NamespaceId MakeNamespace(const std::string& name, const NamespaceSettings& settings = {});
  // A UUIDv7 with this time; `n` tells several of one time apart.
  std::string_view TokenOf(Micros time_us, uint64_t n = 0);
  // Keeps a string for the length of the test.
  std::string_view Keep(std::string s);
  void Close();

  Machine machine_;
  std::unique_ptr<EngineUnderTest> engine_;

 private:
  std::deque<std::string> kept_;
  size_t batches_ = 0;
  bool closed_ = false;
};

std::string EngineName(const testing::TestParamInfo<EngineKind>& row);

#define QUIPU_CONTRACT_ON_ALL_ENGINES(suite) \
  INSTANTIATE_TEST_SUITE_P(Engine, suite, testing::ValuesIn(AllEngines()), EngineName)

}  // namespace quipu::store
