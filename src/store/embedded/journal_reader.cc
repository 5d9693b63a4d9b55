#include "store/embedded/journal_reader.h"
#include "base/plant.h"

#include <charconv>
#include <deque>
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
  // Reads the whole file, or what there is of it, into the memory of the segment that was here before, if that is large
  // enough: fresh pages cost more than reading.
  Status Load(rt::Disk* disk, const std::string& path) {
    size_ = 0;
    QUIPU_ASSIGN_OR_RETURN(auto file, disk->Open(path, rt::OpenMode::kRead));
    QUIPU_ASSIGN_OR_RETURN(uint64_t size, file->Size());
    if (size > capacity_) {
      bytes_ = std::make_unique_for_overwrite<char[]>(size);
      capacity_ = size;
    }
    QUIPU_ASSIGN_OR_RETURN(size_, file->ReadAt(0, std::span(bytes_.get(), size)));
    return OkStatus();
  }
  std::string_view At(uint64_t offset) const {
    return offset >= size_ ? std::string_view() : std::string_view(bytes_.get() + offset, size_ - offset);
  }
  uint64_t size() const { return size_; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

class JournalReading {
 public:
  using Visit = std::function<Status(const FrameHeader&, std::string_view payload)>;
  JournalReading(rt::Disk* disk, const std::string& dir, const JournalIdentity& identity, Position settled,
                 const Visit& visit)
      : disk_(disk), dir_(dir), identity_(identity), settled_(settled), visit_(visit) {}

  Result<JournalEnd> Run() {
    QUIPU_RETURN_IF_ERROR(FindSegments());
    end_.start.store_id[0] = identity_.store_id[0];
    end_.start.store_id[1] = identity_.store_id[1];
    end_.start.shard = identity_.shard;
    if (!segments_.empty()) {
      QUIPU_RETURN_IF_ERROR(bytes_.Load(disk_, PathOf(0)));
    }
    size_t at = 0;
    while (at < segments_.size()) {
      QUIPU_ASSIGN_OR_RETURN(bool cut, ReadSegment(at));
      if (cut) {
        // All of a segment that is cut before its first frame is beyond the end.
        if (end_.start.segment == segments_[at]) FindCutFrames(at++);
        break;
      }
      ++at;
      QUIPU_ASSIGN_OR_RETURN(size_t next, FindContinuation(at));
      if (next == segments_.size()) {
        QUIPU_RETURN_IF_ERROR(RefuseGap(at));
        QUIPU_RETURN_IF_ERROR(RefuseDamage(at));
        break;
      }
      at = next;
    }
    for (; at < segments_.size(); ++at) end_.unneeded.push_back(PathOf(at));
    if (Expected() <= settled_ || (segments_.empty() && settled_ > 0)) {
      return Status(Code::kDataLoss, fmt::format("{}: the journal ends at position {}, but {} is settled", dir_,
                                                 segments_.empty() ? 0 : Expected() - 1, settled_));
    }
    for (const auto& [last, frame] : unproven_) end_.start.unproven.push_back(frame);
    end_.start.next = Expected();
    end_.start.previous_crc = previous_crc_;
    end_.start.epoch = max_epoch_ + 1;
    return std::move(end_);
  }

 private:
  std::string PathOf(size_t at) const { return dir_ + "/" + SegmentName(segments_[at]); }
  Position Expected() const { return any_frame_ ? expected_ : settled_ + 1; }

  // A segment gets its name only when it is laid out and on the medium, so a header that is not right, or another size,
  // is damage wherever the journal ends.
  Status FindSegments() {
    QUIPU_ASSIGN_OR_RETURN(auto names, disk_->List(dir_));
    for (const auto& name : names) {
      if (auto n = SegmentNumber(name)) segments_.push_back(*n);
    }
    std::sort(segments_.begin(), segments_.end());
    for (size_t at = 0; at < segments_.size(); ++at) QUIPU_RETURN_IF_ERROR(CheckHeader(at));
    return OkStatus();
  }
  Status CheckHeader(size_t at) {
    std::string path = PathOf(at);
    QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(path, rt::OpenMode::kRead));
    QUIPU_ASSIGN_OR_RETURN(uint64_t size, file->Size());
    std::vector<char> block(kSegmentHeaderBytes);
    QUIPU_ASSIGN_OR_RETURN(size_t got, file->ReadAt(0, block));
    auto header = DecodeSegmentHeader({block.data(), got});
    if (!header.ok()) return Status(Code::kDataLoss, fmt::format("{}: {}", path, header.status().message()));
    if (header->segment != segments_[at] || header->shard != identity_.shard ||
        header->store_id[0] != identity_.store_id[0] || header->store_id[1] != identity_.store_id[1]) {
      return Status(
          Code::kDataLoss,
          fmt::format("{}: the header says segment {} of shard {}, expected segment {} of shard {} of this store", path,
                      header->segment, header->shard, segments_[at], identity_.shard));
    }
    if (header->bytes != size) {
      return Status(Code::kDataLoss,
                    fmt::format("{}: the file has {} bytes, its header says {}", path, size, header->bytes));
    }
    return OkStatus();
  }

  // A whole frame of the segment at `offset`.
  bool FrameAt(const SegmentBytes& bytes, size_t at, uint64_t offset, FrameHeader* h) const {
    if (!DecodeFrame(bytes.At(offset), h)) return false;
    return (h->segment == segments_[at] || QUIPU_PLANTED(115)) && h->shard == identity_.shard;
  }

  // Visits the frames of the segment in bytes_ as far as they follow each other. True: `visit` cut the journal.
  Result<bool> ReadSegment(size_t at) {
    offset_ = kSegmentHeaderBytes;
    SegmentInfo info{.segment = segments_[at], .first = 0};
    bool cut = false;
    FrameHeader h;
    while (!cut && FrameAt(bytes_, at, offset_, &h)) {
      const bool follows = !any_frame_ || (h.first == expected_ && h.previous_crc == previous_crc_);
      if (!follows) {
        if (!QUIPU_PLANTED(115)) break;
        h.first = expected_;  // what stood there in the segment's former life is taken for what comes next
      }
      if (!any_frame_ && h.first > settled_ + 1) {
        return Status(Code::kDataLoss,
                      fmt::format("{}: the journal begins at position {}, but only up to {} is settled", PathOf(at),
                                  h.first, settled_));
      }
      Position last = h.first + h.records - 1;
      if (last > settled_) {
        Status s = visit_(h, bytes_.At(offset_ + kFrameHeaderBytes).substr(0, h.payload_bytes));
        cut = s.code() == Code::kConditionNotMet;
        if (cut) break;
        if (!s.ok()) {
          return Status(s.code(), fmt::format("{}: frame at offset {} (positions {} to {}): {}", PathOf(at), offset_,
                                              h.first, last, s.message()));
        }
      }
      any_frame_ = true;
      max_epoch_ = std::max(max_epoch_, h.epoch);
      if (info.first == 0) info.first = h.first;
      expected_ = h.first + h.records;
      previous_crc_ = h.crc;
      offset_ += h.frame_bytes;
      end_.start.commit_us = h.commit_us;
      ++end_.frames;
      NoteUnproven(at, h);
    }
    if (info.first != 0 || end_.start.segments.empty()) {
      end_.start.segments.push_back(info);
      end_.start.segment = segments_[at];
      end_.start.segment_bytes = bytes_.size();
      end_.start.offset = offset_;
    }
    return cut;
  }

  void NoteUnproven(size_t at, const FrameHeader& h) {
    unproven_.emplace_back(
        h.first + h.records - 1,
        Journal::Start::Written{.segment = segments_[at], .offset = offset_ - h.frame_bytes, .bytes = h.frame_bytes});
    const Position proven = std::max(h.durable, settled_);
    while (!unproven_.empty() && unproven_.front().first <= proven) unproven_.pop_front();
  }

  // What stands at or after the place where the journal was cut.
  void FindCutFrames(size_t at) {
    FrameHeader h;
    for (uint64_t o = offset_; o + kFrameHeaderBytes <= bytes_.size(); o += kFrameAlignMin) {
      if (!FrameAt(bytes_, at, o, &h)) continue;
      max_epoch_ = std::max(max_epoch_, h.epoch);
      end_.cut_frames.push_back(o);
    }
  }

  // Which segment at or after `at` the journal goes on in; segments_.size() if it ends. Leaves its bytes in bytes_.
  Result<size_t> FindContinuation(size_t at) {
    FrameHeader h;
    for (size_t next = at; next < segments_.size(); ++next) {
      QUIPU_RETURN_IF_ERROR(following_.Load(disk_, PathOf(next)));
      if (!FrameAt(following_, next, kSegmentHeaderBytes, &h)) continue;
      bool follows = next == at && any_frame_ && h.first == expected_ && h.previous_crc == previous_crc_;
      // What lies between is settled, and may be on its way to be recycled.
      bool settled_between = !follows && Expected() <= settled_ + 1 && h.first <= settled_ + 1;
      if (!follows && !settled_between) continue;
      if (settled_between) {
        for (size_t i = 0; i < next; ++i) {
          if (segments_[i] >= first_needed_) end_.unneeded.push_back(PathOf(i));
        }
        first_needed_ = segments_[next];
        end_.start.segments.clear();
        any_frame_ = false;
        previous_crc_ = 0;
      }
      std::swap(bytes_, following_);
      return next;
    }
    return segments_.size();
  }

  // The journal ends in the segment before `at`. A segment is laid out while the one before it is written to, removed
  // only when the next one has a frame on the medium, and after the end from the last one backwards: so where one is
  // missing, or the first one that is there holds nothing, somebody took a segment away.
  Status RefuseGap(size_t at) {
    uint64_t missing = 0;
    if (at < segments_.size() && segments_[at] != segments_[at - 1] + 1) missing = segments_[at - 1] + 1;
    if (!any_frame_ && segments_[at - 1] != 1) missing = segments_[at - 1] - 1;
    if (missing == 0) return OkStatus();
    return Status(Code::kDataLoss,
                  fmt::format("{}/{}: missing, with the positions from {} on", dir_, SegmentName(missing), Expected()));
  }

  // The journal ends in bytes_, the segment before `at`, at offset_: unless a frame at or after that place says that
  // more had been durable.
  Status RefuseDamage(size_t at) {
    if (QUIPU_PLANTED(113)) return OkStatus();
    std::string where = fmt::format("{}: damage at offset {}", PathOf(at - 1), offset_);
    for (size_t i = at - 1; i < segments_.size(); ++i) {
      if (i >= at) {
        QUIPU_RETURN_IF_ERROR(bytes_.Load(disk_, PathOf(i)));
      }
      FrameHeader h;
      for (uint64_t o = i < at ? offset_ : kSegmentHeaderBytes; o + kFrameHeaderBytes <= bytes_.size();
           o += kFrameAlignMin) {
        if (!FrameAt(bytes_, i, o, &h)) continue;
        max_epoch_ = std::max(max_epoch_, h.epoch);
        if (h.durable < Expected() && !QUIPU_PLANTED(112)) continue;
        return Status(Code::kDataLoss, fmt::format("{}: positions {} to {} are missing, but the frame at offset {} of "
                                                   "{} was written when they were durable",
                                                   where, Expected(), h.durable, o, PathOf(i)));
      }
    }
    return OkStatus();
  }

  rt::Disk* const disk_;
  const std::string& dir_;
  const JournalIdentity& identity_;
  const Position settled_;
  const Visit& visit_;
  std::vector<uint64_t> segments_;
  JournalEnd end_;
  SegmentBytes bytes_;                                                 // of the segment being read
  SegmentBytes following_;                                             // of one that may come next
  uint64_t offset_ = 0;                                                // in it
  std::deque<std::pair<Position, Journal::Start::Written>> unproven_;  // by last position
  bool any_frame_ = false;
  Position expected_ = 0;  // the next frame's first, and the checksum before it, once there was a frame
  uint32_t previous_crc_ = 0;
  uint32_t max_epoch_ = 0;
  uint64_t first_needed_ = 0;
};

}  // namespace

