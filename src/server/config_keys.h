// The table of configuration keys: from it parsing, checking, `config print`, `config schema`, the names of environment
// variables and flags, and docs/operating/configuration.md are made. A key that is not here does not exist.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quipu::server {

enum class KeyType : uint8_t {
  kText,
  kChoice,    // one of `range`, written a|b|c
  kBool,      // true, false
  kInteger,   // `range` written MIN..MAX
  kBytes,     // 4096, "64MiB"; `range` written MIN..MAX
  kMemory,    // a share of the usable memory ("50%") or bytes
  kDuration,  // "250ms", "24h"; `range` written MIN..MAX
  kAddress,   // HOST:PORT, [::1]:PORT or unix:PATH
  kList,      // texts; in environment and flags separated by commas
};

struct ConfigKey {
  std::string_view name;  // "journal.segment_size"; a `*` stands for the name of a namespace
  KeyType type;
  std::string_view default_text;
  std::string_view range;
  std::string_view doc;  // what it does, and what is lost in either direction
};

std::span<const ConfigKey> ConfigKeys();

// The key that a concrete name ("namespaces.shop.durability") belongs to; null if there is none.
const ConfigKey* FindKey(std::string_view name);
// What was probably meant by an unknown name, with the namespace's name kept; empty if nothing is near.
std::string NearestKey(std::string_view name);
// Whether keys stand in the table `name`: "engine", "namespaces.shop".
bool IsTableOfKeys(std::string_view name);
// The table of the nearest name; empty if none is near.
std::string NearestTable(std::string_view name);

// What is wrong with a value of the key, or nothing. Does not look at other keys.
std::optional<std::string> ProblemOf(const ConfigKey& key, std::string_view text);

// "QUIPU_JOURNAL__SEGMENT_SIZE" and back; empty if it does not begin with QUIPU_.
std::string EnvironmentName(std::string_view key);
std::string KeyOfEnvironment(std::string_view variable);

// "64MiB", "1GiB", "4096". Units: B, KiB, MiB, GiB, TiB.
std::optional<uint64_t> ParseBytes(std::string_view text);
std::optional<int64_t> ParseInteger(std::string_view text);
// kMemory's two forms, resolved against the machine's usable memory.
std::optional<uint64_t> ParseMemory(std::string_view text, uint64_t machine_bytes);

}  // namespace quipu::server
