// The shard's write-ahead log: records gather in the open frame; a frame becomes one synced write. While one or two
// writes are in flight the next frame gathers: at once when idle, otherwise after a short wait. Acknowledged strictly
// in order: durable() moves over a frame only when every earlier one is on the medium.
//
// Threads   The shard's loop. Segments are laid out and recycled on the loop's worker.
// Files     DIR/0000000000000001.log ...: see journal_format.h. Segments hold whole frames.
// Errors    A write or sync that fails is final: fenced() from then on, with the reason; what was in flight is unknown.
//           Where the next segment cannot be had nothing is lost: blocked(), and frames wait in memory until it can.
// Cost      Append is a copy into memory. One write and one sync per frame, whatever its number of records.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"
#include "rt/loop.h"
#include "store/embedded/journal_format.h"

namespace quipu::store {

struct JournalOptions {
  uint64_t segment_bytes = 64ull << 20;  // laid out ahead; up to 1 GiB. Larger: fewer files, longer first layout
  size_t frame_bytes_max = 4u << 20;     // one atomic step must fit; at most segment_bytes / 4
  size_t pending_bytes_max = 64u << 20;  // frames waiting for the disk; beyond it the shard refuses adds
  int writes_in_flight_max = 2;          // 1 halves the syncs, 2 shortens the wait for the next one
  int64_t commit_delay_us = 0;           // extra gathering when idle: larger batches, later answers
  int64_t busy_gather_us = 300;          // while a write is in flight the next waits for it or at most this long
  int64_t lazy_commit_us = 20'000;       // frames that nobody waits for (async, memory) are written after this
  // Beyond it writes, and so answers, are spread out by their bytes: the settler catches up.
  uint64_t unsettled_bytes_soft = UINT64_MAX;
};

// A segment as it stands on disk.
struct SegmentInfo {
  uint64_t segment = 0;
  Position first = 0;  // position of its first record, 0 while it has none
};

// Makes segment `header.segment` in `dir`, on the medium under its name when it returns. Blocking.
Status LayOutSegment(rt::Disk* disk, const std::string& dir, const SegmentHeader& header);

class Journal : public rt::TurnHook {
 public:
  // Where writing goes on after recovery.
  struct Start {
    uint64_t store_id[2] = {0, 0};
    uint32_t shard = 0;
    uint32_t epoch = 0;
    Position next = 1;  // position of the next record
    uint32_t previous_crc = 0;
    uint64_t segment = 0;               // to write on in, 0 = none yet
    uint64_t segment_bytes = 0;         // its size
    uint64_t offset = 0;                // in it
    Micros commit_us = 0;               // of the last frame
    uint64_t unsettled_bytes = 0;       // of the frames that are to be settled
    std::vector<SegmentInfo> segments;  // that are there, ascending, the last is `segment`
    // Frames that no later frame calls durable: written again before anything builds on them. A process before this one
    // may have failed to sync them, and then they are in the page cache only, and clean.
    struct Written {
      uint64_t segment = 0;
      uint64_t offset = 0;
      uint64_t bytes = 0;
    };
    std::vector<Written> unproven;
  };
  class Observer {
   public:
    // durable() has moved, or fenced() has become true. On the loop, at the start of a turn.
    virtual void OnJournalProgress() = 0;
    // How far what is not settled yet has filled its room: nothing up to 0, the pause after a write grows from there.
    virtual double MemoryPressure() const = 0;
    virtual ~Observer() = default;
  };

  Journal(rt::Loop* loop, rt::Disk* disk, std::string dir, const JournalOptions& options, const Start& start,
          Observer* observer);
  ~Journal() override;
  // Opens or lays out the segment to write to. Blocking; before anything else.
  Status Open();

  // ---- appending: Reserve, encode there, Commit
  // Room for `bytes` (at most frame_bytes_max / 2, which is at least 8 KiB) in the open frame; starts a new frame if it
  // would not fit. The pointer holds until the next call of Reserve or the end of the turn.
  char* Reserve(size_t bytes);
  // The `bytes` encoded at Reserve()'s pointer become part of the open frame; `records` of them take positions. Returns
  // the position of the last of them. `urgent`: somebody waits for it.
  Position Append(size_t bytes, uint32_t records, bool urgent);
  // Commit time of what is appended next: that of the open frame, which stays the same until the frame is sealed. Never
  // goes back.
  Micros frame_us();
  // Changes when a new frame is opened: bytes of the open frame may be patched while this stays the same.
  uint64_t frame_serial() const { return frame_serial_; }
  // What is appended next goes into another frame than what has been appended so far.
  void Seal() {
    if (open_records_ > 0) SealOpenFrame();
  }
  // Somebody waits for what has been appended so far.
  void Hurry() { urgent_ = true; }

