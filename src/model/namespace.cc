#include "model/namespace.h"

#include <fmt/core.h>

#include "model/flat_json.h"

namespace quipu {
namespace {

constexpr int64_t kSecondMs = 1000;
constexpr int64_t kHourMs = 3600 * kSecondMs;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr int64_t kHorizonMsMin = kSecondMs, kHorizonMsMax = 30 * kDayMs;
constexpr int64_t kRetentionMsMax = 3650 * kDayMs;

constexpr std::string_view kKeys[] = {"durability",     "token_horizon",   "token_skew",
                                      "token_required", "event_retention", "counters_max"};

Status WrongType(std::string_view key, std::string_view got, std::string_view wanted) {
  return Status(Code::kInvalidArgument, fmt::format("{} is {}, must be {}", key, got, wanted));
}

std::string DurationText(int64_t ms) { return FormatDurationMicros(ms * 1000); }

Status ReadDurationMs(const FlatJson::Field& field, int64_t* out) {
  const auto* text = std::get_if<std::string>(&field.value);
  if (text == nullptr) return WrongType(field.key, field.TypeName(), "a duration such as \"24h\"");
  auto us = ParseDurationMicros(*text);
  if (!us.ok()) return Status(us.code(), fmt::format("{}: {}", field.key, us.status().message()));
  if (*us % 1000 != 0)
    return Status(Code::kInvalidArgument, fmt::format("{} is {}, must be whole milliseconds", field.key, *text));
  *out = *us / 1000;
  return OkStatus();
}

Status ReadDurability(const FlatJson::Field& field, Durability* out) {
  constexpr std::string_view kWanted = "\"sync\", \"async\" or \"memory\"";
  const auto* text = std::get_if<std::string>(&field.value);
  if (text == nullptr) return WrongType(field.key, field.TypeName(), kWanted);
  for (Durability d : {Durability::kSync, Durability::kAsync, Durability::kMemory}) {
    if (*text == DurabilityName(d)) {
      *out = d;
      return OkStatus();
    }
  }
  return WrongType(field.key, "another word", kWanted);
}

Status ReadField(const FlatJson::Field& field, NamespaceSettings* s) {
  if (field.key == "durability") return ReadDurability(field, &s->durability);
  if (field.key == "token_horizon") return ReadDurationMs(field, &s->token_horizon_ms);
  if (field.key == "token_skew") return ReadDurationMs(field, &s->token_skew_ms);
  if (field.key == "event_retention") return ReadDurationMs(field, &s->event_retention_ms);
  if (field.key == "token_required") {
    const auto* b = std::get_if<bool>(&field.value);
    if (b == nullptr) return WrongType(field.key, field.TypeName(), "true or false");
    s->token_required = *b;
    return OkStatus();
  }
  if (field.key == "counters_max") {
    const auto* i = std::get_if<int64_t>(&field.value);
    if (i == nullptr) return WrongType(field.key, field.TypeName(), "a whole number");
    s->counters_max = *i;
    return OkStatus();
  }
  return UnknownKey("namespace settings", field.key, kKeys);
}

Status CheckDuration(std::string_view key, int64_t ms, int64_t ms_min, int64_t ms_max) {
  if (ms >= ms_min && ms <= ms_max) return OkStatus();
  return Status(Code::kInvalidArgument, fmt::format("{} is {}, allowed are {} to {}", key, DurationText(ms),
                                                    DurationText(ms_min), DurationText(ms_max)));
}

}  // namespace

std::string_view DurabilityName(Durability d) {
  switch (d) {
    case Durability::kSync:
      return "sync";
    case Durability::kAsync:
      return "async";
    case Durability::kMemory:
      return "memory";
  }
  QUIPU_ASSERT(false, "durability={}", static_cast<int>(d));
}

Status CheckNamespaceSettings(const NamespaceSettings& s) {
  QUIPU_RETURN_IF_ERROR(CheckDuration("token_horizon", s.token_horizon_ms, kHorizonMsMin, kHorizonMsMax));
  QUIPU_RETURN_IF_ERROR(CheckDuration("token_skew", s.token_skew_ms, 0, kTokenSkewMsMax));
  QUIPU_RETURN_IF_ERROR(CheckDuration("event_retention", s.event_retention_ms, s.token_horizon_ms, kRetentionMsMax));
  if (s.counters_max < 0) {
    return Status(Code::kInvalidArgument,
                  fmt::format("counters_max is {}, allowed are 0 (no limit) and more", s.counters_max));
  }
  return OkStatus();
}

std::string NamespaceSettingsToJson(const NamespaceSettings& s) {
  // The values need no escaping: names of ours, durations, numbers.
  return fmt::format(R"({{"durability":"{}","token_horizon":"{}","token_skew":"{}",)"
                     R"("token_required":{},"event_retention":"{}","counters_max":{}}})",
                     DurabilityName(s.durability), DurationText(s.token_horizon_ms), DurationText(s.token_skew_ms),
                     s.token_required, DurationText(s.event_retention_ms), s.counters_max);
}

std::string NamespaceToJson(const Namespace& ns) {
  return fmt::format(R"({{"name":"{}","version":{},"settings":{}}})", ns.name, ns.version,
                     NamespaceSettingsToJson(ns.settings));
}

Result<NamespaceSettings> NamespaceSettingsFromJson(std::string_view json, const NamespaceSettings& base) {
  QUIPU_ASSIGN_OR_RETURN(FlatJson object, FlatJson::Parse("namespace settings", json));
  NamespaceSettings settings = base;
  for (const FlatJson::Field& field : object.fields) QUIPU_RETURN_IF_ERROR(ReadField(field, &settings));
  QUIPU_RETURN_IF_ERROR(CheckNamespaceSettings(settings));
  return settings;
}

NamespaceTable::NamespaceTable(std::vector<Namespace> all) : all_(std::move(all)) {
  for (size_t i = 0; i < all_.size(); i++) QUIPU_ASSERT(all_[i].id == i, "namespace {} stands at {}", all_[i].id, i);
}

const Namespace* NamespaceTable::Find(std::string_view name) const {
  for (const Namespace& ns : all_) {
    if (!ns.deleted && ns.name == name) return &ns;
  }
  return nullptr;
}

}  // namespace quipu
