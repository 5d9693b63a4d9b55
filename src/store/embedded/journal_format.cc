#include "store/embedded/journal_format.h"

#include <cstring>

#include "base/crc32c.h"
#include "base/plant.h"
#include "base/varint.h"

namespace quipu::store {
namespace {
constexpr char kSegmentMagic[8] = {'Q', 'U', 'I', 'P', 'U', 'J', 'R', 'N'};
constexpr uint32_t kFrameMagic = 0x4d524651;  // "QFRM"
}  // namespace

void EncodeSegmentHeader(const SegmentHeader& h, char* out) {
  std::memset(out, 0, kSegmentHeaderBytes);
  std::memcpy(out, kSegmentMagic, 8);
  char* p = out + 12;
  p = PutFixed(p, kJournalVersion);
  p = PutFixed(p, h.store_id[0]);
  p = PutFixed(p, h.store_id[1]);
  p = PutFixed(p, h.segment);
  p = PutFixed(p, h.bytes);
  PutFixed(p, h.shard);
  PutFixed(out + 8, Crc32c(0, out + 12, kSegmentHeaderBytes - 12));
}

Result<SegmentHeader> DecodeSegmentHeader(std::string_view block) {
  if (block.size() < kSegmentHeaderBytes || std::memcmp(block.data(), kSegmentMagic, 8) != 0) {
    return Status(Code::kDataLoss, "no segment header");
  }
  if (GetFixed<uint32_t>(block.data() + 8) != Crc32c(0, block.data() + 12, kSegmentHeaderBytes - 12)) {
    return Status(Code::kDataLoss, "the segment header's checksum fails");
  }
  const char* p = block.data() + 12;
  if (auto version = GetFixed<uint32_t>(p); version != kJournalVersion) {
    return Status(Code::kDataLoss, fmt::format("journal version {}, this build reads {}", version, kJournalVersion));
  }
  SegmentHeader h;
  h.store_id[0] = GetFixed<uint64_t>(p + 4);
  h.store_id[1] = GetFixed<uint64_t>(p + 12);
  h.segment = GetFixed<uint64_t>(p + 20);
  h.bytes = GetFixed<uint64_t>(p + 28);
  h.shard = GetFixed<uint32_t>(p + 36);
  return h;
}

void SealFrame(FrameHeader* h, char* out) {
  char* p = out;
  p = PutFixed(p, kFrameMagic);
  p = PutFixed(p, uint32_t{0});
  p = PutFixed(p, h->payload_bytes);
  p = PutFixed(p, h->frame_bytes);
  p = PutFixed(p, h->segment);
  p = PutFixed(p, h->first);
  p = PutFixed(p, h->records);
  p = PutFixed(p, h->previous_crc);
  p = PutFixed(p, h->commit_us);
  p = PutFixed(p, h->durable);
  p = PutFixed(p, h->shard);
  p = PutFixed(p, h->epoch);
  static_assert(kFrameHeaderBytes == 64);
  h->crc = Crc32c(0, out + 8, kFrameHeaderBytes - 8 + h->payload_bytes);
  PutFixed(out + 4, h->crc);
}

bool DecodeFrame(std::string_view bytes, FrameHeader* h) {
  if (bytes.size() < kFrameHeaderBytes || GetFixed<uint32_t>(bytes.data()) != kFrameMagic) return false;
  const char* p = bytes.data();
  h->crc = GetFixed<uint32_t>(p + 4);
  h->payload_bytes = GetFixed<uint32_t>(p + 8);
  h->frame_bytes = GetFixed<uint32_t>(p + 12);
  if (h->frame_bytes > bytes.size() || h->frame_bytes < kFrameHeaderBytes || h->frame_bytes % kFrameAlignMin != 0 ||
      h->payload_bytes > h->frame_bytes - kFrameHeaderBytes) {
    return false;
  }
  if (!QUIPU_PLANTED(114) && h->crc != Crc32c(0, p + 8, kFrameHeaderBytes - 8 + h->payload_bytes)) return false;
  h->segment = GetFixed<uint64_t>(p + 16);
  h->first = GetFixed<uint64_t>(p + 24);
  h->records = GetFixed<uint32_t>(p + 32);
  h->previous_crc = GetFixed<uint32_t>(p + 36);
  h->commit_us = GetFixed<int64_t>(p + 40);
  h->durable = GetFixed<uint64_t>(p + 48);
  h->shard = GetFixed<uint32_t>(p + 56);
  h->epoch = GetFixed<uint32_t>(p + 60);
  return true;
}

}  // namespace quipu::store
