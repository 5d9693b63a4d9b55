#include <array>

#include "gateway/resp/command_table.h"

namespace quipu::resp {
namespace {

constexpr std::string_view kEllipsis = "...";

bool IsToken(std::string_view word) { return !word.empty() && word[0] >= 'A' && word[0] <= 'Z'; }

std::string Lower(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

std::string_view TypeOf(std::string_view name) {
  static constexpr std::array kIntegers = {"increment", "decrement", "delta",       "seconds",  "milliseconds",
                                           "count",     "index",     "min",         "max",      "cursor",
                                           "timeout",   "numlocal",  "numreplicas", "protover", "client-id",
                                           "position",  "version",   "from",        "to"};
  if (name == "key") return "key";
  if (name.starts_with("unix-time")) return "unix-time";
  if (name == "pattern") return "pattern";
  for (std::string_view integer : kIntegers) {
    if (name == integer) return "integer";
  }
  return "string";
}

// Words of one alternative: `TOKEN`, `name`, `TOKEN name` or `name name...`.
std::vector<ArgumentDoc> ParseWords(std::string_view words) {
  std::vector<ArgumentDoc> docs;
  std::string token;
  while (!words.empty()) {
    size_t end = words.find(' ');
    std::string_view word = words.substr(0, end);
    words = end == std::string_view::npos ? "" : words.substr(end + 1);
    bool multiple = word.ends_with(kEllipsis);
    if (multiple) word.remove_suffix(kEllipsis.size());
    if (IsToken(word)) {
      if (!token.empty()) docs.push_back({.name = Lower(token), .type = "pure-token", .token = token});
      token = word;
      continue;
    }
    docs.push_back({.name = std::string(word), .type = TypeOf(word), .token = token, .multiple = multiple});
    token.clear();
  }
  if (!token.empty()) docs.push_back({.name = Lower(token), .type = "pure-token", .token = token});
  return docs;
}

ArgumentDoc Wrap(std::vector<ArgumentDoc> docs) {
  if (docs.size() == 1) return docs[0];
  bool multiple = docs.back().multiple;
  docs.back().multiple = false;
  return {.name = "data", .type = "block", .multiple = multiple, .parts = std::move(docs)};
}

ArgumentDoc ParseGroup(std::string_view group) {
  std::vector<ArgumentDoc> alternatives;
  for (;;) {
    size_t bar = group.find('|');
    alternatives.push_back(Wrap(ParseWords(group.substr(0, bar))));
    if (bar == std::string_view::npos) break;
    group.remove_prefix(bar + 1);
  }
  if (alternatives.size() == 1) return alternatives[0];
  return {.name = "condition", .type = "oneof", .parts = std::move(alternatives)};
}

}  // namespace

std::vector<ArgumentDoc> ParseSynopsis(std::string_view synopsis) {
  std::vector<ArgumentDoc> docs;
  while (!synopsis.empty()) {
    if (synopsis[0] == ' ') {
      synopsis.remove_prefix(1);
    } else if (synopsis[0] == '[') {
      size_t end = synopsis.find(']');
      docs.push_back(ParseGroup(synopsis.substr(1, end - 1)));
      docs.back().optional = true;
      synopsis.remove_prefix(end + 1);
    } else {
      size_t end = std::min(synopsis.find(" ["), synopsis.size());
      std::string_view plain = synopsis.substr(0, end);
      if (plain.find('|') != std::string_view::npos) {
        docs.push_back(ParseGroup(plain));
      } else {
        std::vector<ArgumentDoc> words = ParseWords(plain);
        // `key value...` repeats the pair, `key field...` only the field; a pair repeats when its last word is a
        // value.
        size_t n = words.size();
        if (n >= 2 && words[n - 1].multiple && words[n - 1].name == "value") {
          std::vector<ArgumentDoc> pair(words.end() - 2, words.end());
          words.resize(n - 2);
          words.push_back(Wrap(std::move(pair)));
        }
        docs.insert(docs.end(), words.begin(), words.end());
      }
      synopsis.remove_prefix(end);
    }
  }
  return docs;
}

}  // namespace quipu::resp
