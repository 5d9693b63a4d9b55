#include "gateway/resp/info.h"

#include <fmt/format.h>

#include <iterator>

#include "gateway/resp/connection.h"
#include "gateway/resp/number.h"
#include "gateway/resp/server.h"
#include "model/namespace.h"

namespace quipu::resp {
namespace {

using Buffer = fmt::memory_buffer;

template <class Value>
void Field(Buffer& out, std::string_view name, const Value& value) {
  fmt::format_to(std::back_inserter(out), "{}:{}\r\n", name, value);
}

std::string Human(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{}B", bytes);
  auto size = static_cast<double>(bytes) / 1024;
  for (char unit : {'K', 'M', 'G'}) {
    if (size < 1024 || unit == 'G') return fmt::format("{:.2f}{}", size, unit);
    size /= 1024;
  }
  return {};
}

double Seconds(int64_t us) { return static_cast<double>(us) / 1e6; }

void ServerSection(Connection& c, Buffer& out) {
  const RespOptions& o = c.server().options();
  int64_t uptime = (c.loop().MonoMicros() - c.server().opened_us()) / 1'000'000;
  Field(out, "redis_version", "7.2.0");
  Field(out, "redis_mode", "standalone");
  Field(out, "os", o.os);
  Field(out, "arch_bits", 64);
  Field(out, "process_id", o.usage ? o.usage().process_id : 0);
  Field(out, "run_id", o.run_id);
  Field(out, "tcp_port", o.tcp_port);
  Field(out, "server_time_usec", c.loop().WallMicros());
  Field(out, "uptime_in_seconds", uptime);
  Field(out, "uptime_in_days", uptime / 86400);
  Field(out, "executable", o.executable);
  Field(out, "config_file", o.config_file);
}

void ClientsSection(Connection& c, Buffer& out) {
  int64_t blocked = 0;
  for (const auto& [id, connection] : c.server().connections()) blocked += connection->waiting() ? 1 : 0;
  Field(out, "connected_clients", c.server().connections().size());
  Field(out, "maxclients", c.server().options().connections_max);
  Field(out, "blocked_clients", blocked);
}

void MemorySection(Connection& c, Buffer& out) {
  ProcessUsage usage = c.server().options().usage ? c.server().options().usage() : ProcessUsage();
  uint64_t used = c.store().Info().memory_bytes;
  Field(out, "used_memory", used);
  Field(out, "used_memory_human", Human(used));
  Field(out, "used_memory_rss", usage.resident_bytes);
  Field(out, "used_memory_peak", usage.resident_bytes_peak);
  Field(out, "maxmemory", 0);
  Field(out, "maxmemory_policy", "noeviction");
  double ratio = used == 0 ? 1 : static_cast<double>(usage.resident_bytes) / static_cast<double>(used);
  Field(out, "mem_fragmentation_ratio", fmt::format("{:.2f}", ratio));
  Field(out, "mem_allocator", "jemalloc");
}

void PersistenceSection(Connection& c, Buffer& out) {
  store::StoreInfo info = c.store().Info();
  Field(out, "loading", 0);
  Field(out, "async_loading", 0);
  Field(out, "rdb_bgsave_in_progress", 0);
  Field(out, "rdb_last_save_time", info.last_settle_wall_us / 1'000'000);
  Field(out, "aof_enabled", 1);
  Field(out, "aof_rewrite_in_progress", 0);
  Field(out, "aof_last_write_status", info.fenced ? "err" : "ok");
}

void StatsSection(Connection& c, Buffer& out) {
  const ServerStats& s = c.server().stats();
  Field(out, "total_connections_received", s.connections_received);
  Field(out, "total_commands_processed", s.commands);
  Field(out, "instantaneous_ops_per_sec", c.server().ops_per_second());
  Field(out, "total_net_input_bytes", s.input_bytes);
  Field(out, "total_net_output_bytes", s.output_bytes);
  Field(out, "rejected_connections", s.connections_rejected);
  Field(out, "expired_keys", c.store().Info().expired_counters);
  Field(out, "evicted_keys", 0);
  Field(out, "keyspace_hits", s.hits);
  Field(out, "keyspace_misses", s.misses);
  Field(out, "total_error_replies", s.errors);
}

void ReplicationSection(Connection& c, Buffer& out) {
  Field(out, "role", "master");
  Field(out, "connected_slaves", 0);
  Field(out, "master_replid", c.server().options().run_id);
  Field(out, "master_repl_offset", c.store().Info().durable_position);
}

void CpuSection(Connection& c, Buffer& out) {
  ProcessUsage usage = c.server().options().usage ? c.server().options().usage() : ProcessUsage();
  Field(out, "used_cpu_sys", fmt::format("{:.6f}", Seconds(usage.cpu_system_us)));
  Field(out, "used_cpu_user", fmt::format("{:.6f}", Seconds(usage.cpu_user_us)));
}

void ModulesSection(Connection& c, Buffer& out) {
  Field(out, "module", fmt::format("name=quipu,ver={},api=1", c.server().options().version));
}

void CommandstatsSection(Connection& c, Buffer& out) {
  const CommandTable& table = CommandTable::Get();
  auto write = [&](const CommandSpec& spec) {
    const CommandStats& s = c.server().stats().by_command[table.IndexOf(spec)];
    if (s.calls == 0 && s.rejected == 0) return;
    double per_call = s.timed == 0 ? 0 : static_cast<double>(s.micros) / static_cast<double>(s.timed);
    fmt::format_to(std::back_inserter(out),
                   "cmdstat_{}:calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}\r\n",
                   table.FullName(spec), s.calls, s.micros, per_call, s.rejected, s.failed);
  };
  for (const CommandSpec& spec : table.all()) {
    write(spec);
    for (const CommandSpec& sub : spec.subcommands) write(sub);
  }
}

void ErrorstatsSection(Connection& c, Buffer& out) {
  for (const auto& [word, count] : c.server().stats().errors_by_word) {
    Field(out, "errorstat_" + word, fmt::format("count={}", count));
  }
}

void ClusterSection(Connection&, Buffer& out) { Field(out, "cluster_enabled", 0); }

void KeyspaceSection(Connection& c, Buffer& out) {
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  const std::vector<std::string>& databases = c.server().options().databases;
  for (size_t i = 0; i < databases.size(); ++i) {
    const Namespace* ns = table->Find(databases[i]);
    uint64_t keys = ns == nullptr ? 0 : c.store().CountCounters(ns->id);
    if (keys == 0) continue;
    // The store counts expiries over all namespaces; there is one database unless configured otherwise.
    uint64_t expires = std::min(keys, c.store().Info().counters_with_expiry);
    Field(out, fmt::format("db{}", i), fmt::format("keys={},expires={},avg_ttl=0", keys, expires));
  }
}

void QuipuSection(Connection& c, Buffer& out) {
  store::StoreInfo info = c.store().Info();
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  const Namespace& ns = table->Get(c.ns());
  Field(out, "quipu_version", c.server().options().version);
  Field(out, "quipu_mode", c.server().options().mode);
  Field(out, "quipu_engine", info.engine);
  Field(out, "quipu_namespace", ns.name);
  Field(out, "quipu_durability", DurabilityName(ns.settings.durability));
  Field(out, "quipu_loss_window_ms", ns.settings.durability == Durability::kSync ? 0 : info.loss_window_us / 1000);
  Field(out, "quipu_durable_position", info.durable_position);
  Field(out, "quipu_settled_position", info.settled_position);
  Field(out, "quipu_unsettled_bytes", info.unsettled_bytes);
  Field(out, "quipu_adds", info.adds);
  Field(out, "quipu_tokens_in_memory", info.tokens_in_memory);
  Field(out, "quipu_replays", info.replays);
  Field(out, "quipu_conflicts", info.conflicts);
  Field(out, "quipu_expired_tokens", info.expired_tokens);
  Field(out, "quipu_commits", c.server().stats().commits);
  Field(out, "quipu_fenced", info.fenced ? 1 : 0);
}

struct Section {
  std::string_view name;
  void (*write)(Connection&, Buffer&);
  bool by_default = true;
};

constexpr Section kSections[] = {
    {"Server", ServerSection},
    {"Clients", ClientsSection},
    {"Memory", MemorySection},
    {"Persistence", PersistenceSection},
    {"Stats", StatsSection},
    {"Replication", ReplicationSection},
    {"CPU", CpuSection},
    {"Modules", ModulesSection},
    {"Commandstats", CommandstatsSection, false},
    {"Errorstats", ErrorstatsSection},
    {"Cluster", ClusterSection},
    {"Keyspace", KeyspaceSection},
    {"Quipu", QuipuSection},
};

bool Asked(const Section& section, std::span<const std::string_view> names) {
  if (names.empty()) return section.by_default;
  for (std::string_view name : names) {
    if (EqualsIgnoreCase(name, section.name)) return true;
    if (EqualsIgnoreCase(name, "default") && section.by_default) return true;
    if (EqualsIgnoreCase(name, "all") || EqualsIgnoreCase(name, "everything")) return true;
  }
  return false;
}

}  // namespace

std::string InfoText(Connection& connection, std::span<const std::string_view> sections) {
  Buffer out;
  for (const Section& section : kSections) {
    if (!Asked(section, sections)) continue;
    if (out.size() > 0) fmt::format_to(std::back_inserter(out), "\r\n");
    fmt::format_to(std::back_inserter(out), "# {}\r\n", section.name);
    section.write(connection, out);
  }
  return fmt::to_string(out);
}

}  // namespace quipu::resp
