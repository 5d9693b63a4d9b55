// Cuts a content into steps: whole records, what they add up to, which of them are refused, and the marks among them.
//
// Threads   One owner. Memory: the sums of one step, reused; a step owns its content.
// Errors    kConditionNotMet: a line that was taken before it was complete has grown.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ingest/aggregator.h"
#include "ingest/ingest_link.h"
#include "ingest/record_parser.h"

namespace quipu::ingest {

// A record that was not counted.
struct BadRecord {
  uint64_t line = 0;  // of the content, from 1
  std::string_view reason;
  std::string_view text;
};

uint64_t CountLines(std::string_view bytes);

// A piece of a content, with all that is needed to cut it again.
struct CutStep {
  struct Refusal {
    size_t at, size;  // in `content`
    uint64_t line;
    const char* reason;
  };
  std::string content;
  uint64_t from = 0, to = 0;
  RunningDigest before;
  Digest fingerprint;  // of everything before `to`
  uint64_t line_before = 0, line_after = 0;
  bool inside_line_before = false;  // the last byte before it is no line end
  uint64_t records = 0;
  std::vector<Refusal> refused;
  std::vector<Mark> marks;
  std::vector<uint64_t> names;  // hashes of the counters that it touches

  BadRecord bad(const Refusal& r) const {
    return {.line = r.line, .reason = r.reason, .text = WithoutLineEnd(std::string_view(content).substr(r.at, r.size))};
  }
};

class StepCutter {
 public:
  struct Limits {
    size_t entries = 0, name_bytes = 0;
    bool take_rest = false;  // what is left of the content is a record, also without a line end
  };

  explicit StepCutter(RecordParser* parser) : parser_(parser) {}
  // A content whose first record has head_bytes; header_bytes are the same if that is a header, else 0.
  void Begin(size_t head_bytes, size_t header_bytes);

  // Parses whole records from the step's content, as many as there are or the limits allow, into sums(). How many bytes
  // they have; with 0 the step is as before.
  Result<size_t> Cut(const Limits& limits, CutStep* step);
  // Ends the step behind its first `size` bytes, and takes `digest` there.
  void End(size_t size, RunningDigest* digest, CutStep* step) const;

  const Aggregator& sums() const { return sums_; }
  bool full(const Limits& limits) const;

  // The records behind entries that the server refused, in no order: the step is parsed once more to find them.
  std::vector<BadRecord> RecordsOf(const CutStep& step, const std::vector<RefusedEntry>& refused);

 private:
  bool TakeRecord(std::string_view record, size_t at, CutStep* step);
  void SetMarks(uint64_t end, CutStep* step) const;

  RecordParser* parser_;
  size_t head_bytes_ = 0, header_bytes_ = 0;
  Aggregator sums_;
};

}  // namespace quipu::ingest
