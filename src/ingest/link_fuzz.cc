// What a server says about sources and steps, as any bytes: refused, or understood, and then a content can be compared
// with the sources to its end. The input up to the first NUL is the reply, the rest the content.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "ingest/ingest_link.h"
#include "ingest/source_identity.h"

namespace quipu::ingest {
namespace {

void Run(std::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  std::string_view content = input.substr(std::min(end + 1, input.size()));
  client::Reply reply;
  const auto used = client::ParseReply(input.substr(0, end), &reply);
  if (!used.ok() || *used == 0) return;
  AnswerOfReply(reply).status().Ignore("any answer will do");
  auto sources = SourcesOfReply(reply);
  if (!sources.ok()) return;
  SourceMatcher matcher(std::move(*sources));
  while (!content.empty()) {
    const uint64_t next = matcher.BytesToNext();
    if (next == 0) break;
    const size_t bytes = std::min<uint64_t>(next, content.size());
    const bool stands = matcher.Take(content.substr(0, bytes));
    QUIPU_ASSERT(!stands || matcher.best()->stands.offset == matcher.offset(), "a source stands at {}, not at {}",
                 matcher.best()->stands.offset, matcher.offset());
    content.remove_prefix(bytes);
  }
  const auto longer = matcher.longer();
  QUIPU_ASSERT(!longer || longer->source->stands.offset > matcher.offset(), "a longer source stands at {} of {}",
               longer->source->stands.offset, matcher.offset());
}

}  // namespace
}  // namespace quipu::ingest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quipu::ingest::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
