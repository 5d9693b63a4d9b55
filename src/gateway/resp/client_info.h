// What several commands show of a connection and of ourselves.
#pragma once
#include <string>
#include <string_view>

#include "gateway/resp/options.h"
#include "gateway/resp/reply.h"

namespace quipu::resp {

class Connection;

// CLIENT LIST's line, without its end.
std::string ClientLine(Connection& connection);
// Printable ASCII without blanks.
bool IsClientName(std::string_view name);
// The list of modules as HELLO and MODULE LIST show it: ourselves.
void WriteModules(ReplyBuffer& out, const RespOptions& options);

}  // namespace quipu::resp
