#include "store/embedded/journal_reader.h"

#include <charconv>
#include <optional>

namespace quipu::store {
namespace {

std::string SegmentName(uint64_t segment) { return fmt::format("{:016}.log", segment); }

// The segment's number from its file name; none for other files.
std::optional<uint64_t> SegmentNumber(std::string_view name) {
  if (name.size() != 20 || !name.ends_with(".log")) return std::nullopt;
  uint64_t n = 0;
  auto r = std::from_chars(name.data(), name.data() + 16, n);
  if (r.ec != std::errc() || r.ptr != name.data() + 16 || n == 0) return std::nullopt;
  return n;
}

class SegmentBytes {
 public:
  // Reads the whole file, or what there is of it.
  static Result<SegmentBytes> Load(rt::Disk* disk, const std::string& path) {
    SegmentBytes s;
    QUIPU_ASSIGN_OR_RETURN(auto file, disk->Open(path, rt::OpenMode::kRead));
    QUIPU_ASSIGN_OR_RETURN(uint64_t size, file->Size());
    s.bytes_.resize(size);
    QUIPU_ASSIGN_OR_RETURN(size_t got, file->ReadAt(0, s.bytes_));
    s.bytes_.resize(got);
    return s;
  }
  std::string_view At(uint64_t offset) const {
    return offset >= bytes_.size() ? std::string_view()
                                   : std::string_view(bytes_.data() + offset, bytes_.size() - offset);
  }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::vector<char> bytes_;
};

Status CheckHeader(const SegmentBytes& bytes, const std::string& path, const JournalIdentity& identity,
                   uint64_t segment) {
  auto header = DecodeSegmentHeader(bytes.At(0).substr(0, kSegmentHeaderBytes));
  if (!header.ok()) return Status(Code::kDataLoss, fmt::format("{}: {}", path, header.status().message()));
  if (header->segment != segment || header->shard != identity.shard || header->store_id[0] != identity.store_id[0] ||
      header->store_id[1] != identity.store_id[1]) {
    return Status(
        Code::kDataLoss,
        fmt::format("{}: the header says segment {} of shard {}, expected segment {} of shard {} of this store", path,
                    header->segment, header->shard, segment, identity.shard));
  }
  return OkStatus();
}

// Looks for a frame of this segment, at or after `from`, that proves that `position` had been durable.
struct Proof {
  uint64_t offset = 0;
  FrameHeader frame;
};
std::optional<Proof> FindProof(const SegmentBytes& bytes, uint64_t from, uint64_t segment, uint32_t shard,
                               Position position, uint32_t* max_epoch) {
  for (uint64_t at = from; at + kFrameHeaderBytes <= bytes.size(); at += kFrameAlignMin) {
    FrameHeader h;
    if (!DecodeFrame(bytes.At(at), &h) || h.segment != segment || h.shard != shard) continue;
    *max_epoch = std::max(*max_epoch, h.epoch);
    if (h.durable >= position) return Proof{.offset = at, .frame = h};
  }
  return std::nullopt;
}

}  // namespace

Result<JournalEnd> ReadJournal(rt::Disk* disk, const std::string& dir, const JournalIdentity& identity,
                               Position settled,
                               const std::function<Status(const FrameHeader&, std::string_view payload)>& visit) {
  QUIPU_ASSIGN_OR_RETURN(auto names, disk->List(dir));
  std::vector<uint64_t> segments;
  for (const auto& name : names) {
    if (auto n = SegmentNumber(name)) segments.push_back(*n);
  }
  std::sort(segments.begin(), segments.end());

  JournalEnd end;
  end.start.store_id[0] = identity.store_id[0];
  end.start.store_id[1] = identity.store_id[1];
  end.start.shard = identity.shard;
  uint32_t max_epoch = 0;
  Position expected = 0;  // 0: not yet known
  uint32_t previous_crc = 0;
  bool first_frame = true;
  size_t at_segment = 0;
  bool cut = false;

  for (; at_segment < segments.size() && !cut; ++at_segment) {
    uint64_t segment = segments[at_segment];
    std::string path = dir + "/" + SegmentName(segment);
    QUIPU_ASSIGN_OR_RETURN(SegmentBytes bytes, SegmentBytes::Load(disk, path));
    QUIPU_RETURN_IF_ERROR(CheckHeader(bytes, path, identity, segment));
    uint64_t offset = kSegmentHeaderBytes;
    SegmentInfo info{.segment = segment, .first = 0};
    bool any = false;
    for (;;) {
      FrameHeader h;
      if (!DecodeFrame(bytes.At(offset), &h) || h.segment != segment || h.shard != identity.shard) break;
      if (!first_frame && (h.first != expected || h.previous_crc != previous_crc)) break;
      if (first_frame && h.first > settled + 1) {
        return Status(
            Code::kDataLoss,
            fmt::format("{}: the journal begins at position {}, but only up to {} is settled", path, h.first, settled));
      }
      Position last = h.first + h.records - 1;
      if (last > settled) {
        Status s = visit(h, bytes.At(offset + kFrameHeaderBytes).substr(0, h.payload_bytes));
        if (s.code() == Code::kConditionNotMet) {
          cut = true;
          break;
        }
        if (!s.ok()) {
          return Status(s.code(), fmt::format("{}: frame at offset {} (positions {} to {}): {}", path, offset, h.first,
                                              last, s.message()));
        }
      }
      first_frame = false;
      any = true;
      max_epoch = std::max(max_epoch, h.epoch);
      if (info.first == 0) info.first = h.first;
      expected = h.first + h.records;
      previous_crc = h.crc;
      offset += h.frame_bytes;
      end.start.commit_us = h.commit_us;
      ++end.frames;
    }
    bool last_segment = at_segment + 1 == segments.size();
    if (any || end.start.segments.empty()) {
      end.start.segments.push_back(info);
      end.start.segment = segment;
      end.start.offset = offset;
    }
    if (cut) {
      for (uint64_t at = offset; at + kFrameHeaderBytes <= bytes.size(); at += kFrameAlignMin) {
        FrameHeader h;
        if (!DecodeFrame(bytes.At(at), &h) || h.segment != segment || h.shard != identity.shard) continue;
        max_epoch = std::max(max_epoch, h.epoch);
        end.cut_frames.push_back(at);
      }
      break;
    }
    if (expected == 0) expected = settled + 1;
    // Is this the end of the segment's frames because the next segment goes on, or the end of the journal?
    if (!last_segment) {
      uint64_t next = segments[at_segment + 1];
      QUIPU_ASSIGN_OR_RETURN(SegmentBytes following, SegmentBytes::Load(disk, dir + "/" + SegmentName(next)));
      FrameHeader h;
      if (DecodeFrame(following.At(kSegmentHeaderBytes), &h) && h.segment == next && h.shard == identity.shard &&
          h.first == expected && h.previous_crc == previous_crc && !first_frame) {
        continue;
      }
    }
    for (size_t i = at_segment; i < segments.size(); ++i) {
      std::string later = dir + "/" + SegmentName(segments[i]);
      QUIPU_ASSIGN_OR_RETURN(SegmentBytes rest, SegmentBytes::Load(disk, later));
      auto proof = FindProof(rest, i == at_segment ? offset : kSegmentHeaderBytes, segments[i], identity.shard,
                             expected, &max_epoch);
      if (proof) {
        return Status(
            Code::kDataLoss,
            fmt::format("{}: damage at offset {}: positions {} to {} are missing, but the frame at offset {} of {} was "
                        "written when they were durable",
                        path, offset, expected, proof->frame.durable, proof->offset, later));
      }
    }
    ++at_segment;
    break;
  }
  if (cut) ++at_segment;
  for (size_t i = at_segment; i < segments.size(); ++i) end.beyond.push_back(dir + "/" + SegmentName(segments[i]));
  if (expected == 0) expected = settled + 1;
  if (expected < settled + 1 || (segments.empty() && settled > 0)) {
    return Status(Code::kDataLoss,
                  fmt::format("{}: the journal ends at position {}, but {} is settled", dir, expected - 1, settled));
  }
  end.start.next = expected;
  end.start.previous_crc = previous_crc;
  end.start.epoch = max_epoch + 1;
  return end;
}

Status WipeBeyond(rt::Disk* disk, const std::string& dir, const JournalEnd& end) {
  for (size_t i = end.beyond.size(); i > 0; --i) {
    QUIPU_RETURN_IF_ERROR(disk->Remove(end.beyond[i - 1]));
    QUIPU_RETURN_IF_ERROR(disk->SyncDir(dir));
  }
  if (end.cut_frames.empty()) return OkStatus();
  QUIPU_ASSIGN_OR_RETURN(auto file, disk->Open(dir + "/" + SegmentName(end.start.segment), rt::OpenMode::kReadWrite));
  const std::vector<char> zeros(kFrameAlignMin);
  for (size_t i = end.cut_frames.size(); i > 0; --i) {
    QUIPU_RETURN_IF_ERROR(file->WriteAt(end.cut_frames[i - 1], zeros));
    QUIPU_RETURN_IF_ERROR(file->Sync());
  }
  return OkStatus();
}

Status ReadFrames(rt::Disk* disk, const std::string& dir, const std::vector<uint64_t>& segments, Position after,
                  Position through, const std::function<Status(const FrameHeader&, std::string_view payload)>& visit) {
  Position expected = 0;
  for (uint64_t segment : segments) {
    std::string path = dir + "/" + SegmentName(segment);
    QUIPU_ASSIGN_OR_RETURN(SegmentBytes bytes, SegmentBytes::Load(disk, path));
    uint64_t offset = kSegmentHeaderBytes;
    for (;;) {
      FrameHeader h;
      if (!DecodeFrame(bytes.At(offset), &h) || h.segment != segment || (expected != 0 && h.first != expected)) break;
      Position last = h.first + h.records - 1;
      if (h.first > through) return OkStatus();
      if (last > after && h.records > 0)
        QUIPU_RETURN_IF_ERROR(visit(h, bytes.At(offset + kFrameHeaderBytes).substr(0, h.payload_bytes)));
      expected = h.first + h.records;
      if (expected == through + 1) return OkStatus();
      offset += h.frame_bytes;
    }
  }
  return Status(Code::kDataLoss,
                fmt::format("{}: frames end at position {}, {} was durable", dir, expected - 1, through));
}

}  // namespace quipu::store
