// The effective configuration: defaults < TOML file < environment < flags, each value with the place it came from.
// All problems are found in one pass; nothing starts half configured.
//
// Threads   Values; copy freely.
// Errors    A list of lines for people, each with its place: "quipu.toml:7: unknown key ...".
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/namespace.h"

namespace quipu::server {

enum class JournalBackend : uint8_t { kAuto, kUring, kThread };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kAuto, kText, kJson };

struct NamespaceSeed {
  std::string name;
  NamespaceSettings settings;
};

// What the wiring reads. Sizes in bytes, times in microseconds.
struct Config {
  std::string data_dir;
  std::string listen_resp;
  uint32_t shards = 0;  // 0: one per CPU
  uint64_t memory_bytes = 0;
  uint64_t segment_bytes = 0;
  int64_t commit_delay_us = 0;
  JournalBackend journal_backend = JournalBackend::kAuto;
  bool allow_anonymous = false;
  std::string password_file;
  uint64_t sources_max = 0;
  uint32_t connections_max = 0;
  std::vector<std::string> databases;
  bool allow_flush = false;
  uint64_t output_soft_bytes = 0;
  int64_t output_soft_us = 0;
  uint64_t output_hard_bytes = 0;
  std::vector<NamespaceSeed> namespaces;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kAuto;
};

// One key's effective text and where it came from: "default", "environment QUIPU_...", "flag --...", "FILE:LINE".
struct Setting {
  std::string text;
  std::string source;
};

struct ConfigInputs {
  std::string file_name;  // empty: no file
  std::string file_text;
  std::vector<std::pair<std::string, std::string>> environment;  // all of it; names without QUIPU_ are left alone
  std::vector<std::string> flags;                                // "--journal.segment_size=64MiB" or two words
  uint64_t machine_memory_bytes = 0;
};

struct LoadedConfig {
  std::map<std::string, Setting> settings;  // every key of the table, and those of the namespaces named anywhere
  std::vector<std::string> problems;        // empty: `config` holds
  Config config;
};

LoadedConfig LoadConfig(const ConfigInputs& inputs);

// `config print`: one line a key, with its source behind it. The result is a valid configuration file.
std::string ConfigToToml(const LoadedConfig& loaded);
std::string ConfigToJson(const LoadedConfig& loaded);
// JSON Schema (2020-12) of the file.
std::string ConfigSchema();
// docs/operating/configuration.md.
std::string ConfigReference();

}  // namespace quipu::server
