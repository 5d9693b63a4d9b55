// Reads a shard's journal in order: for recovery, for settling, and for the offline check. Knows where it ends, and
// tells a torn tail (writes that were in flight when the power went: never acknowledged) from damage.
//
// A place where no valid next frame stands is the end, unless a later frame says that the journal was durable beyond
// it: then bytes that had been on the medium are gone, and that is damage, named by file, offset and positions.
//
// Threads   Any one. Reads only.
// Errors    kDataLoss (damage; refuse to guess), kUnavailable (a read failed).
// Cost      About 1 GB/s; one segment in memory at a time.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "rt/disk.h"
#include "store/embedded/journal.h"

namespace quipu::store {

struct JournalIdentity {
  uint64_t store_id[2] = {0, 0};
  uint32_t shard = 0;
};

struct JournalEnd {
  Journal::Start start;  // where writing goes on; epoch is one above every epoch seen
  // Segments after the end, and those before a gap that only settled positions fell into: nothing in them was
  // acknowledged and is not settled. To be removed first.
  std::vector<std::string> unneeded;
  // Where `visit` ended the journal before a frame: offsets of the valid frames from there on in the last segment. They
  // must be wiped, last one first, before anything is written.
  std::vector<uint64_t> cut_frames;
  uint64_t frames = 0;
};

// Whether a file of this name is a segment.
bool IsSegmentName(std::string_view name);

// Visits every frame that holds positions after `settled`, in order. `visit` returns kOk to go on; kConditionNotMet
// ends the journal before this frame (an atomic step that another shard lost); any other error stops the reading.
Result<JournalEnd> ReadJournal(rt::Disk* disk, const std::string& dir, const JournalIdentity& identity,
                               Position settled,
                               const std::function<Status(const FrameHeader&, std::string_view payload)>& visit);

// Makes what ReadJournal found beyond the end disappear for good: without this, frames from before a crash could pass
// for proof of damage later. Idempotent; a crash in between leaves a journal that reads the same.
Status WipeBeyond(rt::Disk* disk, const std::string& dir, const JournalEnd& end);

// Visits the frames with positions in (after, through] of segments known to be whole (the settler's case).
Status ReadFrames(rt::Disk* disk, const std::string& dir, const std::vector<uint64_t>& segments, Position after,
                  Position through, const std::function<Status(const FrameHeader&, std::string_view payload)>& visit);

}  // namespace quipu::store
