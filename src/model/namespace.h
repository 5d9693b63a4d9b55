// A namespace's settings: the unit of configuration. Versioned; changed by compare-and-set.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ids.h"

namespace quipu {

// When an answer may leave. On disk and on the wire by name.
enum class Durability : uint8_t {
  kSync,    // after the event survived a sync
  kAsync,   // at once; a crash may lose the last moments (the engine's stated bound, in ms)
  kMemory,  // as kAsync, and tokens are not kept
};
std::string_view DurabilityName(Durability d);

inline constexpr int64_t kTokenSkewMsMax = 3600 * 1000;

struct NamespaceSettings {
  // Default: what `default` starts with. Units in the names.
  Durability durability = Durability::kSync;
  int64_t token_horizon_ms = 24 * 3600 * 1000ll;        // how long a token protects; 1 s to 30 d; longer costs more
  int64_t token_skew_ms = 60 * 1000;                    // how far a token's own time may lie in the future; 0 to 1 h
  bool token_required = false;                          // refuse mutations without a token
  int64_t event_retention_ms = 7 * 24 * 3600 * 1000ll;  // raw events (explain, recount); at least the horizon
  int64_t counters_max = 0;                             // 0 = no limit; more are refused with QUOTA_EXCEEDED
  bool operator==(const NamespaceSettings&) const = default;
};

struct Namespace {
  NamespaceId id = kDefaultNamespace;
  std::string name;
  uint64_t version = 1;
  bool deleted = false;
  NamespaceSettings settings;
  // Tokens first seen before this may have been forgotten, whatever the horizon says now (store/token_rules.h).
  Micros tokens_known_since_us = kNoTime;
};

// kOk, or kInvalidArgument that names the first key out of its range and the range.
Status CheckNamespaceSettings(const NamespaceSettings& settings);

// Settings as a JSON object with the published key names ("durability", "token_horizon": "24h", ...), and back: unknown
// keys (with the nearest known one), keys given twice, wrong types and values out of range are kInvalidArgument and
// name the key. Absent keys keep `base`'s value.
std::string NamespaceSettingsToJson(const NamespaceSettings& settings);
Result<NamespaceSettings> NamespaceSettingsFromJson(std::string_view json, const NamespaceSettings& base);
// {"name":...,"version":...,"settings":{...}}, for people.
std::string NamespaceToJson(const Namespace& ns);

// "250ms", "30s", "5m", "24h", "30d", "100us" to microseconds and back (the shortest exact form).
Result<int64_t> ParseDurationMicros(std::string_view text);
std::string FormatDurationMicros(int64_t us);

// An immutable view of all namespaces; a change makes a new one. Lookup by name or id.
class NamespaceTable {
 public:
  explicit NamespaceTable(std::vector<Namespace> all);  // ids 0..n-1 in order
  const Namespace* Find(std::string_view name) const;   // null: none, or deleted
  const Namespace& Get(NamespaceId id) const { return all_[id]; }
  const std::vector<Namespace>& all() const { return all_; }

 private:
  std::vector<Namespace> all_;
};

}  // namespace quipu
