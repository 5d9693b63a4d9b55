// Any text as a specification of what to count: the first line is the key's template, the second a form of times, the
// third a column for the amount; each line after it a time and a record of columns. Refused, or used without a byte
// read beyond the end.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "ingest/record_parser.h"

namespace quipu::ingest {
namespace {

std::string_view TakeLine(std::string_view* rest) {
  const size_t end = std::min(rest->find('\n'), rest->size());
  const std::string_view line = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return line;
}

void Run(std::string_view input) {
  const std::string key(TakeLine(&input)), time_format(TakeLine(&input)), delta(TakeLine(&input));
  if (auto time = EventTimeParser::Make(time_format); time.ok()) {
    for (std::string_view rest = input; !rest.empty();) {
      const std::string_view text = TakeLine(&rest);
      QUIPU_ASSERT(time->ParseMs(text) == time->ParseMs(text), "a time of {} bytes reads in two ways", text.size());
    }
  }
  for (const char* format : {"tsv", "ndjson"}) {
    auto parser = RecordParser::Make({.ns = "",
                                      .format = format,
                                      .key = key,
                                      .delta = delta,
                                      .time = "t",
                                      .time_format = time_format,
                                      .source = ""});
    if (!parser.ok()) continue;
    Aggregator sums;
    std::string_view rest = input;
    if (!(*parser)->Begin((*parser)->format().has_header() ? TakeLine(&rest) : "").ok()) continue;
    while (!rest.empty()) (*parser)->Parse(TakeLine(&rest), &sums);
  }
}

}  // namespace
}  // namespace quipu::ingest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quipu::ingest::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
