#include "store/source.h"

#include <algorithm>

#include "base/assert.h"
#include "store/decide.h"

namespace quipu::store {

Status CheckSourceStep(const SourceStep& step) {
  const auto bad = [](std::string text) { return Status(Code::kInvalidArgument, std::move(text)); };
  if (step.to > kSourceOffsetMax) return bad(fmt::format("to is {}, at most {} is allowed", step.to, kSourceOffsetMax));
  if (step.to < step.from) return bad(fmt::format("to is {}, before from, which is {}", step.to, step.from));
  if (step.label.size() > kSourceLabelBytesMax) {
    return bad(fmt::format("label has {} bytes, at most {} are allowed", step.label.size(), kSourceLabelBytesMax));
  }
  if (step.refused > kSourceOffsetMax) {
    return bad(fmt::format("refused is {}, at most {} is allowed", step.refused, kSourceOffsetMax));
  }
  if (step.marks.size() > kSourceMarksMax) {
    return bad(fmt::format("marks are {}, at most {} are allowed", step.marks.size(), kSourceMarksMax));
  }
  uint64_t before = step.from;
  for (const SourceMark& mark : step.marks) {
    if (mark.offset <= before || mark.offset > step.to) {
      return bad(fmt::format("offset of a mark is {}, it must be {} to {}", mark.offset, before + 1, step.to));
    }
    if (mark.taken > kSourceOffsetMax || mark.refused > kSourceOffsetMax) {
      return bad(fmt::format("records of a mark are {} and {}, at most {} is allowed", mark.taken, mark.refused,
                             kSourceOffsetMax));
    }
    before = mark.offset;
  }
  return OkStatus();
}

bool UndoesSourceStep(Code code) {
  switch (code) {
    case Code::kNamespaceNotFound:
    case Code::kReadOnly:
    case Code::kQuotaExceeded:
    case Code::kStorageFull:
    case Code::kOverloaded:
    case Code::kUnavailable:
    case Code::kDataLoss:
      return true;
    default:
      return false;
  }
}

void ThinEnds(uint64_t offset, std::vector<SourceMark>* ends) {
  while (ends->size() > kSourceEndsMax) {
    // The one goes whose neighbours are nearest to each other for their distance behind `offset`; the first and the
    // last stay.
    size_t least = 1;
    unsigned __int128 least_gap = 0, least_distance = 0;
    for (size_t i = 1; i + 1 < ends->size(); ++i) {
      const unsigned __int128 gap = (*ends)[i + 1].offset - (*ends)[i - 1].offset;
      const unsigned __int128 distance = offset - (*ends)[i - 1].offset;
      if (i > 1 && gap * least_distance >= least_gap * distance) continue;
      least = i;
      least_gap = gap;
      least_distance = distance;
    }
    ends->erase(ends->begin() + static_cast<ptrdiff_t>(least));
  }
}

void TakeSourceStep(const SourceStep& step, std::span<const Op> ops, Micros now_us, SourceState* state) {
  QUIPU_ASSERT(state->offset == step.from, "the source stands at {}, the step begins at {}", state->offset, step.from);
  QUIPU_ASSERT(step.records.empty() || step.records.size() == ops.size(), "{} numbers of records for {} ops",
               step.records.size(), ops.size());
  if (step.reader == SourceReader::kNew && state->offset > 0 &&
      (state->ends.empty() || state->ends.back().offset < state->offset)) {
    state->ends.push_back(
        {.offset = state->offset, .fingerprint = state->fingerprint, .taken = state->taken, .refused = state->refused});
    ThinEnds(state->offset, &state->ends);
  }
  for (const SourceMark& mark : step.marks) {
    if (state->marks.size() == kSourceMarksMax) break;
    state->marks.push_back({.offset = mark.offset,
                            .fingerprint = mark.fingerprint,
                            .taken = state->taken + mark.taken,
                            .refused = state->refused + mark.refused});
  }
  state->id = step.id;
  state->anchor = step.anchor;
  state->offset = step.to;
  state->fingerprint = step.fingerprint;
  state->refused += step.refused;
  for (size_t i = 0; i < ops.size(); ++i) {
    const bool refused = ops[i].code != Code::kOk || (IsMutation(ops[i].kind) && ops[i].outcome == Outcome::kRefused);
    (refused ? state->refused : state->taken) += step.records.empty() ? 1 : step.records[i];
  }
  state->label = step.label;
  state->updated_us = now_us;
}

}  // namespace quipu::store
