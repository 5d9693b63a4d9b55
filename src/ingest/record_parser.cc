#include "ingest/record_parser.h"

#include <charconv>

#include "model/ids.h"

namespace quipu::ingest {
namespace {

size_t ColumnNumber(std::vector<std::string>* columns, const std::string& column) {
  const auto known = std::find(columns->begin(), columns->end(), column);
  const auto number = static_cast<size_t>(known - columns->begin());
  if (known == columns->end()) columns->push_back(column);
  return number;
}

int64_t MinuteOf(int64_t ms) {
  const int64_t rest = ms % kMinuteMs;
  return ms - rest - (rest < 0 ? kMinuteMs : 0);
}

}  // namespace

std::string SpecificationText(const ImportSpec& spec) {
  std::string out;
  for (const std::string* part :
       {&spec.ns, &spec.format, &spec.key, &spec.delta, &spec.time, &spec.time_format, &spec.source}) {
    out += fmt::format("{}:{}\n", part->size(), *part);
  }
  return out;
}

const char* const RecordParser::kSumsFull = "the sums are full";

Result<std::unique_ptr<RecordParser>> RecordParser::Make(const ImportSpec& spec) {
  QUIPU_ASSIGN_OR_RETURN(std::unique_ptr<Format> format, Format::Make(spec.format));
  QUIPU_ASSIGN_OR_RETURN(KeyTemplate key, KeyTemplate::Parse(spec.key));
  QUIPU_ASSIGN_OR_RETURN(EventTimeParser time, EventTimeParser::Make(spec.time_format));
  if (!spec.time_format.empty() && spec.time.empty()) {
    return Status(Code::kInvalidArgument, "--time-format without --time");
  }
  std::unique_ptr<RecordParser> p(new RecordParser(std::move(format), std::move(key), std::move(time)));
  p->columns_ = p->key_.columns();
  p->has_delta_ = !spec.delta.empty();
  p->has_time_ = !spec.time.empty();
  if (p->has_delta_) p->delta_column_ = ColumnNumber(&p->columns_, spec.delta);
  if (p->has_time_) p->time_column_ = ColumnNumber(&p->columns_, spec.time);
  if (p->columns_.size() > kColumnsMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("the options name {} columns, at most {}", p->columns_.size(), kColumnsMax));
  }
  p->values_.resize(p->columns_.size());
  // Formats without a header know their columns now: a wrong name is found before a file is opened.
  if (!p->format_->has_header()) QUIPU_RETURN_IF_ERROR(p->Begin({}));
  return p;
}

Status RecordParser::Begin(std::string_view header_record) {
  QUIPU_RETURN_IF_ERROR(format_->ReadHeader(header_record));
  return format_->Bind(columns_);
}

const char* RecordParser::Parse(std::string_view record, Aggregator* sums) {
  if (const char* problem = format_->Split(record, values_)) return problem;
  int64_t delta = 1;
  if (has_delta_) {
    std::string_view text = values_[delta_column_];
    if (text.starts_with('+')) text.remove_prefix(1);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), delta);
    if (error == std::errc::result_out_of_range) return "its delta is outside 64 bits";
    if (error != std::errc() || end != text.data() + text.size()) return "its delta is not an integer";
  }
  int64_t minute = kNoEventTime;
  if (has_time_) {
    const std::optional<int64_t> ms = time_.ParseMs(values_[time_column_]);
    if (!ms) return "its time cannot be read";
    if (*ms < 0 || *ms > kEventMsMax) return "its time is outside what an import takes, 1970-01-01 to 2112-09-17 (UTC)";
    minute = MinuteOf(*ms);
  }
  switch (sums->Add(key_.Build(values_, &scratch_), minute, delta)) {
    case Aggregator::Added::kYes:
      return nullptr;
    case Aggregator::Added::kBadName:
      return "its counter name is not 1 to 1024 bytes of UTF-8 without control characters";
    case Aggregator::Added::kOverflow:
      return kSumsFull;
  }
  return nullptr;
}

}  // namespace quipu::ingest
