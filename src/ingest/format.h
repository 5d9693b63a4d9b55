// How a file is cut into records and a record into columns. One class per format; all of them work on bytes in place
// and allocate nothing per record.
//
// Use       ReadHeader (where has_header()), then Bind once, then Split for each record.
// Memory    Split's values point into the record or into the format's own scratch, until the next Split.
// Errors    Bind: kInvalidArgument, listing the columns there are. Split: a constant text that says what is wrong.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quipu::ingest {

// What RecordSize answers when more bytes are needed.
inline constexpr size_t kIncomplete = 0;

class Format {
 public:
  // clf, csv, tsv, ndjson, lines.
  static Result<std::unique_ptr<Format>> Make(std::string_view name);

  virtual bool has_header() const { return false; }
  virtual Status ReadHeader(std::string_view /*record*/) { return OkStatus(); }
  // Chooses the columns that Split delivers; at most kColumnsMax of them, all different.
  virtual Status Bind(std::span<const std::string> columns) = 0;
  // Bytes of the first record in `bytes`, its line end included, or kIncomplete.
  virtual size_t RecordSize(std::string_view bytes) const;
  // Fills values[i] for the i-th bound column from a record without its line end. Null, or why the record is refused.
  virtual const char* Split(std::string_view record, std::span<std::string_view> values) = 0;
  virtual ~Format() = default;
};

inline constexpr size_t kColumnsMax = 32;
// A quoted CSV field that does not close within so many bytes is taken as an error of its first line.
inline constexpr size_t kQuotedRecordBytesMax = 1u << 20;

// The record without LF or CR LF.
std::string_view WithoutLineEnd(std::string_view record);

std::unique_ptr<Format> MakeLogFormat();                      // common and combined log format
std::unique_ptr<Format> MakeDelimitedFormat(char separator);  // ',' with quotes by RFC 4180; '\t' without
std::unique_ptr<Format> MakeJsonFormat();                     // one object a line
std::unique_ptr<Format> MakeLineFormat();

}  // namespace quipu::ingest
