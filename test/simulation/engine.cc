#include "test/simulation/engine.h"

#include <map>

#include "store/embedded/check.h"
#include "store/embedded/engine.h"
#include "store/memory/memory_store.h"

namespace quipu::simulation {
namespace {

constexpr const char* kDataDir = "/data";

// An embedded engine as the one store that the simulator sees: that of its home shard.
class EmbeddedStore final : public store::EventStore {
 public:
  EmbeddedStore(std::unique_ptr<store::Engine> engine, uint32_t home)
      : engine_(std::move(engine)), store_(engine_->store(home)) {}
  void Submit(store::Batch* batch) override { store_->Submit(batch); }
  void Scan(store::ScanOp* op) override { store_->Scan(op); }
  void Events(store::EventsOp* op) override { store_->Events(op); }
  void FindSources(store::SourceId anchor,
                   std::function<void(Result<std::vector<store::SourceState>>)> on_done) override {
    store_->FindSources(anchor, std::move(on_done));
  }
  std::shared_ptr<const NamespaceTable> Namespaces() const override { return store_->Namespaces(); }
  void PutNamespace(const std::string& name, uint64_t expected_version, const NamespaceSettings& settings,
                    std::function<void(Result<Namespace>)> on_done) override {
    store_->PutNamespace(name, expected_version, settings, std::move(on_done));
  }
  uint64_t CountCounters(NamespaceId ns) const override { return store_->CountCounters(ns); }
  // With the sizes of all shards as they are, which the store itself tells a tenth of a second late.
  store::StoreInfo Info() const override {
    store::StoreInfo info = store_->Info();
    info.memory_bytes = info.unsettled_bytes = 0;
    for (uint32_t s = 0; s < engine_->shards(); ++s) {
      const store::StoreInfo part = engine_->shard(s)->Info();
      info.memory_bytes += part.memory_bytes;
      info.unsettled_bytes += part.unsettled_bytes;
    }
    return info;
  }
  // Of each home, as their front ends do.
  void Close(std::function<void(Status)> on_done) override {
    struct Call {
      uint32_t missing = 0;
      Status status;
      std::function<void(Status)> on_done;
    };
    auto call = std::make_shared<Call>();
    call->missing = engine_->shards();
    call->on_done = std::move(on_done);
    for (uint32_t s = 0; s < engine_->shards(); ++s) {
      engine_->store(s)->Close([call](Status status) {
        if (!status.ok()) call->status = status;
        if (--call->missing == 0) call->on_done(call->status);
      });
    }
  }
  store::Engine* engine() { return engine_.get(); }

 private:
  const std::unique_ptr<store::Engine> engine_;
  store::EventStore* const store_;
};

Result<std::unique_ptr<store::EventStore>> OpenEmbedded(const EngineContext& c) {
  sim::SimRandom& tuning = *c.tuning;
  store::EngineOptions options;
  options.data_dir = kDataDir;
  store::ShardOptions& shard = options.shard;
  const bool small = tuning.Chance(c.small_segments);
  shard.journal.frame_bytes_max = size_t{1} << (small ? 15 + tuning.Below(2) : 16 + tuning.Below(3));
  shard.journal.segment_bytes =
      shard.journal.frame_bytes_max * (small ? 4 + tuning.Below(8) : uint64_t{4} << tuning.Below(3));
  shard.journal.pending_bytes_max = size_t{1} << (24 + tuning.Below(3));
  shard.journal.writes_in_flight_max = static_cast<int>(1 + tuning.Below(4));
  shard.journal.commit_delay_us = tuning.Below(3) == 0 ? tuning.Between(1, 2000) : 0;
  shard.journal.busy_gather_us = tuning.Between(0, 2000);
  shard.journal.lazy_commit_us = tuning.Between(1000, 100'000);
  shard.settle_bytes = std::max(uint64_t{1} << (14 + tuning.Below(10)), c.memory_mb_least << 14);
  shard.settle_interval_us = static_cast<int64_t>(tuning.Skewed(120'000'000));
  shard.counters_bytes_max = tuning.Below(3) == 0 ? c.memory_mb_least << (20 + tuning.Below(4)) : uint64_t{1} << 30;
  shard.tokens.places_first = size_t{1} << (small ? 6 + tuning.Below(5) : 10 + tuning.Below(5));
  shard.tokens.places_max = shard.tokens.places_first << tuning.Below(6);
  // A generation stays until the next one is there: a budget below a few of them would be exceeded for ever.
  shard.tokens_bytes_max = tuning.Below(3) == 0 ? c.memory_mb_least << (15 + tuning.Below(11)) : uint64_t{1} << 30;
  shard.tokens_bytes_max =
      std::max<uint64_t>(shard.tokens_bytes_max, 3 * store::TokenWindow::kPlaceBytes * shard.tokens.places_max);
  if (c.limits != nullptr) {
    const uint64_t budget = std::min(shard.counters_bytes_max, shard.tokens_bytes_max);
    *c.limits = {.memory_bytes_enough = budget + budget / 4,
                 .memory_bytes_free = std::min(shard.counters_bytes_max, shard.tokens_bytes_max / 4),
                 .unsettled_bytes_free = std::min(4 * shard.settle_bytes, budget / 8 * 3),
                 .pending_bytes = shard.journal.pending_bytes_max,
                 .frame_bytes = shard.journal.frame_bytes_max};
  }
  shard.tokens.generation_us = static_cast<int64_t>(1 + tuning.Skewed(3600)) * 1'000'000;
  options.settled.slice_us = int64_t{300} * 1'000'000 << sim::SimRandom(c.seed, "slice").Below(9);
  options.settled.block_cache_bytes = 1u << 20;
  options.settled.runs_max = static_cast<int>(2 + tuning.Below(6));
  options.observer = c.observer;
  const uint32_t home = c.shards > 1 ? static_cast<uint32_t>(tuning.Below(c.shards)) : 0;
  const std::vector<rt::Loop*> loops(c.shards, c.loop);
  Result<std::unique_ptr<store::Engine>> engine = store::Engine::Open(c.disk, c.random, loops, options);
  QUIPU_RETURN_IF_ERROR(engine.status());
  auto opened = std::make_unique<EmbeddedStore>(std::move(engine).value(), home);
  if (c.opened != nullptr) {
    *c.opened = {.count = c.shards, .home = home, .judged_us = [engine = opened->engine()](uint32_t s) {
                   return engine->shard(s)->judged_us();
                 }};
  }
  return std::unique_ptr<store::EventStore>(std::move(opened));
}

std::string CheckEmbedded(rt::Disk* disk) {
  Result<store::CheckReport> report = store::CheckDataDirectory(disk, kDataDir, {.block_cache_bytes = 1u << 20});
  if (!report.ok()) return report.status().ToString();
  std::string text;
  for (const store::CheckFinding& finding : report->findings) {
    text += fmt::format("{}: {}; ", finding.place, finding.text);
    if (text.size() > 500) break;
  }
  return text;
}

}  // namespace

const Engine* FindEngine(const std::string& name) {
  static const std::map<std::string, Engine> kEngines = {
      {"embedded", {.name = "embedded", .done_in_order = false, .open = OpenEmbedded, .check = CheckEmbedded}},
      {"memory",
       {.name = "memory",
        .survives_crashes = false,
        .open = [](const EngineContext& c) -> Result<std::unique_ptr<store::EventStore>> {
          return std::unique_ptr<store::EventStore>(std::make_unique<store::MemoryStore>(c.loop));
        }}},
  };
  const auto it = kEngines.find(name);
  return it == kEngines.end() ? nullptr : &it->second;
}

}  // namespace quipu::simulation
