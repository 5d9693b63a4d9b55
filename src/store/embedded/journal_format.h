// The bytes of a journal segment: a header block, then frames, each a header and its records, padded to whole blocks.
// Layout with a worked example: docs/internals/journal.md. Numbers are little-endian.
//
// A frame says who wrote it (segment number, epoch: one number per opening of the data directory), what it follows
// (first position, checksum of the frame before) and how far the journal was durable when it was written. So a stale
// frame of a recycled segment, a frame from before a crash and a misdirected block are all told from the real next one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "model/ids.h"

namespace quipu::store {

inline constexpr uint32_t kJournalVersion = 1;
// Segment headers and the smallest unit of frames. 4 KiB holds for every device; frames are padded to the log file's
// own alignment, which is a divisor of it.
inline constexpr size_t kSegmentHeaderBytes = 4096;
inline constexpr size_t kFrameHeaderBytes = 64;
inline constexpr size_t kFrameAlignMin = 512;

struct SegmentHeader {
  uint64_t store_id[2] = {0, 0};  // of the data directory
  uint32_t shard = 0;
  uint64_t segment = 0;  // from 1, ascending, without gaps
  uint64_t bytes = 0;    // the file's size
};
void EncodeSegmentHeader(const SegmentHeader& h, char* out /* kSegmentHeaderBytes, zeroed by the call */);
// kDataLoss: not a header, another version, or its checksum fails.
Result<SegmentHeader> DecodeSegmentHeader(std::string_view block);

struct FrameHeader {
  uint32_t crc = 0;            // over the rest of the header and the payload
  uint32_t payload_bytes = 0;  // after the header
  uint32_t frame_bytes = 0;    // header, payload and padding
  uint32_t shard = 0;
  uint64_t segment = 0;
  Position first = 0;         // of the first record; positions are consecutive
  uint32_t records = 0;       // that take a position
  uint32_t previous_crc = 0;  // of the frame before, over segments; 0 for the very first
  Micros commit_us = 0;       // never goes back within a shard
  Position durable = 0;       // every position up to here was durable when this frame was written
  uint32_t epoch = 0;
};
// Writes the header for the payload that already stands at out + kFrameHeaderBytes, and its checksum; sets h->crc.
void SealFrame(FrameHeader* h, char* out);
// Whether a whole frame with a valid checksum stands at the start of `bytes`.
bool DecodeFrame(std::string_view bytes, FrameHeader* out);

}  // namespace quipu::store
