// From records to adds: format, template, delta and time put together. Knows nothing of sources or servers.
//
// Errors    Make: kInvalidArgument for options that do not hold. Per record a reason, never a stop.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ingest/aggregator.h"
#include "ingest/event_time.h"
#include "ingest/format.h"
#include "ingest/key_template.h"

namespace quipu::ingest {

// What to count, and how: part of a source's identity, since the same file counted another way is another source.
struct ImportSpec {
  std::string ns;  // empty: the connection's own
  std::string format;
  std::string key;
  std::string delta;  // a column; empty: every record adds 1
  std::string time;   // a column; empty: the time of the import
  std::string time_format;
  std::string source;  // what tells logs apart that may begin alike
};
std::string SpecificationText(const ImportSpec& spec);

class RecordParser {
 public:
  static Result<std::unique_ptr<RecordParser>> Make(const ImportSpec& spec);

  Format& format() { return *format_; }
  // Takes the header (empty where the format has none) and finds the columns in it.
  Status Begin(std::string_view header_record);

  // Adds one record, without its line end, to the sums. Null, or why it is refused. kSumsFull, which no record alone
  // can cause, is no refusal: it belongs into the next sums.
  static const char* const kSumsFull;
  const char* Parse(std::string_view record, Aggregator* sums);

 private:
  RecordParser(std::unique_ptr<Format> format, KeyTemplate key, EventTimeParser time)
      : format_(std::move(format)), key_(std::move(key)), time_(std::move(time)) {}

  std::unique_ptr<Format> format_;
  KeyTemplate key_;
  EventTimeParser time_;
  std::vector<std::string> columns_;  // those of the key, then delta and time if they are others
  size_t delta_column_ = 0, time_column_ = 0;
  bool has_delta_ = false, has_time_ = false;
  std::vector<std::string_view> values_;
  std::string scratch_;
};

}  // namespace quipu::ingest
