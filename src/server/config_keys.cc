#include "server/config_keys.h"

#include <array>
#include <charconv>

#include "base/suggest.h"
#include "model/name.h"
#include "model/namespace.h"

namespace quipu::server {
namespace {

constexpr std::array kKeys = {
    ConfigKey{"mode", KeyType::kChoice, "embedded", "embedded",
              "Where counts are kept. `embedded`: in this process's own data directory."},
    ConfigKey{"data_dir", KeyType::kText, "quipu-data", "",
              "The directory that holds everything. One process at a time. Put it on a disk whose sync is honest and "
              "fast: every acknowledged add waits for one."},
    ConfigKey{"listen.resp", KeyType::kAddress, "127.0.0.1:7379", "",
              "Where the Redis protocol is served. An address off loopback is refused unless a password is set or "
              "`auth.allow_anonymous` is true: whoever reaches the port can change every number."},
    ConfigKey{
        "engine.shards", KeyType::kInteger, "0", "0..64",
        "Threads that own counters, each with its journal and its share of the connections; 0 lets the server "
        "choose, which is one in this version. More use more CPUs, at the price of messages between threads for "
        "every counter that lives on another one; INFO, CLIENT LIST and SLOWLOG then speak of the thread that the "
        "connection is on. May change at any restart."},
    ConfigKey{
        "engine.memory", KeyType::kMemory, "50%", "",
        "Memory of the process, as a share of the usable memory or in bytes, at least 64MiB. 96MiB are for the process "
        "itself (so the bound holds from 128MiB on; clients' buffers come on top), of the rest 3/8 for counters, 3/8 "
        "for tokens, what remains for caches and settling. Larger keeps more counters and tokens hot; smaller leaves "
        "room for the page cache, which serves the rest. At the limit, state is settled to disk first and then "
        "dropped; where adds come faster than that, answers wait. A token inside its horizon costs 1.25 bytes at the "
        "least."},
    ConfigKey{
        "engine.sources_max", KeyType::kInteger, "65536", "1..10000000",
        "Imported files (sources) that the server may know, so as to count each once; beyond it a new one is refused. "
        "They are never forgotten, and each takes 1 to 4 KiB of memory besides `engine.memory`. Each shard has an "
        "equal share."},
    ConfigKey{"journal.segment_size", KeyType::kBytes, "64MiB", "16MiB..1GiB",
              "Size of one journal file. Larger means fewer files and switches; smaller gives space back sooner and "
              "shortens the preparation of the next one. Leave it alone unless the disk is tiny."},
    ConfigKey{"journal.commit_delay", KeyType::kDuration, "0us", "0us..10ms",
              "How long a commit waits for company before it syncs. 0 syncs at once when idle, and gathers only while "
              "a sync is in flight. Longer saves syncs on slow disks and adds itself to every answer's latency."},
    ConfigKey{"journal.backend", KeyType::kChoice, "auto", "auto|uring|thread",
              "How journal writes reach the disk. `auto` uses io_uring where the kernel allows it, else a thread. "
              "`uring` refuses to start without it; `thread` costs about 30 us more a commit and works everywhere."},
    ConfigKey{"auth.allow_anonymous", KeyType::kBool, "false", "true|false",
              "Allows listening off loopback without a password. True only on a network that is closed by other "
              "means."},
    ConfigKey{"auth.password_file", KeyType::kText, "", "",
              "File whose first line is the password that AUTH asks for. Empty: no password. Keep it readable by the "
              "service alone."},
    ConfigKey{"limits.connections", KeyType::kInteger, "10000", "1..1000000",
              "Connections at a time; the next one is refused. Each costs a descriptor and some 20 KiB; a lower limit "
              "protects memory, a higher one serves clients without pools. Where the process may not have descriptors "
              "for so many and 4096 (at most half of all) for the store, fewer are taken, and the log says how many."},
    ConfigKey{"resp.databases", KeyType::kList, "default", "",
              "Namespaces that SELECT 0, 1, ... stand for, in order. Clients that cannot send QUIPU.NS choose by "
              "number."},
    ConfigKey{"resp.allow_flush", KeyType::kBool, "false", "true|false",
              "Allows FLUSHDB and FLUSHALL. They delete every counter of a namespace and cannot be taken back; true is "
              "for test systems."},
    ConfigKey{"resp.output_soft_limit", KeyType::kBytes, "8MiB", "64KiB..1GiB",
              "Unread replies of one connection above which nothing more is read from it, and after "
              "`resp.output_soft_time` it is closed. Larger tolerates slower readers, at that much memory each."},
    ConfigKey{"resp.output_soft_time", KeyType::kDuration, "10s", "100ms..10m",
              "How long a connection may stay above `resp.output_soft_limit`."},
    ConfigKey{"resp.output_hard_limit", KeyType::kBytes, "32MiB", "64KiB..4GiB",
              "Unread replies of one connection at which it is closed at once. At least the soft limit."},
    ConfigKey{
        "namespaces.*.durability", KeyType::kChoice, "sync", "sync|async|memory",
        "When an answer may leave. `sync`: after the event survived a sync. `async`: at once; the event is on its "
        "way to the disk within 20 ms, so a loss of power, or of the process, takes the last 20 ms and what the "
        "disk had not finished (while settling is far behind, 200 ms more). `memory`: the same, and tokens are "
        "not kept. This and the next keys are seeds: they apply when the namespace is first made, later changes live "
        "in "
        "the store."},
    ConfigKey{"namespaces.*.token_horizon", KeyType::kDuration, "24h", "1s..30d",
              "How long a token protects against counting twice. Longer survives longer outages of a client and costs "
              "memory and disk for every token of that time; older tokens are refused, never counted quietly."},
    ConfigKey{"namespaces.*.token_skew", KeyType::kDuration, "60s", "0s..1h",
              "How far a token's own time may lie in the future. Larger tolerates bad clocks; smaller finds them "
              "sooner."},
    ConfigKey{"namespaces.*.token_required", KeyType::kBool, "false", "true|false",
              "Refuses adds and clears without a token. True makes every retry safe and shuts out plain INCR."},
    ConfigKey{"namespaces.*.event_retention", KeyType::kDuration, "7d", "1s..3650d",
              "How long single events are kept for explain and recount; at least the token horizon. Longer answers "
              "questions about older days, at the price of disk."},
    ConfigKey{"namespaces.*.counters_max", KeyType::kInteger, "0", "0..9223372036854775807",
              "Counters that the namespace may hold; 0 means no limit. A limit stops a client that makes names from "
              "random input before the disk does."},
    ConfigKey{"log.level", KeyType::kChoice, "info", "debug|info|warn|error",
              "The least important lines still written. `debug` names counters and costs speed."},
    ConfigKey{"log.format", KeyType::kChoice, "auto", "auto|text|json",
              "`auto` writes text to a terminal and JSON lines otherwise."},
};

constexpr std::string_view kNamespaces = "namespaces.";

// "namespaces.shop.durability" -> "namespaces.*.durability" and "shop"; other names stay as they are.
struct SplitName {
  std::string pattern;
  std::string_view ns;
};
SplitName SplitNamespace(std::string_view name) {
  const size_t end = name.starts_with(kNamespaces) ? name.find('.', kNamespaces.size()) : std::string_view::npos;
  if (end == std::string_view::npos) return {std::string(name), {}};
  return {"namespaces.*" + std::string(name.substr(end)), name.substr(kNamespaces.size(), end - kNamespaces.size())};
}

bool IsOneOf(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const size_t bar = std::min(choices.find('|'), choices.size());
    if (choices.substr(0, bar) == text) return true;
    choices.remove_prefix(std::min(bar + 1, choices.size()));
  }
  return false;
}

// Compares with the ends of a MIN..MAX range by a parser of the key's type.
template <class Parse>
std::optional<std::string> RangeProblem(const ConfigKey& key, std::string_view text, const char* form, Parse parse) {
  const auto value = parse(text);
  if (!value) return fmt::format("`{}` is not {}", text, form);
  const size_t dots = key.range.find("..");
  if (*value < *parse(key.range.substr(0, dots)) || *value > *parse(key.range.substr(dots + 2))) {
    return fmt::format("`{}` is outside {} to {}", text, key.range.substr(0, dots), key.range.substr(dots + 2));
  }
  return std::nullopt;
}

std::optional<int64_t> ParseMicros(std::string_view text) {
  const Result<int64_t> us = ParseDurationMicros(text);
  return us.ok() ? std::optional(*us) : std::nullopt;
}

std::optional<std::string> AddressProblem(std::string_view text) {
  if (text.starts_with("unix:") && text.size() > 5) return std::nullopt;
  const size_t colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : ParseInteger(text.substr(colon + 1));
  if (port && *port >= 0 && *port <= 65535 && colon > 0) return std::nullopt;
  return fmt::format("`{}` is not HOST:PORT, [::1]:PORT or unix:PATH", text);
}

}  // namespace

