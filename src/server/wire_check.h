// `quipu check`: verifies a data directory offline, whatever engine made it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace quipu::server {

struct CheckOutcome {
  std::vector<std::pair<std::string, uint64_t>> figures;      // what was read, by name
  std::vector<std::pair<std::string, std::string>> findings;  // place and what is wrong with it; the first ones
  uint64_t findings_total = 0;
};

// kNotFound (no data directory), kAlreadyExists (a server has it), kInvalidArgument (another format), kUnavailable.
Result<CheckOutcome> CheckStore(const std::string& data_dir);

}  // namespace quipu::server
