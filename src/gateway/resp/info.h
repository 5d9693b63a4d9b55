// INFO: the sections by name, made from the server's statistics and the store's.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace quipu::resp {

class Connection;

// The text for the sections asked for; none: all but commandstats. Unknown sections give nothing.
std::string InfoText(Connection& connection, std::span<const std::string_view> sections);

}  // namespace quipu::resp
