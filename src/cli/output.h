// Results on standard output, as the user asked for them: a table for people, JSON or CSV for programs. Everything that
// is not the result goes to standard error through Say and Complain.
//
// Values of counters leave JSON as decimal strings, because they have 64 bits and JavaScript's numbers 53.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quipu::cli {

enum class OutputFormat : uint8_t { kTable, kJson, kCsv };
Result<OutputFormat> ParseOutputFormat(std::string_view text);

enum class ColumnKind : uint8_t {
  kText,
  kCount,   // a counter's value: right-aligned; a string in JSON
  kNumber,  // a measure: right-aligned; a number in JSON
  kFlag,    // "true" or "false"
  kTime,    // RFC 3339; empty is null in JSON
};
struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::kText;
};

// The rows as text in the format. JSON is one array of objects, CSV has a header line (RFC 4180, LF), a table has none
// of its own decoration but aligned columns under a header.
std::string RenderRows(OutputFormat format, std::span<const Column> columns,
                       std::span<const std::vector<std::string>> rows);
// One row: JSON is one object; a table is "name  value" lines.
std::string RenderRecord(OutputFormat format, std::span<const Column> columns, const std::vector<std::string>& row);

std::string JsonString(std::string_view text);
std::string CsvField(std::string_view text);
// As it is if printable; otherwise with \xNN escapes, so that a name cannot drive the terminal.
std::string Printable(std::string_view text);

void Print(std::string_view text);        // to standard output, as it is
void Say(std::string_view line);          // to standard error
int Fail(const Status& status);           // "quipu: CODE: message"; the exit code
int FailUsage(std::string_view message);  // the same for a mistake in the call itself

}  // namespace quipu::cli
