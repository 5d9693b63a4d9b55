#include "store/embedded/journal.h"
#include "base/plant.h"

#include <cstdlib>
#include <cstring>

namespace quipu::store {
namespace {

constexpr size_t kBufferAlign = 4096;
constexpr size_t kBufferBytes = 1u << 20;
constexpr size_t kEagerBytes = 256u << 10;  // a frame this full is worth a write of its own while another is in flight
constexpr size_t kSparesMax = 2;
constexpr uint64_t kLayoutSyncBytes = 4u << 20;
constexpr int64_t kRetryUs = 500'000;
constexpr int64_t kPaceUs = 200'000, kPaceMaxUs = 1'000'000;

std::string PathOf(const std::string& dir, uint64_t segment) { return fmt::format("{}/{:016}.log", dir, segment); }

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

}  // namespace

struct Journal::Buffer {
  explicit Buffer(size_t bytes) : capacity(bytes), data(static_cast<char*>(std::aligned_alloc(kBufferAlign, bytes))) {
    QUIPU_ASSERT(data != nullptr, "no memory for a journal buffer of {} bytes", bytes);
    std::memset(data, 0, bytes);
  }
  ~Buffer() { std::free(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t capacity;
  char* data;
  FrameHeader header;
  rt::LogFile::WriteOp write;
  bool done = false;
  std::shared_ptr<bool> journal_alive;
};

Journal::Journal(rt::Loop* loop, rt::Disk* disk, std::string dir, const JournalOptions& options, const Start& start,
                 Observer* observer)
    : loop_(loop), disk_(disk), dir_(std::move(dir)), options_(options), start_(start), observer_(observer) {
  QUIPU_ASSERT(options_.frame_bytes_max * 4 <= options_.segment_bytes, "frame_bytes_max={} segment_bytes={}",
               options_.frame_bytes_max, options_.segment_bytes);
  next_ = start.next;
  durable_ = start.next - 1;
  previous_crc_ = start.previous_crc;
  last_us_ = start.commit_us;
  segment_ = start.segment;
  segment_bytes_ = start.segment_bytes;
  offset_ = start.offset;
  segments_.assign(start.segments.begin(), start.segments.end());
  unsettled_bytes_ = start.unsettled_bytes;
  unsettled_.push_back({.last = durable_, .bytes = start.unsettled_bytes});
  timer_.on_fire = [this] { OnTurnEnd(); };
  loop_->AddTurnHook(this);
}

Journal::~Journal() {
  *alive_ = false;
  loop_->Disarm(&timer_);
  loop_->RemoveTurnHook(this);
}

std::string Journal::SegmentPath(uint64_t segment) const { return PathOf(dir_, segment); }

namespace {

// What laying out one segment needs; a value, because the worker may outlive the journal.
struct Layout {
  rt::Disk* disk;
  std::string dir;
  std::string path;
  std::string spare;  // a recycled file to use, or empty
  SegmentHeader header;
};

Status Fill(rt::File* file, const SegmentHeader& header) {
  QUIPU_ASSIGN_OR_RETURN(uint64_t size, file->Size());
  if (size > header.bytes) QUIPU_RETURN_IF_ERROR(file->Truncate(header.bytes));
  std::vector<char> zeros(1u << 20);
  for (uint64_t at = size; at < header.bytes;) {
    size_t n = std::min<uint64_t>(zeros.size(), header.bytes - at);
    QUIPU_RETURN_IF_ERROR(file->WriteAt(at, std::span<const char>(zeros.data(), n)));
    at += n;
    // In pieces: one sync of the whole would hold up the commits that go on meanwhile.
    if (at % kLayoutSyncBytes == 0) QUIPU_RETURN_IF_ERROR(file->Sync());
  }
  std::vector<char> block(kSegmentHeaderBytes);
  EncodeSegmentHeader(header, block.data());
  QUIPU_RETURN_IF_ERROR(file->WriteAt(0, block));
  return file->Sync();
}

// `spare_left`: the spare could not be opened, and is as it was.
Status LayOut(const Layout& layout, bool* spare_left) {
  bool fresh = layout.spare.empty();
  std::string temporary = fresh ? layout.dir + "/prepare.tmp" : layout.spare;
  auto file = layout.disk->Open(temporary, fresh ? rt::OpenMode::kTruncate : rt::OpenMode::kReadWrite);
  *spare_left = !fresh && !file.ok();
  if (!file.ok()) return file.status();
  Status status = Fill(file->get(), layout.header);
  file->reset();
  if (status.ok()) status = layout.disk->Rename(temporary, layout.path);
  if (!status.ok()) {
    // Its room is given back, and what a failed sync left in it is never built on.
    layout.disk->Remove(temporary).Ignore("a leftover is overwritten by the next try, or dropped by the next opening");
    return status;
  }
  if (QUIPU_PLANTED(109)) return OkStatus();
  return layout.disk->SyncDir(layout.dir);
}

}  // namespace

Status LayOutSegment(rt::Disk* disk, const std::string& dir, const SegmentHeader& header) {
  bool spare_left = false;
  return LayOut({.disk = disk, .dir = dir, .path = PathOf(dir, header.segment), .spare = "", .header = header},
                &spare_left);
}

Status Journal::Open() {
  // What a segment was renamed to may after a power loss be there under both names: never written to again.
  QUIPU_ASSIGN_OR_RETURN(auto names, disk_->List(dir_));
  for (const std::string& name : names) {
    if (name.starts_with("spare-") || name == "prepare.tmp") QUIPU_RETURN_IF_ERROR(disk_->Remove(dir_ + "/" + name));
  }
  // What was read may have been in flight when the process died, and not be on the medium yet. Where a sync of it has
  // failed before, another one would write nothing and say that all is well: so it is made dirty again.
  for (const Start::Written& frame : start_.unproven) {
    if (QUIPU_PLANTED(117)) break;
    QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(SegmentPath(frame.segment), rt::OpenMode::kReadWrite));
    std::vector<char> bytes(frame.bytes);
    QUIPU_ASSIGN_OR_RETURN(size_t got, file->ReadAt(frame.offset, bytes));
    QUIPU_RETURN_IF_ERROR(file->WriteAt(frame.offset, std::span<const char>(bytes.data(), got)));
  }
  for (const SegmentInfo& info : start_.segments) {
    if (QUIPU_PLANTED(117)) break;
    QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(SegmentPath(info.segment), rt::OpenMode::kReadWrite));
    QUIPU_RETURN_IF_ERROR(file->Sync());
  }
  QUIPU_RETURN_IF_ERROR(disk_->SyncDir(dir_));
  if (segment_ == 0) {
    segment_ = 1;
    segment_bytes_ = options_.segment_bytes;
    offset_ = kSegmentHeaderBytes;
    QUIPU_RETURN_IF_ERROR(LayOutSegment(disk_, dir_, HeaderOf(segment_)));
    segments_.push_back({.segment = segment_, .first = 0});
  }
  QUIPU_ASSIGN_OR_RETURN(file_, disk_->OpenLog(SegmentPath(segment_), loop_));
  alignment_ = std::max(file_->alignment(), kFrameAlignMin);
  if (offset_ % alignment_ != 0) offset_ = segment_bytes_;  // laid out for a finer device: go on in the next one
  PrepareNextSegment();
  return OkStatus();
}

SegmentHeader Journal::HeaderOf(uint64_t segment) const {
  return {.store_id = {start_.store_id[0], start_.store_id[1]},
          .shard = start_.shard,
          .segment = segment,
          .bytes = options_.segment_bytes};
}

void Journal::PrepareNextSegment() {
  if (preparing_ || next_ready_ || fenced_) return;
  preparing_ = true;
  struct Outcome {
    Status status;
    bool spare_left = false;
  };
  auto outcome = std::make_shared<Outcome>();
  Layout layout{.disk = disk_,
                .dir = dir_,
                .path = SegmentPath(segment_ + 1),
                .spare = spares_.empty() ? "" : spares_.back(),
                .header = HeaderOf(segment_ + 1)};
  if (!spares_.empty()) spares_.pop_back();
  loop_->RunOnWorker(
      rt::Worker::kFiles, [layout, outcome] { outcome->status = LayOut(layout, &outcome->spare_left); },
      [this, alive = alive_, outcome, spare = layout.spare] {
        if (!*alive) return;
        preparing_ = false;
        if (outcome->spare_left) spares_.push_back(spare);
        if (!outcome->status.ok()) return Block(outcome->status);
        next_ready_ = true;
        blocked_ = OkStatus();
        StartWrites();
      });
}

// Nothing is lost: adds are refused, and what was admitted waits in memory where it does not fit the present segment.
void Journal::Block(const Status& reason) {
  const Code code = reason.code() == Code::kStorageFull ? Code::kStorageFull : Code::kUnavailable;
  blocked_ = Status(code, std::string(reason.message()));
  retry_mono_ = loop_->MonoMicros() + kRetryUs;
  if (!timer_.armed || timer_.due_mono_us > retry_mono_) loop_->Arm(&timer_, retry_mono_);
}

// The present segment has no room for the next frame. False: nor is there another one to write to now.
bool Journal::GoOnInNextSegment() {
  if (!next_ready_) {
    if (blocked_.ok()) PrepareNextSegment();
    return false;
  }
  if (loop_->MonoMicros() < retry_mono_) return false;
  auto next = disk_->OpenLog(SegmentPath(segment_ + 1), loop_);
  if (!next.ok()) {
    // That it was laid out and is gone does not pass.
    next.status().code() == Code::kNotFound ? Fence(next.status()) : Block(next.status());
    return false;
  }
  retired_files_.push_back(std::exchange(file_, std::move(*next)));
  ++segment_;
  offset_ = kSegmentHeaderBytes;
  segment_bytes_ = options_.segment_bytes;
  alignment_ = std::max(file_->alignment(), kFrameAlignMin);
  segments_.push_back({.segment = segment_, .first = 0});
  blocked_ = OkStatus();
  next_ready_ = false;
  PrepareNextSegment();
  return true;
}

Journal::Buffer* Journal::TakeBuffer(size_t bytes) {
  // One that is larger was for one large step.
  std::erase_if(free_buffers_, [&](Buffer* b) {
    if (b->capacity <= std::max(kBufferBytes, RoundUp(bytes, kBufferAlign))) return false;
    std::erase_if(buffers_, [b](const std::unique_ptr<Buffer>& owned) { return owned.get() == b; });
    return true;
  });
  for (size_t i = free_buffers_.size(); i > 0; --i) {
    Buffer* b = free_buffers_[i - 1];
    if (b->capacity >= bytes) {
      free_buffers_.erase(free_buffers_.begin() + static_cast<ptrdiff_t>(i - 1));
      return b;
    }
  }
  buffers_.push_back(std::make_unique<Buffer>(RoundUp(std::max(bytes, kBufferBytes), kBufferAlign)));
  Buffer* b = buffers_.back().get();
  b->write.owner = this;
  b->write.on_done = &OnWritten;
  b->journal_alive = alive_;
  return b;
}

void Journal::OpenFrame() {
  open_used_ = kFrameHeaderBytes;
  open_records_ = 0;
  open_first_ = next_;
  // Commit time never goes back, whatever the wall clock does: slices are cut by it.
  open_us_ = std::max(loop_->WallMicros(), last_us_);
  last_us_ = open_us_;
  open_since_mono_ = loop_->MonoMicros();
  ++frame_serial_;
}

Micros Journal::frame_us() {
  if (open_records_ == 0) {
    // Nothing in it yet: its time is still free to move on.
    if (!open_) open_ = TakeBuffer(0);
    OpenFrame();
  }
  return open_us_;
}

char* Journal::Reserve(size_t bytes) {
  size_t need = RoundUp(bytes + kFrameHeaderBytes, kBufferAlign);
  QUIPU_ASSERT(bytes <= options_.frame_bytes_max / 2, "reserve of {} bytes", bytes);
  if (open_used_ > kFrameHeaderBytes &&
      open_used_ + bytes + kBufferAlign > std::min(open_->capacity, options_.frame_bytes_max)) {
    SealOpenFrame();
  }
  if (open_ && open_->capacity < need + kBufferAlign) {
    free_buffers_.push_back(open_);
    open_ = nullptr;
    open_used_ = 0;
  }
  if (!open_) open_ = TakeBuffer(need + kBufferAlign);
  if (open_used_ == 0) OpenFrame();
  return open_->data + open_used_;
}

Position Journal::Append(size_t bytes, uint32_t records, bool urgent) {
  open_used_ += bytes;
  open_records_ += records;
  next_ += records;
  urgent_ |= urgent;
  return next_ - 1;
}

void Journal::SealOpenFrame() {
  Buffer* b = open_;
  open_ = nullptr;
  b->header = FrameHeader{};
  b->header.payload_bytes = static_cast<uint32_t>(open_used_ - kFrameHeaderBytes);
  b->header.first = open_first_;
  b->header.records = open_records_;
  b->header.commit_us = open_us_;
  pending_bytes_ += open_used_;
  open_used_ = 0;
  open_records_ = 0;
  urgent_ = false;
  ++frame_serial_;
  sealed_.push_back(b);
}

// Writes go on at once while there is no pressure: unsettled_bytes_soft or more to be settled, or memory short of room.
// To a pressure of 1 (twice the bytes) the pause after a full frame grows to kPaceUs, to 2 to kPaceMaxUs; after fewer
// bytes it is as much shorter. Full is what a buffer holds, or a quarter of the soft bound where that is less. A slow
// answer is better than a refusal, as long as the settler moves on.
int64_t Journal::NextWriteAt() const {
  if (close_done_) return 0;
  const auto soft = static_cast<double>(options_.unsettled_bytes_soft);
  const double pressure = std::max((static_cast<double>(unsettled_bytes_) - soft) / soft, observer_->MemoryPressure());
  if (pressure <= 0) return 0;
  const double pause =
      std::min(pressure, 1.0) * kPaceUs + std::clamp(pressure - 1.0, 0.0, 1.0) * (kPaceMaxUs - kPaceUs);
  const auto full = std::min(static_cast<double>(std::min(kBufferBytes, options_.frame_bytes_max)), soft / 4);
  const double share = std::min(1.0, static_cast<double>(last_frame_bytes_) / full);
  return last_start_mono_ + static_cast<int64_t>(pause * share);
}

void Journal::StartWrites() {
  while (!fenced_ && !sealed_.empty() && writing_.size() < static_cast<size_t>(options_.writes_in_flight_max)) {
    if (const int64_t at = NextWriteAt(); at > loop_->MonoMicros()) {
      if (!timer_.armed || timer_.due_mono_us > at) loop_->Arm(&timer_, at);
      return;
    }
    Buffer* b = sealed_.front();
    size_t used = kFrameHeaderBytes + b->header.payload_bytes;
    size_t frame = RoundUp(used, alignment_);
    if (offset_ + frame > segment_bytes_) {
      if (!GoOnInNextSegment()) {
        if (close_done_ && !blocked_.ok() && writing_.empty()) Fence(blocked_);
        return;
      }
      frame = RoundUp(used, alignment_);
    }
    sealed_.pop_front();
    std::memset(b->data + used, 0, frame - used);
    b->header.frame_bytes = static_cast<uint32_t>(frame);
    b->header.shard = start_.shard;
    b->header.segment = segment_;
    b->header.previous_crc = previous_crc_;
    b->header.durable = durable_;
    b->header.epoch = start_.epoch;
    SealFrame(&b->header, b->data);
    previous_crc_ = b->header.crc;
    if (segments_.back().first == 0) segments_.back().first = b->header.first;
    b->done = false;
    b->write.offset = offset_;
    b->write.data = {b->data, frame};
    b->write.status = OkStatus();
    offset_ += frame;
    unsettled_.push_back({.last = b->header.first + b->header.records - 1, .bytes = frame});
    unsettled_bytes_ += frame;
    last_start_mono_ = loop_->MonoMicros();
    last_frame_bytes_ = frame;
    writing_.push_back(b);
    file_->Write(&b->write);
  }
}

void Journal::OnWritten(rt::LogFile::WriteOp* op) {
  auto* journal = static_cast<Journal*>(op->owner);
  for (Buffer* b : journal->writing_) {
    if (&b->write == op) {
      b->done = true;
      break;
    }
  }
  journal->Reap();
}

void Journal::Reap() {
  bool moved = false;
  while (!writing_.empty() && writing_.front()->done) {
    Buffer* b = writing_.front();
    writing_.pop_front();
    pending_bytes_ -= kFrameHeaderBytes + b->header.payload_bytes;
    free_buffers_.push_back(b);
    if (!b->write.status.ok() && !QUIPU_PLANTED(118)) {
      Fence(b->write.status);
    } else if (!fenced_) {
      durable_ = QUIPU_PLANTED(108) ? next_ - 1 : b->header.first + b->header.records - 1;
      moved = true;
    }
  }
  if (writing_.empty()) retired_files_.clear();
  if (moved && !fenced_) observer_->OnJournalProgress();
}

void Journal::Fence(Status reason) {
  if (fenced_) return;
  fenced_ = true;
  fence_reason_ = std::move(reason);
  loop_->Arm(&timer_, loop_->MonoMicros());  // for who waits for Close
  observer_->OnJournalProgress();
}

void Journal::OnTurnEnd() {
  if (fenced_) {
    if (close_done_ && writing_.empty()) loop_->Post(std::exchange(close_done_, nullptr));
    return;
  }
  int64_t now = loop_->MonoMicros();
  int64_t wake = INT64_MAX;
  if (!blocked_.ok() && !preparing_) {
    if (now >= retry_mono_) PrepareNextSegment();  // or, if that is there, what waits for it opens it
    wake = retry_mono_;
  }
  if (open_used_ > kFrameHeaderBytes) {
    int64_t due;
    if (!urgent_ && !close_done_) {
      due = open_since_mono_ + options_.lazy_commit_us;
    } else if (writing_.empty() && sealed_.empty()) {
      due = open_since_mono_ + options_.commit_delay_us;
    } else if (writing_.size() + sealed_.size() < static_cast<size_t>(options_.writes_in_flight_max)) {
      due = open_used_ >= kEagerBytes ? now : last_start_mono_ + options_.busy_gather_us;
    } else {
      due = INT64_MAX;  // a completion comes first
    }
    if (now >= due) {
      SealOpenFrame();
    } else {
      wake = std::min(wake, due);
    }
  }
  if (wake > now && wake != INT64_MAX) loop_->Arm(&timer_, wake);
  StartWrites();
  if (close_done_ && writing_.empty() && sealed_.empty() && open_used_ <= kFrameHeaderBytes) {
    if (!closing_sealed_) {
      closing_sealed_ = true;
      frame_us();
      SealOpenFrame();
      StartWrites();
    } else {
      loop_->Post(std::exchange(close_done_, nullptr));
    }
  }
}

void Journal::Release(Position settled) {
  while (!unsettled_.empty() && unsettled_.front().last <= settled) {
    unsettled_bytes_ -= unsettled_.front().bytes;
    unsettled_.pop_front();
  }
  std::vector<std::string> gone;                              // to be removed
  std::vector<std::pair<std::string, std::string>> recycled;  // to be renamed: from, to
  // A segment is done with when the one after it begins at or before the first unsettled position, on the medium: the
  // first segment that is there is never without a frame.
  while (segments_.size() > 1 && segments_[1].first != 0 && segments_[1].first <= std::min(settled + 1, durable_)) {
    uint64_t segment = segments_.front().segment;
    if (spares_.size() + spares_coming_ < kSparesMax) {
      recycled.emplace_back(SegmentPath(segment), fmt::format("{}/spare-{:016}.log", dir_, segment));
      ++spares_coming_;
    } else {
      gone.push_back(SegmentPath(segment));
    }
    segments_.pop_front();
  }
  if (gone.empty() && recycled.empty()) return;
  auto spares = std::make_shared<std::vector<std::string>>();
  loop_->RunOnWorker(
      rt::Worker::kFiles,
      [disk = disk_, dir = dir_, gone, recycled, spares] {
        for (const std::string& path : gone) {
          disk->Remove(path).Ignore("it holds nothing unsettled; the next opening reads past it");
        }
        for (const auto& [from, to] : recycled) {
          if (disk->Rename(from, to).ok()) spares->push_back(to);
        }
        // A spare gets a new header only once its old name is gone for good.
        if (!disk->SyncDir(dir).ok()) spares->clear();
      },
      [this, alive = alive_, spares, coming = recycled.size()] {
        if (!*alive) return;
        spares_coming_ -= coming;
        spares_.insert(spares_.end(), spares->begin(), spares->end());
      });
}

std::vector<uint64_t> Journal::SegmentsAfter(Position settled) const {
  std::vector<uint64_t> out;
  for (size_t i = 0; i < segments_.size(); ++i) {
    bool all_settled = i + 1 < segments_.size() && segments_[i + 1].first != 0 && segments_[i + 1].first <= settled + 1;
    if (!all_settled) out.push_back(segments_[i].segment);
  }
  return out;
}

void Journal::Close(std::function<void()> done) {
  close_done_ = std::move(done);
  loop_->Arm(&timer_, loop_->MonoMicros());
}

}  // namespace quipu::store