bool IsSegmentName(std::string_view name) { return SegmentNumber(name).has_value(); }

Result<JournalEnd> ReadJournal(rt::Disk* disk, const std::string& dir, const JournalIdentity& identity,
                               Position settled,
                               const std::function<Status(const FrameHeader&, std::string_view payload)>& visit) {
  return JournalReading(disk, dir, identity, settled, visit).Run();
}

Status WipeBeyond(rt::Disk* disk, const std::string& dir, const JournalEnd& end) {
  for (size_t i = end.unneeded.size(); i > 0; --i) {
    QUIPU_RETURN_IF_ERROR(disk->Remove(end.unneeded[i - 1]));
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
  SegmentBytes bytes;
  for (uint64_t segment : segments) {
    std::string path = dir + "/" + SegmentName(segment);
    QUIPU_RETURN_IF_ERROR(bytes.Load(disk, path));
    uint64_t offset = kSegmentHeaderBytes;
    for (;;) {
      FrameHeader h;
      if (!DecodeFrame(bytes.At(offset), &h) || h.segment != segment || (expected != 0 && h.first != expected)) break;
      if (expected == 0 && h.first > after + 1) break;
      Position last = h.first + h.records - 1;
      if (h.first > through) return OkStatus();
      if (last > after && h.records > 0)
        QUIPU_RETURN_IF_ERROR(visit(h, bytes.At(offset + kFrameHeaderBytes).substr(0, h.payload_bytes)));
      expected = h.first + h.records;
      if (expected == through + 1) return OkStatus();
      offset += h.frame_bytes;
    }
  }
  return Status(Code::kDataLoss, fmt::format("{}: no frame begins at position {}, but {} was durable", dir,
                                             expected == 0 ? after + 1 : expected, through));
}

}  // namespace quipu::store
