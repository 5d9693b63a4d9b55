// Any bytes as a segment's header, a frame, the identity of a store or the name of a column family: refused, or read,
// and then what is written for it is what was read. The first byte says as what the rest is taken; with its high bit
// set the checksum is made right first, which no fuzzer could.
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/varint.h"
#include "store/embedded/engine.h"
#include "store/embedded/journal_format.h"
#include "store/embedded/settled_db.h"

namespace quipu::store {
namespace {

// A checksum at byte 8 over everything from byte 12 on.
void Seal(std::string* bytes) {
  if (bytes->size() > 12) PutFixed(bytes->data() + 8, Crc32c(0, bytes->data() + 12, bytes->size() - 12));
}

void Segment(std::string bytes, bool seal) {
  bytes.resize(kSegmentHeaderBytes);
  if (seal) Seal(&bytes);
  const auto header = DecodeSegmentHeader(bytes);
  if (!header.ok()) return;
  std::string again(kSegmentHeaderBytes, '\0');
  EncodeSegmentHeader(*header, again.data());
  const auto same = DecodeSegmentHeader(again);
  QUIPU_ASSERT(
      same.ok() && same->segment == header->segment && same->bytes == header->bytes && same->shard == header->shard,
      "segment {} comes back as another one", header->segment);
}

void Frame(std::string bytes, bool seal) {
  FrameHeader header;
  if (seal && bytes.size() >= kFrameHeaderBytes) {
    header.payload_bytes =
        static_cast<uint32_t>(GetFixed<uint32_t>(bytes.data() + 8) % (bytes.size() - kFrameHeaderBytes + 1));
    header.frame_bytes = GetFixed<uint32_t>(bytes.data() + 12);
    SealFrame(&header, bytes.data());
  }
  if (!DecodeFrame(bytes, &header)) return;
  QUIPU_ASSERT(header.frame_bytes <= bytes.size() && kFrameHeaderBytes + header.payload_bytes <= header.frame_bytes,
               "{} bytes in a frame of {} of {}", header.payload_bytes, header.frame_bytes, bytes.size());
}

void Identity(std::string bytes, bool seal) {
  if (seal) Seal(&bytes);
  const auto id = DecodeStoreIdentity(bytes);
  QUIPU_ASSERT(!id.ok() || EncodeStoreIdentity(*id) == bytes, "a store of {} shards is written otherwise", id->shards);
}

void Family(std::string bytes, bool) {
  const auto id = ParseFamilyName(bytes);
  QUIPU_ASSERT(!id || FamilyName(*id) == bytes, "`{}` and `{}` are one family", bytes, FamilyName(*id));
}

constexpr void (*kDecoders[])(std::string, bool) = {Segment, Frame, Identity, Family};

}  // namespace
}  // namespace quipu::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  using quipu::store::kDecoders;
  kDecoders[data[0] % std::size(kDecoders)]({reinterpret_cast<const char*>(data) + 1, size - 1}, data[0] >= 128);
  return 0;
}
