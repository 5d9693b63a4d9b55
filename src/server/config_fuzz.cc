// Any bytes as a configuration file: never a crash, and what was accepted prints as a file that is accepted again.
#include "base/assert.h"
#include "server/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quipu::server::LoadConfig;
  const quipu::server::LoadedConfig loaded = LoadConfig(
      {.file_name = "f", .file_text = {reinterpret_cast<const char*>(data), size}, .machine_memory_bytes = 1u << 30});
  if (!loaded.problems.empty()) return 0;
  const std::string printed = quipu::server::ConfigToToml(loaded);
  const quipu::server::LoadedConfig again =
      LoadConfig({.file_name = "f", .file_text = printed, .machine_memory_bytes = 1u << 30});
  QUIPU_ASSERT(again.problems.empty(), "printed:\n{}problem: {}", printed, again.problems[0]);
  return 0;
}
