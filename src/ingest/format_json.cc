// NDJSON: one object a line; columns are dotted paths into it. The scanner walks a line once, looks into objects only
// where a path leads, and copies only strings that hold escapes.
#include <array>

#include "ingest/format.h"

namespace quipu::ingest {
namespace {

constexpr int kDepthMax = 64;
constexpr const char* kBadJson = "not a JSON object";

using ColumnSet = uint32_t;  // bit i: column i
static_assert(kColumnsMax <= 32, "a ColumnSet has one bit a column");

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class JsonFormat final : public Format {
 public:
  Status Bind(std::span<const std::string> columns) override {
    paths_.clear();
    for (const std::string& column : columns) {
      std::vector<std::string> path;
      std::string_view rest = column;
      for (size_t dot; (dot = rest.find('.')) != std::string_view::npos; rest.remove_prefix(dot + 1)) {
        path.emplace_back(rest.substr(0, dot));
      }
      path.emplace_back(rest);
      if (std::find(path.begin(), path.end(), "") != path.end()) {
        return Status(Code::kInvalidArgument, fmt::format("`{}` is no path such as user.name", column));
      }
      paths_.push_back(std::move(path));
    }
    return OkStatus();
  }

  const char* Split(std::string_view record, std::span<std::string_view> values) override {
    scratch_.resize(record.size());
    scratch_used_ = 0;
    at_ = record.data();
    end_ = at_ + record.size();
    values_ = values;
    seen_ = 0;
    problem_ = nullptr;
    const auto all = static_cast<ColumnSet>((uint64_t{1} << paths_.size()) - 1);
    SkipBlanks();
    if (!Object(all, 0)) return problem_ != nullptr ? problem_ : kBadJson;
    SkipBlanks();
    if (at_ != end_) return "text after the JSON object";
    return seen_ == all ? nullptr : "a field that is asked for is missing or null";
  }

 private:
  void SkipBlanks() {
    while (at_ != end_ && IsBlank(*at_)) ++at_;
  }
  bool Take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool Refuse(const char* why) {
    problem_ = why;
    return false;
  }

  // `active`: the columns whose first `depth` steps lead here.
  bool Object(ColumnSet active, int depth) {
    if (depth > kDepthMax) return Refuse("nested more than 64 deep");
    if (!Take('{')) return false;
    SkipBlanks();
    if (Take('}')) return true;
    do {
      SkipBlanks();
      std::string_view key;
      if (!String(active != 0, &key)) return false;
      SkipBlanks();
      if (!Take(':')) return false;
      SkipBlanks();
      if (!Value(Matching(active, depth, key), depth)) return false;
      SkipBlanks();
    } while (Take(','));
    return Take('}');
  }

  ColumnSet Matching(ColumnSet active, int depth, std::string_view key) const {
    ColumnSet matching = 0;
    for (ColumnSet left = active; left != 0; left &= left - 1) {
      const auto column = static_cast<size_t>(__builtin_ctz(left));
      if (paths_[column][static_cast<size_t>(depth)] == key) matching |= ColumnSet{1} << column;
    }
    return matching;
  }

  bool Value(ColumnSet matching, int depth) {
    ColumnSet ends = 0;
    for (ColumnSet left = matching; left != 0; left &= left - 1) {
      const auto column = static_cast<size_t>(__builtin_ctz(left));
      if (paths_[column].size() == static_cast<size_t>(depth) + 1) ends |= ColumnSet{1} << column;
    }
    if (at_ == end_) return false;
    if (*at_ == '{') {
      if (ends != 0) return Refuse("a field that is asked for is an object");
      return Object(matching, depth + 1);
    }
    if (*at_ == '[') {
      if (ends != 0) return Refuse("a field that is asked for is a list");
      return Array(depth + 1);
    }
    std::string_view text;
    const bool is_string = *at_ == '"';
    if (is_string ? !String(ends != 0, &text) : !Scalar(&text)) return false;
    if (ends == 0 || (!is_string && text == "null")) return true;
    if ((seen_ & ends) != 0) return Refuse("a field that is asked for stands twice");
    seen_ |= ends;
    for (ColumnSet left = ends; left != 0; left &= left - 1) values_[static_cast<size_t>(__builtin_ctz(left))] = text;
    return true;
  }

  bool Array(int depth) {
    if (depth > kDepthMax) return Refuse("nested more than 64 deep");
    Take('[');
    SkipBlanks();
    if (Take(']')) return true;
    do {
      SkipBlanks();
      if (!Value(0, depth)) return false;
      SkipBlanks();
    } while (Take(','));
    return Take(']');
  }

  bool Scalar(std::string_view* text) {
    const char* const begin = at_;
    while (at_ != end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' && !IsBlank(*at_)) ++at_;
    *text = {begin, static_cast<size_t>(at_ - begin)};
    if (*text == "true" || *text == "false" || *text == "null") return true;
    const char first = text->empty() ? '\0' : (*text)[text->front() == '-' && text->size() > 1 ? 1 : 0];
    return first >= '0' && first <= '9' && text->find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  }

  // Steps over a string; delivers its text only if `wanted`.
  bool String(bool wanted, std::string_view* text) {
    if (!Take('"')) return false;
    const char* const begin = at_;
    bool escaped = false;
    for (;;) {
      const auto* quote = static_cast<const char*>(std::memchr(at_, '"', static_cast<size_t>(end_ - at_)));
      if (quote == nullptr) return false;
      size_t slashes = 0;
      while (quote - slashes > begin && *(quote - slashes - 1) == '\\') ++slashes;
      at_ = quote + 1;
      escaped |= slashes != 0;
      if (slashes % 2 == 0) break;
    }
    *text = {begin, static_cast<size_t>(at_ - 1 - begin)};
    if (!wanted || (!escaped && text->find('\\') == std::string_view::npos)) return true;
    return Unescape(text);
  }

  bool Unescape(std::string_view* text) {
    char* const begin = scratch_.data() + scratch_used_;
    char* out = begin;
    for (const char* p = text->data(); p != text->data() + text->size(); ++p) {
      if (*p != '\\') {
        *out++ = *p;
        continue;
      }
      constexpr std::string_view kLetters = "\"\\/bfnrt";
      constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
      const size_t letter = kLetters.find(*++p);
      if (letter != std::string_view::npos) {
        *out++ = kMeanings[letter];
      } else if (*p != 'u' || !UnescapeUnicode(&p, text->data() + text->size(), &out)) {
        return Refuse("a string with a bad escape");
      }
    }
    scratch_used_ = static_cast<size_t>(out - scratch_.data());
    *text = {begin, static_cast<size_t>(out - begin)};
    return true;
  }

  // *p stands on the `u`; afterwards on the last digit.
  static bool UnescapeUnicode(const char** p, const char* end, char** out) {
    uint32_t c = 0, low = 0;
    if (!FourDigits(*p + 1, end, &c)) return false;
    *p += 4;
    if (c >= 0xDC00 && c < 0xE000) return false;
    if (c >= 0xD800 && c < 0xDC00) {
      if (end - *p < 7 || (*p)[1] != '\\' || (*p)[2] != 'u' || !FourDigits(*p + 3, end, &low)) return false;
      if (low < 0xDC00 || low >= 0xE000) return false;
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      *p += 6;
    }
    const auto put = [out](uint32_t byte) { *(*out)++ = static_cast<char>(byte); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | c >> 6);
      put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | c >> 12);
      put(0x80 | (c >> 6 & 0x3F));
      put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
      put(0x80 | (c >> 6 & 0x3F));
      put(0x80 | (c & 0x3F));
    }
    return true;
  }

  static bool FourDigits(const char* p, const char* end, uint32_t* value) {
    if (end - p < 4) return false;
    for (int i = 0; i < 4; ++i) {
      const char c = p[i];
      const bool digit = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
      if (!digit && !lower && !upper) return false;
      *value = *value << 4 | static_cast<uint32_t>(digit ? c - '0' : lower ? c - 'a' + 10 : c - 'A' + 10);
    }
    return true;
  }

  std::vector<std::vector<std::string>> paths_;  // by column
  std::string scratch_;                          // unescaped strings of the record
  size_t scratch_used_ = 0;
  // ---- of the record under way
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::span<std::string_view> values_;
  ColumnSet seen_ = 0;
  const char* problem_ = nullptr;
};

}  // namespace

std::unique_ptr<Format> MakeJsonFormat() { return std::make_unique<JsonFormat>(); }

}  // namespace quipu::ingest
