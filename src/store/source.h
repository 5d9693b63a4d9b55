// How far an outside source of events (a log file, a stream partition) has been taken, committed with the counts; and
// what of its content can be proven later: marks and ends. The store knows no content. Digests and offsets are the
// reader's, and the rule by which a step changes a source is here, one for all engines.
//
// Memory    A state takes at most 4 KiB: kSourceMarksMax marks, kSourceEndsMax ends.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ids.h"
#include "store/op.h"

namespace quipu::store {

inline constexpr size_t kSourceMarksMax = 64;
inline constexpr size_t kSourceEndsMax = 16;
inline constexpr size_t kSourceLabelBytesMax = 255;
// Offsets, and numbers of records: what the protocol's integers and a journal's varints hold.
inline constexpr uint64_t kSourceOffsetMax = INT64_MAX;

struct SourceId {
  uint64_t hi = 0, lo = 0;
  bool operator==(const SourceId&) const = default;
  auto operator<=>(const SourceId&) const = default;
};

// A place in a source's content by which the content before it can be recognised.
struct SourceMark {
  uint64_t offset = 0;
  SourceId fingerprint;             // the reader's digest of the content before `offset`
  uint64_t taken = 0, refused = 0;  // records before it
  bool operator==(const SourceMark&) const = default;
};

struct SourceState {
  SourceId id;
  SourceId anchor;       // what the source can be found by before its content is known in full
  uint64_t offset = 0;   // everything before it is counted
  SourceId fingerprint;  // the reader's digest of the content before `offset`; opaque to the store
  uint64_t taken = 0;    // records before `offset` that are counted
  uint64_t refused = 0;  // and those that are not: the reader or the store refused them
  std::string label;     // for people: the file's name at the last step
  Micros updated_us = 0;
  // Ascending, offsets below `offset` or at it.
  std::vector<SourceMark> marks;  // those that readers asked to keep; the first kSourceMarksMax stay for ever. Of a
                                  // step the store's own refusals are counted behind its marks
  std::vector<SourceMark> ends;   // where the source stood when a new reader went on with it; thinned out
  bool operator==(const SourceState&) const = default;
};

enum class SourceReader : uint8_t {
  kSame,  // the one that brought the step before
  kNew,   // where the source stands is where the one before it ended: to be kept as an end
};

// A step of a source. The batch's ops are applied only if the source stands at `from` (0 for one never seen), and the
// new state is committed with them, or not at all.
struct SourceStep {
  SourceId id, anchor;
  SourceId fingerprint;  // of the content before `to`
  uint64_t from = 0, to = 0;
  std::string_view label;
  SourceReader reader = SourceReader::kSame;
  std::span<const SourceMark> marks;  // from < offset <= to; taken and refused count from `from` on
  uint64_t refused = 0;               // records that never became an op
  std::span<const uint32_t> records;  // how many each op of the batch stands for; empty: one each
};

// kInvalidArgument, with the field, its value and the limit, for what no store may be given.
Status CheckSourceStep(const SourceStep& step);

// Whether an op's error, one that the same op may not meet later, undoes the whole step: what a source has passed is
// not offered again. What stays an error for ever (an overflow, an event time that cannot be stored) is passed and
// counts as refused.
bool UndoesSourceStep(Code code);

// Takes the state from step.from to step.to. `ops` are decided: those with an error or a refusal count as refused.
void TakeSourceStep(const SourceStep& step, std::span<const Op> ops, Micros now_us, SourceState* state);

// Leaves kSourceEndsMax ends: the further one lies behind `offset`, the further its neighbours are.
void ThinEnds(uint64_t offset, std::vector<SourceMark>* ends);

}  // namespace quipu::store