  Position next() const { return next_; }
  // Position of the first record of the frame that was opened last.
  Position open_first() const { return open_first_; }
  Position durable() const { return durable_; }
  bool fenced() const { return fenced_; }
  const Status& fence_reason() const { return fence_reason_; }
  // Too much waits for the disk: refuse adds until it is false again.
  bool overloaded() const { return pending_bytes_ > options_.pending_bytes_max; }
  // Why the next segment cannot be laid out or opened: kStorageFull or kUnavailable, naming call, path and errno; kOk
  // if nothing is wrong. Adds are refused as long as that stands; it is tried again twice a second.
  const Status& blocked() const { return blocked_; }
  bool idle() const { return writing_.empty() && sealed_.empty() && open_used_ == 0; }

  // Everything up to `settled` is settled: whole segments below it are recycled, never the current one.
  void Release(Position settled);
  // Of frames written and not released yet.
  uint64_t unsettled_bytes() const { return unsettled_bytes_; }
  const std::string& dir() const { return dir_; }
  // The segments that hold positions after `settled`, for the settler: ascending.
  std::vector<uint64_t> SegmentsAfter(Position settled) const;

  // Writes what is there, then an empty frame that says so; done when on the medium, or fenced (for the reason in
  // blocked() if what is there needs another segment).
  void Close(std::function<void()> done);

  void OnTurnEnd() override;

 private:
  struct Buffer;  // one frame's aligned bytes, and its write
  static void OnWritten(rt::LogFile::WriteOp* op);

  void OpenFrame();
  void SealOpenFrame();
  void StartWrites();
  int64_t NextWriteAt() const;
  void Reap();
  void Fence(Status reason);
  void PrepareNextSegment();
  bool GoOnInNextSegment();
  void Block(const Status& reason);
  std::string SegmentPath(uint64_t segment) const;
  Buffer* TakeBuffer(size_t bytes);
  SegmentHeader HeaderOf(uint64_t segment) const;

  rt::Loop* loop_;
  rt::Disk* disk_;
  std::string dir_;
  JournalOptions options_;
  Start start_;
  Observer* observer_;

  // The open frame.
  Buffer* open_ = nullptr;
  size_t open_used_ = 0;  // bytes of it in use, with its header; 0 = not open
  uint32_t open_records_ = 0;
  Position open_first_ = 0;
  Micros open_us_ = 0;
  int64_t open_since_mono_ = 0;
  uint64_t frame_serial_ = 0;
  bool urgent_ = false;

  std::deque<Buffer*> sealed_;   // complete, waiting for the disk
  std::deque<Buffer*> writing_;  // in flight, in order
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<Buffer*> free_buffers_;
  size_t pending_bytes_ = 0;

  Position next_ = 1;
  Position durable_ = 0;
  uint32_t previous_crc_ = 0;
  Micros last_us_ = 0;
  int64_t last_start_mono_ = 0;
  size_t last_frame_bytes_ = 0;

  std::unique_ptr<rt::LogFile> file_;
  std::vector<std::unique_ptr<rt::LogFile>> retired_files_;  // still with writes in flight
  uint64_t segment_ = 0;
  uint64_t offset_ = 0;
  uint64_t segment_bytes_ = 0;  // of segment_: an older one may have another size than options_ say
  std::deque<SegmentInfo> segments_;
  size_t alignment_ = 4096;
  bool next_ready_ = false;  // segment_ + 1 is laid out
  bool preparing_ = false;
  Status blocked_;
  int64_t retry_mono_ = 0;           // when what is blocked is tried again
  std::vector<std::string> spares_;  // recycled files, ready to be laid out
  size_t spares_coming_ = 0;         // being recycled
  bool fenced_ = false;
  Status fence_reason_;
  struct Unsettled {
    Position last;
    uint64_t bytes;
  };
  std::deque<Unsettled> unsettled_;  // by frame
  uint64_t unsettled_bytes_ = 0;
  rt::Timer timer_;
  std::function<void()> close_done_;
  bool closing_sealed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace quipu::store
