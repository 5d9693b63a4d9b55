// Completion scripts for shells, from a plain description of the command tree.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quipu::cli {

struct CommandWords {
  std::string name;
  std::string what;                  // one line
  std::vector<std::string> options;  // "--token", "-n"
  std::vector<CommandWords> commands;
};

// `shell`: bash, zsh or fish. kInvalidArgument names them.
Result<std::string> CompletionScript(std::string_view shell, const CommandWords& root);

}  // namespace quipu::cli