std::span<const ConfigKey> ConfigKeys() { return kKeys; }

const ConfigKey* FindKey(std::string_view name) {
  const SplitName split = SplitNamespace(name);
  for (const ConfigKey& key : kKeys) {
    if (key.name == split.pattern) return &key;
  }
  return nullptr;
}

bool IsTableOfKeys(std::string_view name) {
  if (name == "namespaces") return true;
  // Of namespaces.shop the keys are those of namespaces.*.
  const std::string table = name.starts_with("namespaces.") && name.find('.', 11) == std::string_view::npos
                                ? "namespaces.*"
                                : std::string(name);
  return std::any_of(kKeys.begin(), kKeys.end(),
                     [&](const ConfigKey& key) { return key.name.starts_with(table + "."); });
}

std::string NearestTable(std::string_view name) {
  const size_t dot = std::min(name.find('.'), name.size());
  std::vector<std::string_view> known;
  for (const ConfigKey& key : kKeys) {
    if (const size_t end = key.name.find('.'); end != std::string_view::npos) known.push_back(key.name.substr(0, end));
  }
  const std::string nearest = std::string(NearestWord(name.substr(0, dot), known));
  if (nearest.empty()) return nearest;
  return nearest == "namespaces" ? nearest + std::string(name.substr(dot)) : nearest;
}

