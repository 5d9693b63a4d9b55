#include "server/wire_store.h"

#include <algorithm>

#include "store/embedded/engine.h"

namespace quipu::server {
namespace {

class EmbeddedStore final : public WiredStore {
 public:
  explicit EmbeddedStore(std::unique_ptr<store::Engine> engine) : engine_(std::move(engine)) {}
  store::EventStore* store(size_t i) override { return engine_->store(static_cast<uint32_t>(i)); }

 private:
  std::unique_ptr<store::Engine> engine_;
};

}  // namespace

Result<std::unique_ptr<WiredStore>> OpenStore(const Config& config, rt::Disk* disk, rt::Random* random,
                                              const std::vector<rt::Loop*>& loops) {
  store::EngineOptions options;
  options.data_dir = config.data_dir;
  options.shard.journal.segment_bytes = config.segment_bytes;
  options.shard.journal.frame_bytes_max = std::min<uint64_t>(config.segment_bytes / 4, 16u << 20);
  options.shard.journal.commit_delay_us = config.commit_delay_us;
  // The process itself, its buffers and the allocator's slack come first. Of the rest 3/8 each is for counters and
  // tokens, which may pass it by a quarter for moments; then come the sorted runs' cache and the settlers' working
  // sets.
  constexpr uint64_t kProcessBytes = 96u << 20;
  const uint64_t memory =
      std::max(config.memory_bytes - std::min(config.memory_bytes, kProcessBytes), config.memory_bytes / 4);
  options.shard.counters_bytes_max = memory / 8 * 3 / loops.size();
  options.shard.tokens_bytes_max = memory / 8 * 3 / loops.size();
  options.settled.block_cache_bytes = std::clamp<size_t>(memory / 16, 4u << 20, 1u << 30);
  options.shard.sources_max = (config.sources_max + loops.size() - 1) / loops.size();
  for (const NamespaceSeed& seed : config.namespaces) options.namespaces.emplace_back(seed.name, seed.settings);
  QUIPU_ASSIGN_OR_RETURN(std::unique_ptr<store::Engine> engine, store::Engine::Open(disk, random, loops, options));
  return std::unique_ptr<WiredStore>(new EmbeddedStore(std::move(engine)));
}

}  // namespace quipu::server
