// Any bytes through every format: first byte chooses it, the rest is the content. Records must cover the content
// without gaps, and whatever is accepted must be inside the record or the format's own memory.
#include "base/assert.h"
#include "ingest/record_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quipu::ingest::ImportSpec;
  if (size == 0) return 0;
  const ImportSpec specs[] = {
      {.ns = "", .format = "clf", .key = "{host}{path}{agent}", .delta = "bytes", .time = "time", .time_format = ""},
      {.ns = "", .format = "csv", .key = "{1}", .delta = "", .time = "", .time_format = ""},
      {.ns = "", .format = "tsv", .key = "{1}", .delta = "1", .time = "1", .time_format = "%d/%m/%Y %I:%M %p"},
      {.ns = "", .format = "ndjson", .key = "{a.b}", .delta = "n", .time = "t", .time_format = ""},
      {.ns = "", .format = "lines", .key = "x{line}", .delta = "", .time = "", .time_format = ""},
  };
  auto parser = quipu::ingest::RecordParser::Make(specs[data[0] % std::size(specs)]);
  std::string_view content(reinterpret_cast<const char*>(data) + 1, size - 1);
  quipu::ingest::Aggregator sums;
  bool first = parser.value()->format().has_header();
  while (!content.empty()) {
    const size_t n = parser.value()->format().RecordSize(content);
    QUIPU_ASSERT(n <= content.size(), "{} of {} bytes", n, content.size());
    if (n == quipu::ingest::kIncomplete) break;
    QUIPU_ASSERT(content[n - 1] == '\n', "a record that does not end in a line end");
    const std::string_view record = quipu::ingest::WithoutLineEnd(content.substr(0, n));
    if (!first)
      parser.value()->Parse(record, &sums);
    else if (!parser.value()->Begin(record).ok())
      break;
    first = false;
    content.remove_prefix(n);
  }
  return 0;
}
