// The parser over any bytes: whole and cut at every place that the first byte suggests, the commands are the same,
// every argument lies inside the buffer, and the buffer is exactly as long as the input, so that a read beyond it is
// found.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "gateway/resp/resp_parser.h"

namespace quipu::resp {
namespace {

struct Outcome {
  std::vector<std::vector<std::string>> commands;
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome Feed(const char* bytes, size_t size, size_t piece) {
  RespParser parser({.elements_max = 20, .bulk_bytes_max = 128, .inline_bytes_max = 64});
  Outcome outcome;
  std::string held;
  size_t fed = 0;
  do {
    size_t more = std::min(piece, size - fed);
    size_t length = held.size() + more;
    std::unique_ptr<char[]> buffer(new char[length]);
    std::copy(held.begin(), held.end(), buffer.get());
    std::copy(bytes + fed, bytes + fed + more, buffer.get() + held.size());
    fed += more;
    size_t at = 0;
    for (;;) {
      RespParser::Result result = parser.Parse(buffer.get() + at, length - at);
      if (result == RespParser::Result::kError) {
        outcome.error = parser.error();
        return outcome;
      }
      at += parser.consumed();
      QUIPU_ASSERT(at <= length, "took {} of {} bytes", at, length);
      if (result == RespParser::Result::kNeedMore) break;
      QUIPU_ASSERT(!parser.args().empty(), "an empty command");
      outcome.commands.emplace_back(parser.args().begin(), parser.args().end());
    }
    held.assign(buffer.get() + at, length - at);
  } while (fed < size);
  return outcome;
}

}  // namespace
}  // namespace quipu::resp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  auto bytes = reinterpret_cast<const char*>(data) + 1;
  size_t piece = 1 + data[0] % 64;
  auto whole = quipu::resp::Feed(bytes, size - 1, size);
  auto cut = quipu::resp::Feed(bytes, size - 1, piece);
  QUIPU_ASSERT(whole == cut, "pieces of {} bytes give other commands", piece);
  return 0;
}
