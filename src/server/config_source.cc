#include "server/config_source.h"

#include <toml++/toml.h>
#include <array>

#include "server/config_keys.h"

namespace quipu::server {
namespace {

// Variables of the commands, not of the configuration.
constexpr std::array<std::string_view, 4> kOtherVariables = {"QUIPU_ADDRESS", "QUIPU_USER", "QUIPU_PASSWORD_FILE",
                                                             "QUIPU_CONFIG"};
constexpr std::string_view kTestVariables = "QUIPU_TEST_";

RawValue FromNode(const std::string& key, const toml::node& node, const std::string& source) {
  RawValue value{.key = key, .text = "", .source = source, .form = RawValue::Form::kOther, .typed = true};
  if (const auto* s = node.as_string()) {
    value.form = RawValue::Form::kText;
    value.text = s->get();
  } else if (const auto* i = node.as_integer()) {
    value.form = RawValue::Form::kInteger;
    value.text = std::to_string(i->get());
  } else if (const auto* b = node.as_boolean()) {
    value.form = RawValue::Form::kBool;
    value.text = b->get() ? "true" : "false";
  } else if (const auto* a = node.as_array()) {
    value.form = RawValue::Form::kList;
    for (const toml::node& element : *a) {
      const auto* item = element.as_string();
      if (item == nullptr || item->get().find(',') != std::string::npos) {
        value.form = RawValue::Form::kOther;
        continue;
      }
      value.text += (value.text.empty() ? "" : ",") + item->get();
    }
  }
  return value;
}

// A table without a key says nothing, but one that no key could stand in is a slip.
void CheckEmptyTable(const std::string& name, const std::string& source, std::vector<std::string>* problems) {
  if (IsTableOfKeys(name)) return;
  const std::string nearest = NearestTable(name);
  problems->push_back(fmt::format("{}: unknown table [{}]{}", source, name,
                                  nearest.empty() ? "" : fmt::format("; did you mean `[{}]`?", nearest)));
}

void Flatten(const toml::table& table, const std::string& prefix, const std::string& file,
             std::vector<RawValue>* values, std::vector<std::string>* problems) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const toml::table* inner = node.as_table()) {
      if (inner->empty()) CheckEmptyTable(key, fmt::format("{}:{}", file, node.source().begin.line), problems);
      Flatten(*inner, key + ".", file, values, problems);
    } else {
      values->push_back(FromNode(key, node, fmt::format("{}:{}", file, node.source().begin.line)));
    }
  }
}

}  // namespace

void ReadTomlValues(const std::string& file_name, const std::string& text, std::vector<RawValue>* values,
                    std::vector<std::string>* problems) {
  try {
    Flatten(toml::parse(text, file_name), "", file_name, values, problems);
  } catch (const toml::parse_error& e) {
    problems->push_back(fmt::format("{}:{}: {}", file_name, e.source().begin.line, e.description()));
  }
}

void ReadEnvironmentValues(const std::vector<std::pair<std::string, std::string>>& environment,
                           std::vector<RawValue>* values) {
  for (const auto& [name, text] : environment) {
    if (!name.starts_with("QUIPU_") || name.starts_with(kTestVariables)) continue;
    if (std::find(kOtherVariables.begin(), kOtherVariables.end(), name) != kOtherVariables.end()) continue;
    values->push_back({.key = KeyOfEnvironment(name), .text = text, .source = "environment " + name});
  }
}

void ReadFlagValues(const std::vector<std::string>& flags, std::vector<RawValue>* values,
                    std::vector<std::string>* problems) {
  for (size_t i = 0; i < flags.size(); ++i) {
    const std::string& flag = flags[i];
    if (!flag.starts_with("--") || flag.size() == 2) {
      problems->push_back(fmt::format("flags: `{}` is not --KEY=VALUE", flag));
      continue;
    }
    const size_t equals = flag.find('=');
    RawValue value{.key = flag.substr(2, equals == std::string::npos ? equals : equals - 2), .text = "", .source = ""};
    value.source = "flag --" + value.key;
    const ConfigKey* key = FindKey(value.key);
    if (equals != std::string::npos) {
      value.text = flag.substr(equals + 1);
    } else if (i + 1 < flags.size() && !flags[i + 1].starts_with("--")) {
      value.text = flags[++i];
    } else if (key != nullptr && key->type == KeyType::kBool) {
      value.text = "true";
    } else if (key != nullptr) {
      problems->push_back(fmt::format("{}: no value given", value.source));
      continue;
    }
    values->push_back(std::move(value));
  }
}

}  // namespace quipu::server
