// CSV by RFC 4180 (quotes, quoted line ends, doubled quotes) and TSV, both with a header line.
#include <charconv>

#include "ingest/format.h"

namespace quipu::ingest {
namespace {

constexpr size_t kNotBound = ~size_t{0};

class DelimitedFormat final : public Format {
 public:
  explicit DelimitedFormat(char separator) : separator_(separator), quotes_(separator == ',') {}

  bool has_header() const override { return true; }

  Status ReadHeader(std::string_view record) override {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (record.starts_with(kByteOrderMark)) record.remove_prefix(kByteOrderMark.size());
    names_.clear();
    const char* const problem = ForEachField(record, [this](size_t, std::string_view value) {
      names_.emplace_back(value);
      return true;
    });
    if (problem != nullptr) return Status(Code::kInvalidArgument, fmt::format("the header line: {}", problem));
    return OkStatus();
  }

  Status Bind(std::span<const std::string> columns) override {
    bound_.assign(names_.size(), {});
    for (size_t i = 0; i < columns.size(); ++i) {
      const size_t at = FindColumn(columns[i]);
      if (at == kNotBound) return NoColumn(columns[i]);
      bound_[at].push_back(i);
    }
    return OkStatus();
  }

  size_t RecordSize(std::string_view bytes) const override {
    const size_t line = Format::RecordSize(bytes);
    if (!quotes_ || line == kIncomplete || std::memchr(bytes.data(), '"', line) == nullptr) return line;
    enum { kStart, kPlain, kQuoted, kQuoteSeen } state = kStart;
    const size_t end = std::min(bytes.size(), kQuotedRecordBytesMax);
    for (size_t i = 0; i < end; ++i) {
      const char c = bytes[i];
      if (state == kQuoted) {
        if (c == '"') state = kQuoteSeen;
      } else if (c == '\n') {
        return i + 1;
      } else if (c == '"' && state != kPlain) {
        state = kQuoted;  // at a field's start, or doubled
      } else {
        state = c == separator_ ? kStart : kPlain;
      }
    }
    return end == kQuotedRecordBytesMax ? line : kIncomplete;
  }

  const char* Split(std::string_view record, std::span<std::string_view> values) override {
    size_t fields = 0;
    const char* const problem = ForEachField(record, [&](size_t index, std::string_view value) {
      fields = index + 1;
      if (index >= bound_.size()) return false;
      for (const size_t slot : bound_[index]) values[slot] = value;
      return true;
    });
    if (problem != nullptr) return problem;
    return fields == names_.size() ? nullptr : "it has not as many columns as the header";
  }

 private:
  // Calls visit(index, value) until it returns false. Null, or what is wrong.
  template <class Visit>
  const char* ForEachField(std::string_view record, Visit visit) {
    scratch_.resize(record.size());
    scratch_used_ = 0;
    for (size_t index = 0;; ++index) {
      std::string_view value;
      if (quotes_ && record.starts_with('"')) {
        if (const char* problem = TakeQuoted(&record, &value)) return problem;
      } else {
        const size_t end = std::min(record.find(separator_), record.size());
        value = record.substr(0, end);
        record.remove_prefix(end);
      }
      if (!visit(index, value)) return nullptr;
      if (record.empty()) return nullptr;
      record.remove_prefix(1);  // the separator
    }
  }

  const char* TakeQuoted(std::string_view* record, std::string_view* value) {
    std::string_view rest = record->substr(1);
    char* const begin = scratch_.data() + scratch_used_;
    char* out = begin;
    for (;;) {
      const size_t quote = rest.find('"');
      if (quote == std::string_view::npos) return "a quote that does not close";
      const std::string_view piece = rest.substr(0, quote);
      rest.remove_prefix(quote + 1);
      const bool doubled = rest.starts_with('"');
      if (!doubled && out == begin) {
        *value = piece;  // the common case: no doubled quote, no copy
      } else {
        std::memcpy(out, piece.data(), piece.size());
        out += piece.size();
        if (doubled) *out++ = '"';
        *value = {begin, static_cast<size_t>(out - begin)};
      }
      if (!doubled) break;
      rest.remove_prefix(1);
    }
    scratch_used_ = static_cast<size_t>(out - scratch_.data());
    if (!rest.empty() && rest.front() != separator_) return "text after a closing quote";
    *record = rest;
    return nullptr;
  }

  // By name, else by number from 1.
  size_t FindColumn(const std::string& column) const {
    const auto named = std::find(names_.begin(), names_.end(), column);
    if (named != names_.end()) return static_cast<size_t>(named - names_.begin());
    size_t number = 0;
    const auto [end, error] = std::from_chars(column.data(), column.data() + column.size(), number);
    const bool is_number = error == std::errc() && end == column.data() + column.size();
    return is_number && number >= 1 && number <= names_.size() ? number - 1 : kNotBound;
  }

  Status NoColumn(const std::string& column) const {
    std::string all;
    for (const std::string& name : names_) all += fmt::format("{}{}", all.empty() ? "" : ", ", name);
    return Status(Code::kInvalidArgument,
                  fmt::format("the header has no column `{}`; it has: {} (or 1 to {})", column, all, names_.size()));
  }

  const char separator_;
  const bool quotes_;
  std::vector<std::string> names_;
  std::vector<std::vector<size_t>> bound_;  // by column of the file: the values it goes to
  std::string scratch_;                     // fields with doubled quotes, undoubled
  size_t scratch_used_ = 0;
};

}  // namespace

std::unique_ptr<Format> MakeDelimitedFormat(char separator) { return std::make_unique<DelimitedFormat>(separator); }

}  // namespace quipu::ingest
