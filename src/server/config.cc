#include "server/config.h"

#include "model/name.h"
#include "server/config_keys.h"
#include "server/config_source.h"

namespace quipu::server {
namespace {

constexpr std::string_view kNamespaces = "namespaces.";

// Whether a typed TOML value can stand for the key.
bool FormFits(KeyType type, RawValue::Form form) {
  switch (type) {
    case KeyType::kBool:
      return form == RawValue::Form::kBool;
    case KeyType::kInteger:
      return form == RawValue::Form::kInteger;
    case KeyType::kBytes:
    case KeyType::kMemory:
      return form == RawValue::Form::kText || form == RawValue::Form::kInteger;
    case KeyType::kList:
      return form == RawValue::Form::kList;
    case KeyType::kText:
    case KeyType::kChoice:
    case KeyType::kDuration:
    case KeyType::kAddress:
      return form == RawValue::Form::kText;
  }
  return false;
}

std::string_view FormWanted(KeyType type) {
  switch (type) {
    case KeyType::kBool:
      return "true or false";
    case KeyType::kInteger:
      return "an integer";
    case KeyType::kBytes:
      return "a size in quotes such as \"64MiB\", or an integer";
    case KeyType::kMemory:
      return "a share such as \"50%\" or a size";
    case KeyType::kList:
      return "a list of texts without commas";
    case KeyType::kDuration:
      return "a duration in quotes such as \"24h\"";
    case KeyType::kText:
    case KeyType::kChoice:
    case KeyType::kAddress:
      return "a text in quotes";
  }
  return "";
}

std::string NamespaceOf(const std::string& key) {
  if (!key.starts_with(kNamespaces)) return "";
  const size_t end = key.find('.', kNamespaces.size());
  return end == std::string::npos ? "" : key.substr(kNamespaces.size(), end - kNamespaces.size());
}

void AddDefaults(const std::string& ns, std::map<std::string, Setting>* settings) {
  for (const ConfigKey& key : ConfigKeys()) {
    std::string name(key.name);
    const size_t star = name.find('*');
    if ((star != std::string::npos) == ns.empty()) continue;
    if (star != std::string::npos) name.replace(star, 1, ns);
    settings->try_emplace(name, Setting{std::string(key.default_text), "default"});
  }
}

void Apply(const RawValue& raw, LoadedConfig* loaded) {
  const ConfigKey* key = FindKey(raw.key);
  if (key == nullptr) {
    const std::string nearest = raw.key == "port" ? "listen.resp" : NearestKey(raw.key);  // as other servers name it
    loaded->problems.push_back(fmt::format("{}: unknown key `{}`{}", raw.source, raw.key,
                                           nearest.empty() ? "" : fmt::format("; did you mean `{}`?", nearest)));
    return;
  }
  const std::string ns = NamespaceOf(raw.key);
  if (!ns.empty()) {
    if (const Status status = CheckNamespaceName(ns); !status.ok()) {
      loaded->problems.push_back(fmt::format("{}: {}: {}", raw.source, raw.key, status.message()));
      return;
    }
    AddDefaults(ns, &loaded->settings);
  }
  if (raw.typed && !FormFits(key->type, raw.form)) {
    loaded->problems.push_back(fmt::format("{}: {} must be {}", raw.source, raw.key, FormWanted(key->type)));
    return;
  }
  if (const auto problem = ProblemOf(*key, raw.text)) {
    loaded->problems.push_back(fmt::format("{}: {}: {}", raw.source, raw.key, *problem));
    return;
  }
  loaded->settings[raw.key] = {raw.text, raw.source};
}

// Typed views of settings that ProblemOf has passed.
class Reader {
 public:
  explicit Reader(const std::map<std::string, Setting>& settings) : settings_(settings) {}
  const std::string& Text(const std::string& key) const { return settings_.at(key).text; }
  bool Bool(const std::string& key) const { return Text(key) == "true"; }
  int64_t Integer(const std::string& key) const { return *ParseInteger(Text(key)); }
  uint64_t Bytes(const std::string& key) const { return *ParseBytes(Text(key)); }
  int64_t Micros(const std::string& key) const { return ParseDurationMicros(Text(key)).value(); }
  // The place of the text among the key's choices: enums are declared in the table's order.
  template <class Enum>
  Enum Choice(const std::string& key) const {
    std::string_view choices = FindKey(key)->range;
    uint8_t index = 0;
    while (!choices.starts_with(Text(key)) || (choices.size() > Text(key).size() && choices[Text(key).size()] != '|')) {
      choices.remove_prefix(choices.find('|') + 1);
      ++index;
    }
    return static_cast<Enum>(index);
  }
  std::vector<std::string> List(const std::string& key) const {
    std::vector<std::string> out;
    std::string_view rest = Text(key);
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      out.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return out;
  }

