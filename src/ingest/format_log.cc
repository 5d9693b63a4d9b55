// Common and combined log format: host ident user [time] "request" status bytes ["referer" "agent" ...].
#include <array>

#include "ingest/format.h"

namespace quipu::ingest {
namespace {

enum Field : size_t {
  kHost,
  kIdent,
  kUser,
  kTime,
  kRequest,
  kMethod,
  kTarget,  // path and query as they stand
  kPath,
  kQuery,
  kProtocol,
  kStatus,
  kBytes,
  kReferer,
  kAgent,
  kFields,
};
constexpr std::array<std::string_view, kFields> kNames = {"host",   "ident",  "user",    "time",  "request",
                                                          "method", "target", "path",    "query", "protocol",
                                                          "status", "bytes",  "referer", "agent"};

// Takes pieces from the front of a line.
struct Cursor {
  std::string_view rest;

  // Up to the separator, which is taken too.
  bool Until(std::string_view separator, std::string_view* value) {
    const size_t at = separator.size() == 1 ? rest.find(separator[0]) : rest.find(separator);
    if (at == std::string_view::npos) return false;
    *value = rest.substr(0, at);
    rest.remove_prefix(at + separator.size());
    return true;
  }
  // A quoted text, in which a backslash covers the next character; as it stands, without the quotes.
  bool Quoted(std::string_view* value) {
    if (!rest.starts_with('"')) return false;
    for (size_t at = 1; (at = rest.find('"', at)) != std::string_view::npos; ++at) {
      size_t slashes = 0;
      while (rest[at - 1 - slashes] == '\\') ++slashes;
      if (slashes % 2 != 0) continue;
      *value = rest.substr(1, at - 1);
      rest.remove_prefix(at + 1);
      return true;
    }
    return false;
  }
  // Up to the next blank or the end of the line.
  std::string_view Word() {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    return word;
  }
};

class LogFormat final : public Format {
 public:
  Status Bind(std::span<const std::string> columns) override {
    bound_.clear();
    for (const std::string& column : columns) {
      const auto known = std::find(kNames.begin(), kNames.end(), column);
      if (known == kNames.end()) {
        std::string all;
        for (const std::string_view name : kNames) all += fmt::format("{}{}", all.empty() ? "" : ", ", name);
        return Status(Code::kInvalidArgument, fmt::format("format clf has no column `{}`; it has: {}", column, all));
      }
      const auto field = static_cast<size_t>(known - kNames.begin());
      bound_.push_back(field);
      needs_request_parts_ |= field >= kMethod && field <= kProtocol;
      needs_size_ |= field >= kStatus;
      needs_tail_ |= field >= kReferer;
    }
    return OkStatus();
  }

  const char* Split(std::string_view record, std::span<std::string_view> values) override {
    std::array<std::string_view, kFields> f;
    Cursor c{record};
    if (!c.Until(" ", &f[kHost]) || !c.Until(" ", &f[kIdent]) || !c.Until(" [", &f[kUser]) ||
        !c.Until("] ", &f[kTime]) || !c.Quoted(&f[kRequest])) {
      return "not the common log format: host ident user [time] \"request\" status bytes";
    }
    if (needs_request_parts_ && !SplitRequest(&f)) return "its request is not `METHOD PATH PROTOCOL`";
    if (needs_size_ && !SplitSize(&c, &f)) return "no status and size after the request";
    if (needs_tail_ && (!c.Quoted(&f[kReferer]) || !c.rest.starts_with(' '))) return "no quoted referer";
    if (needs_tail_) {
      c.rest.remove_prefix(1);
      if (!c.Quoted(&f[kAgent])) return "no quoted user agent";
    }
    for (size_t i = 0; i < bound_.size(); ++i) values[i] = f[bound_[i]];
    return nullptr;
  }

 private:
  static bool SplitRequest(std::array<std::string_view, kFields>* f) {
    Cursor c{(*f)[kRequest]};
    (*f)[kMethod] = c.Word();
    (*f)[kTarget] = c.Word();
    (*f)[kProtocol] = c.rest;  // HTTP/0.9 requests have none
    if ((*f)[kMethod].empty() || (*f)[kTarget].empty() || c.rest.find(' ') != std::string_view::npos) return false;
    const size_t mark = (*f)[kTarget].find('?');
    (*f)[kPath] = (*f)[kTarget].substr(0, mark);
    if (mark != std::string_view::npos) (*f)[kQuery] = (*f)[kTarget].substr(mark + 1);
    return true;
  }
  static bool SplitSize(Cursor* c, std::array<std::string_view, kFields>* f) {
    if (!c->rest.starts_with(' ')) return false;
    c->rest.remove_prefix(1);
    (*f)[kStatus] = c->Word();
    (*f)[kBytes] = c->Word();
    if ((*f)[kBytes] == "-") (*f)[kBytes] = "0";  // how the format writes that nothing was sent
    return !(*f)[kStatus].empty() && !(*f)[kBytes].empty();
  }

  std::vector<size_t> bound_;
  bool needs_request_parts_ = false, needs_size_ = false, needs_tail_ = false;
};

}  // namespace

std::unique_ptr<Format> MakeLogFormat() { return std::make_unique<LogFormat>(); }

}  // namespace quipu::ingest
