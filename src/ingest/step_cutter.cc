#include "ingest/step_cutter.h"

#include <algorithm>

#include "ingest/source_identity.h"

namespace quipu::ingest {

uint64_t CountLines(std::string_view bytes) {
  return static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

void StepCutter::Begin(size_t head_bytes, size_t header_bytes) {
  head_bytes_ = head_bytes;
  header_bytes_ = header_bytes;
}

bool StepCutter::full(const Limits& limits) const {
  return sums_.size() >= limits.entries || sums_.name_bytes() >= limits.name_bytes;
}

Result<size_t> StepCutter::Cut(const Limits& limits, CutStep* step) {
  const std::string_view content = step->content;
  sums_.Clear();
  size_t at = 0;
  uint64_t line = step->line_before;
  if (step->from == 0 && header_bytes_ > 0) {
    if (content.size() < header_bytes_) return size_t{0};
    at = header_bytes_;
    line += CountLines(content.substr(0, at));
  } else if (step->inside_line_before && !content.empty()) {
    // --final-line took a line whose end has come since.
    at = content.starts_with("\r\n") ? 2 : 1;
    if (content[at - 1] != '\n') {
      return Status(
          Code::kConditionNotMet,
          fmt::format("line {} was taken with --final-line before it was complete and has grown since", line + 1));
    }
    ++line;
  }
  step->line_after = line;
  while (at < content.size() && !full(limits)) {
    const std::string_view rest = content.substr(at);
    size_t size = parser_->format().RecordSize(rest);
    if (size == kIncomplete && limits.take_rest) size = rest.size();
    if (size == kIncomplete || !TakeRecord(rest.substr(0, size), at, step)) break;
    at += size;
  }
  SetMarks(step->from + at + 1, step);
  return at;
}

// False: the sums are full, the record belongs into the next step.
bool StepCutter::TakeRecord(std::string_view record, size_t at, CutStep* step) {
  const std::string_view text = WithoutLineEnd(record);
  // Blank lines say nothing.
  const char* const reason = text.empty() ? nullptr : parser_->Parse(text, &sums_);
  if (reason == RecordParser::kSumsFull) return false;
  SetMarks(step->from + at + record.size(), step);
  ++step->line_after;
  if (text.empty()) return true;
  ++step->records;
  if (reason != nullptr) step->refused.push_back({at, record.size(), step->line_after, reason});
  step->line_after += CountLines(text);  // of quoted line ends
  return true;
}

// Those before the place `end`, at which the step's records so far have ended.
void StepCutter::SetMarks(uint64_t end, CutStep* step) const {
  uint64_t last = step->marks.empty() ? step->from : step->marks.back().offset;
  const uint64_t refused = step->refused.size();
  while ((last = NextMark(head_bytes_, last)) < end) {
    step->marks.push_back({.offset = last, .fingerprint = {}, .taken = step->records - refused, .refused = refused});
  }
}

void StepCutter::End(size_t size, RunningDigest* digest, CutStep* step) const {
  step->content.resize(size);
  step->to = step->from + size;
  const std::string_view content = step->content;
  size_t digested = 0;
  for (Mark& mark : step->marks) {
    const size_t end = mark.offset - step->from;
    digest->Update(content.substr(digested, end - digested));
    mark.fingerprint = digest->Value();
    digested = end;
  }
  digest->Update(content.substr(digested));
  step->fingerprint = digest->Value();
  for (size_t i = 0; i < sums_.size(); ++i) {
    if (!sums_.entry(i).refused) step->names.push_back(sums_.entry(i).name_hash);
  }
}

std::vector<BadRecord> StepCutter::RecordsOf(const CutStep& step, const std::vector<RefusedEntry>& refused) {
  Aggregator sums;
  std::vector<std::pair<size_t, BadRecord>> counted;  // by entry
  const std::string_view content = step.content;
  uint64_t line = step.line_before;
  size_t at = step.from == 0 ? header_bytes_ : 0;
  line += CountLines(content.substr(0, at));
  while (at < content.size()) {
    size_t size = parser_->format().RecordSize(content.substr(at));
    if (size == kIncomplete) size = content.size() - at;
    const std::string_view text = WithoutLineEnd(content.substr(at, size));
    at += size;
    ++line;
    if (!text.empty() && parser_->Parse(text, &sums) == nullptr) {
      counted.push_back({sums.last(), {.line = line, .reason = {}, .text = text}});
    }
    line += CountLines(text);
  }
  std::vector<size_t> sent;  // entry numbers in the order in which they were sent
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!sums.entry(i).refused) sent.push_back(i);
  }
  std::vector<BadRecord> bad;
  for (const RefusedEntry& r : refused) {
    if (r.index >= sent.size()) continue;
    for (const auto& [entry, record] : counted) {
      if (entry != sent[r.index]) continue;
      bad.push_back(record);
      bad.back().reason = r.reason;
    }
  }
  return bad;
}

}  // namespace quipu::ingest
