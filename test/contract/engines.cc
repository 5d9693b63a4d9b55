#include "test/contract/engines.h"

#include "store/memory/memory_store.h"

namespace quipu::store {
namespace {

constexpr int64_t kPatienceUs = 600'000'000;  // virtual time: nothing that a step waits for takes this long

class MemoryUnderTest final : public EngineUnderTest {
 public:
  explicit MemoryUnderTest(Machine* machine) : store_(&machine->loop) {}
  EventStore* store() override { return &store_; }
  void Reopen() override {}

 private:
  MemoryStore store_;
};

std::unique_ptr<EngineUnderTest> MakeMemory(Machine* machine) { return std::make_unique<MemoryUnderTest>(machine); }

}  // namespace

void Machine::Run(const std::function<void()>& step, const bool* done) {
  loop.Post(step);
  bool answered = loop.RunUntil([done] { return *done; }, clock.MonoMicros() + kPatienceUs);
  QUIPU_ASSERT(answered, "no answer within {} s of virtual time", kPatienceUs / 1'000'000);
}

const std::vector<EngineKind>& AllEngines() {
  static const std::vector<EngineKind> kAll = {{.name = "memory", .make = MakeMemory}};
  return kAll;
}

}  // namespace quipu::store