std::string NearestKey(std::string_view name) {
  const SplitName split = SplitNamespace(name);
  std::vector<std::string_view> known;
  for (const ConfigKey& key : kKeys) known.push_back(key.name);
  std::string nearest(NearestWord(split.pattern, known));
  const size_t star = nearest.find('*');
  if (star != std::string::npos) nearest.replace(star, 1, split.ns.empty() ? "default" : split.ns);
  return nearest;
}

std::optional<std::string> ProblemOf(const ConfigKey& key, std::string_view text) {
  switch (key.type) {
    case KeyType::kText:
    case KeyType::kList:
      return std::nullopt;
    case KeyType::kChoice:
    case KeyType::kBool:
      if (IsOneOf(key.range, text)) return std::nullopt;
      return fmt::format("`{}` is none of {}", text, key.range);
    case KeyType::kInteger:
      return RangeProblem(key, text, "an integer", ParseInteger);
    case KeyType::kBytes:
      return RangeProblem(key, text, "a size such as 64MiB", ParseBytes);
    case KeyType::kDuration:
      return RangeProblem(key, text, "a duration such as 250ms or 24h", ParseMicros);
    case KeyType::kMemory:
      if (ParseMemory(text, 1u << 30)) return std::nullopt;
      return fmt::format("`{}` is neither a share from 1% to 90% nor a size of at least 64MiB", text);
    case KeyType::kAddress:
      return AddressProblem(text);
  }
  return std::nullopt;
}

std::string EnvironmentName(std::string_view key) {
  std::string out = "QUIPU_";
  for (const char c : key) {
    if (c == '.')
      out += "__";
    else
      out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

std::string KeyOfEnvironment(std::string_view variable) {
  constexpr std::string_view kPrefix = "QUIPU_";
  if (!variable.starts_with(kPrefix)) return "";
  variable.remove_prefix(kPrefix.size());
  std::string out;
  for (size_t i = 0; i < variable.size(); ++i) {
    const char c = variable[i];
    if (variable.substr(i, 2) == "__") {
      out += '.';
      ++i;
    } else {
      out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return out;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseBytes(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  for (size_t i = 0; i < kUnits.size(); ++i) {
    if (unit != kUnits[i] && !(unit.empty() && i == 0)) continue;
    const uint64_t factor = uint64_t{1} << (10 * i);
    if (value > UINT64_MAX / factor) return std::nullopt;
    return value * factor;
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseMemory(std::string_view text, uint64_t machine_bytes) {
  constexpr uint64_t kLeast = 64u << 20;
  if (!text.ends_with('%')) {
    const auto bytes = ParseBytes(text);
    return bytes && *bytes >= kLeast ? bytes : std::nullopt;
  }
  const auto share = ParseInteger(text.substr(0, text.size() - 1));
  if (!share || *share < 1 || *share > 90) return std::nullopt;
  return std::max(kLeast, machine_bytes / 100 * static_cast<uint64_t>(*share));
}

}  // namespace quipu::server
