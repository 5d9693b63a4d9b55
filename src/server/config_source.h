// The three places that values come from, each turned into the same list. For config.cc.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace quipu::server {

// A value as it was written, before anyone knows whether its key exists.
struct RawValue {
  enum class Form : uint8_t { kText, kInteger, kBool, kList, kOther };
  std::string key;
  std::string text;    // lists: elements joined by commas
  std::string source;  // for people
  Form form = Form::kText;
  bool typed = false;  // from the file, where `form` must fit the key; elsewhere everything is text
};

// Each appends to *values and *problems.
void ReadTomlValues(const std::string& file_name, const std::string& text, std::vector<RawValue>* values,
                    std::vector<std::string>* problems);
void ReadEnvironmentValues(const std::vector<std::pair<std::string, std::string>>& environment,
                           std::vector<RawValue>* values);
void ReadFlagValues(const std::vector<std::string>& flags, std::vector<RawValue>* values,
                    std::vector<std::string>* problems);

}  // namespace quipu::server
