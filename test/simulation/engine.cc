#include "test/simulation/engine.h"

#include <map>

#include "store/memory/memory_store.h"

namespace quipu::simulation {

const Engine* FindEngine(const std::string& name) {
  static const std::map<std::string, Engine> kEngines = {
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
