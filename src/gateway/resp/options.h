// What can be set about the Redis port, and what it reports to whoever counts and logs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/resp/resp_parser.h"

namespace quipu::resp {

// Figures of the process for INFO; the caller reads them where it may.
struct ProcessUsage {
  int64_t process_id = 0;
  uint64_t resident_bytes = 0;
  uint64_t resident_bytes_peak = 0;
  int64_t cpu_user_us = 0;
  int64_t cpu_system_us = 0;
};

// Events of connections. Called on the loop's thread; must not call back.
class RespObserver {
 public:
  virtual void OnOpened(std::string_view /*peer*/) {}
  // `reason` is one of a fixed set: "client", "quit", "protocol_error", "too_large", "output_limit", "idle", "killed",
  // "shutdown".
  virtual void OnClosed(std::string_view /*peer*/, std::string_view /*reason*/) {}
  // `reason`: "max_clients", "protected_mode".
  virtual void OnRefused(std::string_view /*peer*/, std::string_view /*reason*/) {}
  virtual void OnAuthFailed(std::string_view /*peer*/) {}
  virtual ~RespObserver() = default;
};

struct RespOptions {
  // Names of the namespaces that SELECT 0, 1, ... stand for.
  std::vector<std::string> databases = {"default"};
  bool allow_flush = false;  // FLUSHDB and FLUSHALL; off, since they cannot be taken back
  std::string password;      // AUTH asks for it; empty: everybody is in
  // Refuses peers that are not on this host while there is no password.
  bool protected_mode = true;

  size_t connections_max = 10'000;
  ParserLimits parser;
  // A request in bytes. Higher lets one client hold that much memory before its command is complete.
  size_t request_bytes_max = 64u << 20;
  // Replies that a client does not take: beyond the soft limit nothing more is read from it, and after the time the
  // connection is closed; beyond the hard one (a single huge reply) at once.
  size_t output_soft_bytes = 8u << 20;
  int64_t output_soft_us = 10'000'000;
  size_t output_hard_bytes = 32u << 20;
  int64_t idle_timeout_us = 0;              // closes connections that sent nothing for so long; 0: never
  size_t keys_hits_max = 10'000;            // KEYS refuses to list more
  int64_t slowlog_slower_than_us = 10'000;  // from reading a command to its durable answer; -1: off
  size_t slowlog_entries_max = 128;

  // What INFO, HELLO and CLIENT show.
  std::string version = "0.1.0";
  std::string mode = "embedded";
  std::string os = "Linux";
  std::string executable;
  std::string config_file;
  std::string run_id = "0000000000000000000000000000000000000000";
  int tcp_port = 7379;
  uint64_t first_client_id = 1;  // with several loops each counts in its own residue class
  uint64_t client_id_step = 1;
  std::function<ProcessUsage()> usage;  // empty: zeros
};

}  // namespace quipu::resp
