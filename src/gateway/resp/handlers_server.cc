#include <fmt/core.h>

#include "gateway/resp/client_info.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/glob.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/info.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

constexpr std::string_view kSlowerThan = "slowlog-log-slower-than";
constexpr std::string_view kMaxLen = "slowlog-max-len";
constexpr int64_t kSlowEntriesMax = 100'000;

std::vector<std::pair<std::string_view, std::string>> Settings(Connection& c) {
  const RespOptions& o = c.server().options();
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  std::string_view fsync;
  switch (table->Get(c.ns()).settings.durability) {
    case Durability::kSync:
      fsync = "always";
      break;
    case Durability::kAsync:
      fsync = "everysec";
      break;
    case Durability::kMemory:
      fsync = "no";
      break;
  }
  return {
      {"save", ""},
      {"appendonly", "yes"},
      {"appendfsync", std::string(fsync)},
      {"databases", fmt::format("{}", o.databases.size())},
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"maxclients", fmt::format("{}", o.connections_max)},
      {"timeout", fmt::format("{}", o.idle_timeout_us / 1'000'000)},
      {"port", fmt::format("{}", o.tcp_port)},
      {kSlowerThan, fmt::format("{}", o.slowlog_slower_than_us)},
      {kMaxLen, fmt::format("{}", o.slowlog_entries_max)},
  };
}

}  // namespace

void Info(Connection& c, Args args) { c.reply().Verbatim(InfoText(c, args.subspan(1))); }

void ConfigGet(Connection& c, Args args) {
  std::vector<std::pair<std::string_view, std::string>> found = Settings(c);
  std::erase_if(found, [&](const auto& setting) {
    return std::none_of(args.begin() + 2, args.end(), [&](std::string_view pattern) {
      return GlobMatch(pattern, setting.first, LetterCase::kIgnore);
    });
  });
  ReplyBuffer& out = c.reply();
  out.Map(found.size());
  for (const auto& [name, value] : found) {
    out.Bulk(name);
    out.Bulk(value);
  }
}

void ConfigSet(Connection& c, Args args) {
  if (args.size() % 2 != 0) return c.FailArity(*c.command());
  RespOptions& o = c.server().options();
  int64_t slower_than = o.slowlog_slower_than_us;
  auto entries = static_cast<int64_t>(o.slowlog_entries_max);
  for (size_t i = 2; i < args.size(); i += 2) {
    bool is_time = EqualsIgnoreCase(args[i], kSlowerThan);
    if (!is_time && !EqualsIgnoreCase(args[i], kMaxLen)) {
      return c.Fail(fmt::format("NOPERM User default has no permissions to set '{}'", args[i].substr(0, 128)));
    }
    int64_t value = 0;
    int64_t least = is_time ? -1 : 0;
    if (!ParseInt64(args[i + 1], &value) || value < least || (!is_time && value > kSlowEntriesMax)) {
      return c.Fail(fmt::format(
          "ERR CONFIG SET failed (possibly related to argument '{}') - argument must be between {} "
          "and {} inclusive",
          is_time ? kSlowerThan : kMaxLen, least, is_time ? std::numeric_limits<int64_t>::max() : kSlowEntriesMax));
    }
    (is_time ? slower_than : entries) = value;
  }
  o.slowlog_slower_than_us = slower_than;
  o.slowlog_entries_max = static_cast<size_t>(entries);
  c.reply().Simple("OK");
}

void ConfigResetStat(Connection& c, Args) {
  ServerStats& stats = c.server().stats();
  stats = {};
  stats.by_command.resize(CommandTable::Get().size());
  c.server().SampleOps();
  c.reply().Simple("OK");
}

void SlowlogGet(Connection& c, Args args) {
  if (args.size() > 3) return c.FailArity(*c.command());
  int64_t count = 10;
  if (args.size() == 3 && !ParseInt64(args[2], &count)) return c.Fail(text::kNotInteger);
  if (count < -1) return c.Fail("ERR count should be greater than or equal to -1");
  const std::deque<SlowEntry>& log = c.server().slowlog();
  size_t shown = count == -1 ? log.size() : std::min(log.size(), static_cast<size_t>(count));
  ReplyBuffer& out = c.reply();
  out.Array(shown);
  for (size_t i = 0; i < shown; ++i) {
    const SlowEntry& entry = log[i];
    out.Array(6);
    out.Integer(static_cast<int64_t>(entry.id));
    out.Integer(entry.wall_s);
    out.Integer(entry.micros);
    out.Array(entry.args.size());
    for (const std::string& arg : entry.args) out.Bulk(arg);
    out.Bulk(entry.address);
    out.Bulk(entry.client_name);
  }
}

void SlowlogLen(Connection& c, Args) { c.reply().Integer(static_cast<int64_t>(c.server().slowlog().size())); }

void SlowlogReset(Connection& c, Args) {
  c.server().slowlog().clear();
  c.reply().Simple("OK");
}

void LatencyLatest(Connection& c, Args) { c.reply().Array(0); }
void LatencyHistogram(Connection& c, Args) { c.reply().Map(0); }
void LatencyReset(Connection& c, Args) { c.reply().Integer(0); }

void Wait(Connection& c, Args args) {
  int64_t number = 0;
  if (!ParseInt64(args[1], &number) || !ParseInt64(args[2], &number)) return c.Fail(text::kNotInteger);
  if (number < 0) return c.Fail("ERR timeout is negative");
  c.reply().Integer(0);
}

// Replies leave in order, so this one leaves after the writes before it are durable.
void WaitAof(Connection& c, Args args) {
  int64_t local = 0;
  int64_t number = 0;
  if (!ParseInt64(args[1], &local) || !ParseInt64(args[2], &number) || !ParseInt64(args[3], &number)) {
    return c.Fail(text::kNotInteger);
  }
  if (local < 0 || local > 1) return c.Fail("ERR value is out of range, must be between 0 and 1");
  if (number < 0) return c.Fail("ERR timeout is negative");
  c.reply().Array(2);
  c.reply().Integer(1);
  c.reply().Integer(0);
}

void Role(Connection& c, Args) {
  c.reply().Array(3);
  c.reply().Bulk("master");
  c.reply().Integer(0);
  c.reply().Array(0);
}

void ModuleList(Connection& c, Args) { WriteModules(c.reply(), c.server().options()); }
void AclWhoAmI(Connection& c, Args) { c.reply().Bulk("default"); }
void LastSave(Connection& c, Args) { c.reply().Integer(c.store().Info().last_settle_wall_us / 1'000'000); }
void ClusterOff(Connection& c, Args) { c.Fail(text::kClusterOff); }

void Refused(Connection& c, Args) {
  c.Fail(fmt::format("NOPERM User default has no permissions to run the '{}' command", c.command()->name));
}

}  // namespace quipu::resp
