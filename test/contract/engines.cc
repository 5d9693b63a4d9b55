#include "test/contract/engines.h"

#include <algorithm>

#include "sim/sim_disk.h"
#include "sim/sim_random.h"
#include "store/embedded/engine.h"
#include "store/memory/memory_store.h"

namespace quipu::store {
namespace {

constexpr int64_t kPatienceUs = 600'000'000;  // virtual time: nothing that a step waits for takes this long

class MemoryUnderTest final : public EngineUnderTest {
 public:
  explicit MemoryUnderTest(Machine* machine) : machine_(machine), store_(&machine->loop) {}
  EventStore* store() override { return &store_; }
  void Endure(Trouble) override {}
  void Close() override {
    bool closed = false;
    machine_->Run([&] { store_.Close([&](Status s) { closed = s.ok(); }); }, &closed);
  }

 private:
  Machine* machine_;
  MemoryStore store_;
};

// One process after another on one simulated disk, with sizes so small that files and generations change all the time.
class EmbeddedUnderTest final : public EngineUnderTest {
 public:
  EmbeddedUnderTest(Machine* machine, size_t shards)
      : machine_(machine), disk_(&machine->clock, &machine->trace, 2), random_(3, "engine"), shards_(shards) {
    options_.data_dir = "data";
    options_.shard.journal.segment_bytes = 1u << 20;
    options_.shard.journal.frame_bytes_max = 256u << 10;
    options_.shard.tokens.places_first = 64;
    Open();
  }
  ~EmbeddedUnderTest() override {
    disk_.PowerOff();
    machine_->loop.Abandon();
    engine_.reset();
  }

  EventStore* store() override { return engine_->store(); }
  void Close() override {
    OnEachShard([this](uint32_t i, auto done) { engine_->store(i)->Close(std::move(done)); });
  }

  void Endure(Trouble trouble) override {
    switch (trouble) {
      case Trouble::kNone:
        return;
      case Trouble::kReopen:
        return Reopen();
      case Trouble::kReshard:
        shards_ = shards_ % kShardsMax + 1;
        return Reopen();
      case Trouble::kKill:
        return Die(&sim::SimDisk::Restart);
      case Trouble::kPowerLoss:
        return Die(&sim::SimDisk::PowerLoss);
      case Trouble::kSettle:
        return Settle();
    }
  }

 private:
  static constexpr size_t kShardsMax = 3;

  void Open() {
    auto engine = Engine::Open(&disk_, &random_, std::vector<rt::Loop*>(shards_, &machine_->loop), options_);
    QUIPU_ASSERT(engine.ok(), "{}", engine.status().ToString());
    engine_ = std::move(*engine);
  }
  // Runs `start` for each shard and waits until all have called back.
  void OnEachShard(const std::function<void(uint32_t, std::function<void(Status)>)>& start) {
    uint32_t missing = engine_->shards();
    bool all = false;
    auto one = [&](Status s) {
      QUIPU_ASSERT(s.ok(), "{}", s.ToString());
      all = --missing == 0;
    };
    machine_->Run(
        [&] {
          for (uint32_t i = 0; i < engine_->shards(); i++) start(i, one);
        },
        &all);
  }
  void Reopen() {
    Close();
    engine_.reset();
    Open();
  }
  void Die(void (sim::SimDisk::*after)()) {
    disk_.PowerOff();
    machine_->loop.Abandon();
    engine_.reset();
    (disk_.*after)();
    Open();
  }
  void Settle() {
    OnEachShard([this](uint32_t i, auto done) { engine_->shard(i)->SettleNow(std::move(done)); });
  }

  Machine* machine_;
  sim::SimDisk disk_;
  sim::SimRandom random_;
  EngineOptions options_;
  size_t shards_;
  std::unique_ptr<Engine> engine_;
};

std::unique_ptr<EngineUnderTest> MakeMemory(Machine* machine) { return std::make_unique<MemoryUnderTest>(machine); }
template <size_t kShards>
std::unique_ptr<EngineUnderTest> MakeEmbedded(Machine* machine) {
  return std::make_unique<EmbeddedUnderTest>(machine, kShards);
}

}  // namespace

void Machine::Run(const std::function<void()>& step, const bool* done) {
  loop.Post(step);
  bool answered = loop.RunUntil([done] { return *done; }, clock.MonoMicros() + kPatienceUs);
  QUIPU_ASSERT(answered, "no answer within {} s of virtual time", kPatienceUs / 1'000'000);
}

void PrintTo(const EngineKind& kind, std::ostream* out) { *out << kind.name; }

bool EngineKind::KeepsUnsynced() const {
  return std::none_of(troubles.begin(), troubles.end(),
                      [](Trouble t) { return t == Trouble::kKill || t == Trouble::kPowerLoss; });
}

const std::vector<EngineKind>& AllEngines() {
  using enum Trouble;
  static const std::vector<EngineKind> kAll = {
      {.name = "memory", .make = MakeMemory},
      {.name = "embedded", .make = MakeEmbedded<1>},
      {.name = "embedded_in_shards", .make = MakeEmbedded<3>, .in_shards = true},
      {.name = "embedded_reopened", .make = MakeEmbedded<1>, .troubles = {kReopen}},
      {.name = "embedded_killed", .make = MakeEmbedded<1>, .troubles = {kKill, kPowerLoss, kNone}},
      {.name = "embedded_settled", .make = MakeEmbedded<1>, .troubles = {kSettle}},
      {.name = "embedded_mixed", .make = MakeEmbedded<1>, .troubles = {kSettle, kPowerLoss, kNone, kReopen}},
      {.name = "embedded_resharded",
       .make = MakeEmbedded<2>,
       .troubles = {kReshard, kNone, kPowerLoss},
       .in_shards = true},
  };
  return kAll;
}

}  // namespace quipu::store
