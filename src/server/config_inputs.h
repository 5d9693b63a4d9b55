// Reads what a configuration is made of from this process's surroundings.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"
#include "server/config.h"

namespace quipu::server {

inline constexpr size_t kConfigFileBytesMax = 1u << 20;

// `file` empty: no file. kNotFound, kUnavailable, kTooLarge: the file.
Result<ConfigInputs> GatherConfigInputs(const std::string& file, std::vector<std::string> flags);

}  // namespace quipu::server
