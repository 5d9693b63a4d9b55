// Any bytes as a compressed content: given and taken in small pieces it is the same content, with the same end or
// damage, as in one. The first byte says how small.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "ingest/content_reader.h"

namespace quipu::ingest {
namespace {

constexpr size_t kContentBytesMax = 32u << 10;  // of a bomb no more is looked at

enum class End : uint8_t { kWhole, kInTheMiddle, kDamaged, kTooLong };
struct Content {
  std::string bytes;
  End end = End::kTooLong;
};

Content Decode(std::string_view stored, size_t in_bytes, size_t out_bytes) {
  const auto decoder = MakeDecoder(stored);
  Content content;
  std::string out(out_bytes, '\0');
  while (content.bytes.size() < kContentBytesMax) {
    std::string_view in = stored.substr(0, in_bytes);
    const size_t given = in.size();
    const auto n = decoder->Decode(&in, out);
    if (!n.ok()) {
      QUIPU_ASSERT(n.code() == Code::kDataLoss, "{}", n.status().ToString());
      content.end = End::kDamaged;
      return content;
    }
    QUIPU_ASSERT(*n <= out.size() && in.size() <= given, "{} bytes written, {} of {} left", *n, in.size(), given);
    content.bytes.append(out, 0, *n);
    stored.remove_prefix(given - in.size());
    if (*n > 0 || !stored.empty()) {
      QUIPU_ASSERT(*n > 0 || in.size() < given, "nothing taken of {} bytes and nothing written", given);
      continue;
    }
    content.end = decoder->at_boundary() ? End::kWhole : End::kInTheMiddle;
    return content;
  }
  return content;
}

void Run(std::string_view stored, size_t piece) {
  if (MakeDecoder(stored) == nullptr) return;
  const Content whole = Decode(stored, stored.size(), kContentBytesMax);
  const Content pieces = Decode(stored, piece, 1 + piece * 3);
  // How much is delivered before damage goes by the size of the pieces.
  const size_t both = std::min(whole.bytes.size(), pieces.bytes.size());
  QUIPU_ASSERT(whole.bytes.compare(0, both, pieces.bytes, 0, both) == 0, "pieces of {} bytes read otherwise", piece);
  if (whole.end == End::kTooLong || pieces.end == End::kTooLong) return;
  // libzstd takes some frames whole that it refuses in pieces: one with an RLE block of no bytes.
  const bool zstd = static_cast<uint8_t>(stored[0]) == 0x28;
  if (zstd && (whole.end == End::kDamaged || pieces.end == End::kDamaged)) return;
  QUIPU_ASSERT(whole.end == pieces.end, "it ends in {} and {} ways", static_cast<int>(whole.end),
               static_cast<int>(pieces.end));
  QUIPU_ASSERT(whole.end == End::kDamaged || whole.bytes == pieces.bytes, "{} bytes and {}", whole.bytes.size(),
               pieces.bytes.size());
}

}  // namespace
}  // namespace quipu::ingest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  quipu::ingest::Run({reinterpret_cast<const char*>(data) + 1, size - 1}, 1 + data[0]);
  return 0;
}
