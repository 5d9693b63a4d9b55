#include "model/flat_json.h"

#include <fmt/core.h>

#include <boost/json/basic_parser_impl.hpp>

#include "base/suggest.h"
#include "model/text.h"

namespace quipu {
namespace {

namespace json = boost::json;

constexpr size_t kJsonBytesMax = 64 * 1024;
constexpr size_t kShownKeyBytesMax = 64;

// Keys come from outside: in a message only what is short and printable.
std::string Shown(std::string_view key) {
  if (key.size() <= kShownKeyBytesMax && IsPrintableUtf8(key)) return std::string(key);
  return fmt::format("(of {} bytes)", key.size());
}

// Receives the parser's events; the first complaint of its own stays in `problem` and stops the parser.
struct Handler {
  static constexpr size_t max_array_size = SIZE_MAX;
  static constexpr size_t max_object_size = SIZE_MAX;
  static constexpr size_t max_string_size = SIZE_MAX;
  static constexpr size_t max_key_size = SIZE_MAX;

  FlatJson out;
  std::string problem;
  std::string text;  // of the string or key so far
  bool inside = false;

  bool Stop(json::error_code& ec, std::string why) {
    problem = std::move(why);
    ec = json::error::exception;
    return false;
  }
  template <class T>
  bool Put(T value, json::error_code& ec) {
    if (!inside) return Stop(ec, "is not a JSON object");
    out.fields.back().value = std::move(value);
    return true;
  }
  bool Nested(json::error_code& ec, std::string_view type) {
    if (!inside) return Stop(ec, "is not a JSON object");
    return Stop(ec, fmt::format("{} is {}, must be a plain value", Shown(out.fields.back().key), type));
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& ec) {
    if (inside) return Nested(ec, "an object");
    inside = true;
    return true;
  }
  bool on_object_end(size_t, json::error_code&) { return true; }
  bool on_array_begin(json::error_code& ec) { return Nested(ec, "an array"); }
  bool on_array_end(size_t, json::error_code&) { return true; }
  bool on_key_part(json::string_view s, size_t, json::error_code&) {
    text.append(s.data(), s.size());
    return true;
  }
  bool on_key(json::string_view s, size_t, json::error_code& ec) {
    text.append(s.data(), s.size());
    for (const auto& field : out.fields) {
      if (field.key == text) return Stop(ec, fmt::format("the key {} is there twice", Shown(text)));
    }
    out.fields.push_back({.key = std::move(text), .value = FlatJson::Null{}});
    text.clear();
    return true;
  }
  bool on_string_part(json::string_view s, size_t, json::error_code&) {
    text.append(s.data(), s.size());
    return true;
  }
  bool on_string(json::string_view s, size_t, json::error_code& ec) {
    text.append(s.data(), s.size());
    return Put(std::exchange(text, {}), ec);
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(int64_t i, json::string_view, json::error_code& ec) { return Put(i, ec); }
  bool on_uint64(uint64_t, json::string_view, json::error_code& ec) {
    if (!inside) return Stop(ec, "is not a JSON object");
    return Stop(ec, fmt::format("{} is out of range [-2^63, 2^63-1]", Shown(out.fields.back().key)));
  }
  bool on_double(double d, json::string_view, json::error_code& ec) { return Put(d, ec); }
  bool on_bool(bool b, json::error_code& ec) { return Put(b, ec); }
  bool on_null(json::error_code& ec) { return Put(FlatJson::Null{}, ec); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }
};

}  // namespace

std::string_view FlatJson::Field::TypeName() const {
  constexpr std::string_view kNames[] = {"null", "a boolean", "a whole number", "a number", "a string"};
  return kNames[value.index()];
}

Result<FlatJson> FlatJson::Parse(std::string_view what, std::string_view json) {
  if (json.size() > kJsonBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("{} has {} bytes, allowed are {}", what, json.size(), kJsonBytesMax));
  }
  json::basic_parser<Handler> parser{json::parse_options()};
  json::error_code error;
  size_t read = parser.write_some(false, json.data(), json.size(), error);
  Handler& handler = parser.handler();
  if (!handler.problem.empty()) return Status(Code::kInvalidArgument, fmt::format("{}: {}", what, handler.problem));
  if (error || read < json.size()) {
    return Status(Code::kInvalidArgument, fmt::format("{}: no JSON from byte {} on{}{}", what, read, error ? ": " : "",
                                                      error ? error.message() : ""));
  }
  return std::move(handler.out);
}

Status UnknownKey(std::string_view what, std::string_view key, std::span<const std::string_view> known) {
  std::string_view nearest = NearestWord(key, known);
  std::string hint = nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
  return Status(Code::kInvalidArgument, fmt::format("{}: unknown key {}{}", what, Shown(key), hint));
}

}  // namespace quipu
