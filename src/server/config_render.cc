// The configuration as text: effective values, schema, reference. All from the table of keys.
#include "server/config.h"
#include "server/config_keys.h"

namespace quipu::server {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

// The value as TOML and JSON both write it.
std::string Literal(const ConfigKey& key, std::string_view text) {
  if (key.type == KeyType::kBool || key.type == KeyType::kInteger) return std::string(text);
  if (key.type != KeyType::kList) return Quoted(text);
  std::string out = "[";
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    out += (out.size() > 1 ? ", " : "") + Quoted(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out + "]";
}

struct SectionAndName {
  std::string section, name;
};
SectionAndName Split(const std::string& key) {
  const size_t dot = key.rfind('.');
  if (dot == std::string::npos) return {"", key};
  return {key.substr(0, dot), key.substr(dot + 1)};
}

std::string_view TypeName(KeyType type) {
  switch (type) {
    case KeyType::kText:
      return "text";
    case KeyType::kChoice:
      return "choice";
    case KeyType::kBool:
      return "true or false";
    case KeyType::kInteger:
      return "integer";
    case KeyType::kBytes:
      return "size";
    case KeyType::kMemory:
      return "share or size";
    case KeyType::kDuration:
      return "duration";
    case KeyType::kAddress:
      return "address";
    case KeyType::kList:
      return "list of texts";
  }
  return "";
}

std::string SchemaOf(const ConfigKey& key) {
  std::string type = "\"type\": \"string\"";
  if (key.type == KeyType::kBool) type = "\"type\": \"boolean\"";
  if (key.type == KeyType::kBytes || key.type == KeyType::kMemory) type = "\"type\": [\"string\", \"integer\"]";
  if (key.type == KeyType::kList) type = "\"type\": \"array\", \"items\": {\"type\": \"string\"}";
  if (key.type == KeyType::kInteger) {
    const size_t dots = key.range.find("..");
    type = fmt::format("\"type\": \"integer\", \"minimum\": {}, \"maximum\": {}", key.range.substr(0, dots),
                       key.range.substr(dots + 2));
  }
  if (key.type == KeyType::kChoice) {
    std::string choices(key.range);
    for (size_t bar; (bar = choices.find('|')) != std::string::npos;) choices.replace(bar, 1, "\", \"");
    type += fmt::format(", \"enum\": [\"{}\"]", choices);
  }
  return fmt::format("{{{}, \"default\": {}, \"description\": {}}}", type, Literal(key, key.default_text),
                     Quoted(key.doc));
}

// A table of the file: its own keys and the tables in it.
struct Node {
  std::map<std::string, const ConfigKey*> keys;
  std::map<std::string, Node> tables;
};

std::string SchemaOf(const Node& node, const std::string& indent) {
  std::string properties, others = "false";
  const auto add = [&](const std::string& name, const std::string& schema) {
    properties += fmt::format("{}\n{}  {}: {}", properties.empty() ? "" : ",", indent, Quoted(name), schema);
  };
  for (const auto& [name, key] : node.keys) add(name, SchemaOf(*key));
  for (const auto& [name, table] : node.tables) {
    if (name == "*")
      others = SchemaOf(table, indent + "  ");
    else
      add(name, SchemaOf(table, indent + "  "));
  }
  return fmt::format("{{\"type\": \"object\", \"additionalProperties\": {}, \"properties\": {{{}}}}}", others,
                     properties);
}

}  // namespace

std::string ConfigToToml(const LoadedConfig& loaded) {
  std::string top, sections, section;
  for (const auto& [key, setting] : loaded.settings) {
    const SectionAndName at = Split(key);
    const std::string line =
        fmt::format("{} = {}  # {}\n", at.name, Literal(*FindKey(key), setting.text), setting.source);
    if (at.section.empty()) {
      top += line;
      continue;
    }
    if (at.section != section) sections += fmt::format("\n[{}]\n", section = at.section);
    sections += line;
  }
  return top + sections;
}

std::string ConfigToJson(const LoadedConfig& loaded) {
  std::string out;
  for (const auto& [key, setting] : loaded.settings) {
    out += fmt::format("{}\n  {}: {{\"value\": {}, \"source\": {}}}", out.empty() ? "{" : ",", Quoted(key),
                       Literal(*FindKey(key), setting.text), Quoted(setting.source));
  }
  return out + "\n}\n";
}

std::string ConfigSchema() {
  Node root;
  for (const ConfigKey& key : ConfigKeys()) {
    Node* node = &root;
    std::string_view rest = key.name;
    for (size_t dot; (dot = rest.find('.')) != std::string_view::npos; rest.remove_prefix(dot + 1)) {
      node = &node->tables[std::string(rest.substr(0, dot))];
    }
    node->keys[std::string(rest)] = &key;
  }
  std::string schema = SchemaOf(root, "");
  schema.insert(1, "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"title\": \"Quipu\", ");
  return schema + "\n";
}

std::string ConfigReference() {
  std::string out =
      "# Configuration\n\n"
      "Made from the table in `src/server/config_keys.cc` by `quipu config schema --markdown`; a test compares.\n\n"
      "A TOML file (`quipu serve --config FILE`, or `QUIPU_CONFIG=FILE`) < environment < flags. Key\n"
      "`journal.segment_size` is `segment_size` under `[journal]` in the file, `QUIPU_JOURNAL__SEGMENT_SIZE` in the\n"
      "environment (two underscores between levels) and `--journal.segment_size` as a flag of `quipu serve`. An "
      "unknown\n"
      "key, wherever it stands, is an error that names the nearest known one; all problems are listed at once, with "
      "exit\n"
      "code 78. `quipu config print` shows every effective value and where it came from, `quipu config check` only "
      "the\n"
      "problems. On SIGHUP a running server reads everything again and takes it as a whole or not at all: `log.level`\n"
      "changes, any other key that differs is named in the log and keeps its value until a restart.\n"
      "Secrets are never values: keys that end in `_file` name the file that holds one. Variables that "
      "begin\n"
      "with `QUIPU_TEST_`, and those of the commands (`QUIPU_ADDRESS`, `QUIPU_USER`, `QUIPU_PASSWORD_FILE`), are left\n"
      "alone.\n\n"
      "Sizes: `4096`, `64KiB`, `64MiB`, `1GiB`. Durations: `100us`, `250ms`, `30s`, `5m`, `24h`, `30d`. In "
      "environment\n"
      "and flags a list is separated by commas.\n";
  std::string section;
  for (const ConfigKey& key : ConfigKeys()) {
    const std::string head = Split(std::string(key.name)).section;
    if (head != section) out += fmt::format("\n## [{}]\n", section = head);
    const bool bounded = !key.range.empty() && key.type != KeyType::kBool;
    std::string range(key.range);
    for (size_t at; (at = range.find('|')) != std::string::npos;) range.replace(at, 1, "`, `");
    if (const size_t dots = range.find(".."); dots != std::string::npos) range.replace(dots, 2, "` to `");
    out += fmt::format("\n**`{}`**: {}{}. Default `{}`.\n\n{}\n", key.name, TypeName(key.type),
                       bounded ? fmt::format(", `{}`", range) : "",
                       key.type == KeyType::kList ? Literal(key, key.default_text)
                       : key.default_text.empty() ? "\"\""
                                                  : key.default_text,
                       key.doc);
  }
  return out;
}

}  // namespace quipu::server
