// The rows of the command table, for command_table.cc alone.
#pragma once
#include <span>

#include "gateway/resp/command_table.h"

namespace quipu::resp {

std::span<const CommandSpec> CommandRows();

}  // namespace quipu::resp
