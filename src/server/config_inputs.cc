#include "server/config_inputs.h"

#include "rt/host.h"

namespace quipu::server {

Result<ConfigInputs> GatherConfigInputs(const std::string& file, std::vector<std::string> flags) {
  ConfigInputs in;
  in.file_name = file;
  if (!file.empty()) {
    QUIPU_ASSIGN_OR_RETURN(in.file_text, rt::ReadWholeFile(file, kConfigFileBytesMax));
  }
  in.environment = rt::Environment();
  in.flags = std::move(flags);
  in.machine_memory_bytes = rt::MemoryBytes();
  return in;
}

}  // namespace quipu::server