 private:
  const std::map<std::string, Setting>& settings_;
};

NamespaceSettings SeedOf(const Reader& read, const std::string& ns) {
  const std::string prefix = std::string(kNamespaces) + ns + ".";
  NamespaceSettings s;
  s.durability = read.Choice<Durability>(prefix + "durability");
  s.token_horizon_ms = read.Micros(prefix + "token_horizon") / 1000;
  s.token_skew_ms = read.Micros(prefix + "token_skew") / 1000;
  s.token_required = read.Bool(prefix + "token_required");
  s.event_retention_ms = read.Micros(prefix + "event_retention") / 1000;
  s.counters_max = read.Integer(prefix + "counters_max");
  return s;
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("unix:") || address.starts_with("127.") || address.starts_with("localhost:") ||
         address.starts_with("[::1]:");
}

// Rules between keys.
void CheckTogether(LoadedConfig* loaded) {
  const auto problem = [loaded](const std::string& key, const std::string& what) {
    const Setting& setting = loaded->settings.at(key);
    loaded->problems.push_back(fmt::format("{}: {}: {}", setting.source, key, what));
  };
  const Config& c = loaded->config;
  if (c.data_dir.empty()) problem("data_dir", "is empty, and must name a directory");
  if (!IsLoopback(c.listen_resp) && c.password_file.empty() && !c.allow_anonymous) {
    problem("listen.resp", fmt::format("`{}` is reachable from other machines and no password is set; set "
                                       "auth.password_file, or auth.allow_anonymous = true to allow it",
                                       c.listen_resp));
  }
  if (c.output_hard_bytes < c.output_soft_bytes) {
    problem("resp.output_hard_limit", fmt::format("{} bytes are less than resp.output_soft_limit, {} bytes",
                                                  c.output_hard_bytes, c.output_soft_bytes));
  }
  if (c.databases.empty()) problem("resp.databases", "names no namespace");
  for (const std::string& name : c.databases) {
    const bool seeded = std::any_of(c.namespaces.begin(), c.namespaces.end(),
                                    [&name](const NamespaceSeed& seed) { return seed.name == name; });
    if (!seeded) {
      problem("resp.databases",
              fmt::format("`{}` is no namespace of this configuration; name it under [namespaces.{}]", name, name));
    }
  }
  for (const NamespaceSeed& seed : c.namespaces) {
    if (const Status status = CheckNamespaceSettings(seed.settings); !status.ok()) {
      problem(fmt::format("namespaces.{}.event_retention", seed.name), std::string(status.message()));
    }
  }
}

}  // namespace

LoadedConfig LoadConfig(const ConfigInputs& inputs) {
  LoadedConfig loaded;
  AddDefaults("", &loaded.settings);
  AddDefaults("default", &loaded.settings);
  std::vector<RawValue> values;
  if (!inputs.file_name.empty()) ReadTomlValues(inputs.file_name, inputs.file_text, &values, &loaded.problems);
  ReadEnvironmentValues(inputs.environment, &values);
  ReadFlagValues(inputs.flags, &values, &loaded.problems);
  for (const RawValue& raw : values) Apply(raw, &loaded);

  const Reader read(loaded.settings);
  Config& c = loaded.config;
  c.data_dir = read.Text("data_dir");
  c.listen_resp = read.Text("listen.resp");
  c.shards = static_cast<uint32_t>(read.Integer("engine.shards"));
  c.memory_bytes = *ParseMemory(read.Text("engine.memory"), inputs.machine_memory_bytes);
  c.segment_bytes = read.Bytes("journal.segment_size");
  c.commit_delay_us = read.Micros("journal.commit_delay");
  c.journal_backend = read.Choice<JournalBackend>("journal.backend");
  c.allow_anonymous = read.Bool("auth.allow_anonymous");
  c.password_file = read.Text("auth.password_file");
  c.sources_max = static_cast<uint64_t>(read.Integer("engine.sources_max"));
  c.connections_max = static_cast<uint32_t>(read.Integer("limits.connections"));
  c.databases = read.List("resp.databases");
  c.allow_flush = read.Bool("resp.allow_flush");
  c.output_soft_bytes = read.Bytes("resp.output_soft_limit");
  c.output_soft_us = read.Micros("resp.output_soft_time");
  c.output_hard_bytes = read.Bytes("resp.output_hard_limit");
  c.log_level = read.Choice<LogLevel>("log.level");
  c.log_format = read.Choice<LogFormat>("log.format");
  for (const auto& [key, setting] : loaded.settings) {
    if (key.starts_with(kNamespaces) && key.ends_with(".durability")) {
      const std::string ns = NamespaceOf(key);
      c.namespaces.push_back({ns, SeedOf(read, ns)});
    }
  }
  CheckTogether(&loaded);
  return loaded;
}

}  // namespace quipu::server
