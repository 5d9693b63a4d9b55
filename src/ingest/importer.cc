#include "ingest/importer.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/assert.h"
#include "client/error_code.h"

namespace quipu::ingest {
namespace {

constexpr size_t kStepsUnderWay = 2;
constexpr size_t kRecordBytesMax = 4u << 20;
constexpr size_t kSkipBytes = 1u << 20;
constexpr size_t kPipeHeldBytesMax = 256u << 20;
constexpr size_t kStepEntriesMin = 16;
constexpr size_t kStepBytesMin = 64u << 10;
constexpr size_t kStepBytesFirst = 1u << 20;
constexpr int64_t kFirstPauseUs = 20'000, kLongestPauseUs = 1'000'000;

uint64_t CountLines(std::string_view bytes) {
  return static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

}  // namespace

// One content, from its first byte to its last.
class Importer::Run {
 public:
  Run(Importer* importer, std::string path, std::string label)
      : in_(*importer), path_(std::move(path)), label_(std::move(label)), last_progress_us_(Now()) {}

  Status Go() {
    for (;;) {
      moved_ = false;
      QUIPU_RETURN_IF_ERROR(OpenAndFind());
      if (!nothing_) QUIPU_RETURN_IF_ERROR(TakeSteps());
      if (!moved_) return OkStatus();
      // Somebody else took this source further, or took its id: look again at what it is now.
      if (!reader_->can_reopen()) {
        return Status(Code::kConditionNotMet, fmt::format("{}: another import took this source further meanwhile; "
                                                          "give the file instead of a pipe",
                                                          label_));
      }
    }
  }
  const ImportTotals& totals() const { return totals_; }

 private:
  struct Refusal {
    size_t at, size;  // in the step's content
    uint64_t line;
    const char* reason;
  };
  // A step that was sent, with all that is needed to cut it again.
  struct Sent {
    std::string content;
    uint64_t from = 0, to = 0;
    RunningDigest before;
    Digest fingerprint;
    uint64_t line_before = 0;
    bool inside_line_before = false;
    uint64_t records = 0;
    std::vector<Refusal> refused;
    std::vector<uint64_t> names;  // hashes
  };

  int64_t Now() const { return in_.host_.clock->MonoMicros(); }

  // Calls `attempt` until it succeeds, fails for good, or the patience ends.
  Status Patiently(const std::function<Status()>& attempt) {
    return client::RetryCall({.first_pause_us = kFirstPauseUs, .longest_pause_us = kLongestPauseUs}, in_.host_,
                             last_progress_us_ + in_.options_.patience_us, attempt);
  }

  // ---- finding out what the content is

  Status OpenAndFind() {
    QUIPU_ASSIGN_OR_RETURN(reader_, ContentReader::Open(path_));
    sent_.clear();
    tail_.clear();
    end_ = nothing_ = false;
    QUIPU_RETURN_IF_ERROR(ReadHead());
    if (nothing_) return OkStatus();
    std::vector<KnownSource> known;
    QUIPU_RETURN_IF_ERROR(Patiently([&]() -> Status {
      QUIPU_ASSIGN_OR_RETURN(known, in_.link_->FindSources(anchor_));
      return OkStatus();
    }));
    return SkipTaken(std::move(known));
  }

  // Reads until the first record is whole; takes anchor and header from it. All of it is put back.
  Status ReadHead() {
    std::string head;
    size_t record = kIncomplete;
    while ((record = in_.parser_->format().RecordSize(head)) == kIncomplete) {
      const size_t held = head.size();
      if (held >= kRecordBytesMax) return NoLineEnd(1);
      head.resize(held + kSkipBytes);
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader_->Read(std::span(head).subspan(held)));
      head.resize(held + n);
      if (n > 0) continue;
      if (in_.options_.final_line) record = head.size();
      break;
    }
    if (record == kIncomplete) {
      nothing_ = true;
      totals_.bytes_left = head.size();
      return OkStatus();
    }
    const std::string_view first = std::string_view(head).substr(0, record);
    anchor_ = AnchorOf(DigestToHex(in_.specification_), WithoutLineEnd(first.substr(0, first.find('\n'))));
    header_bytes_ = in_.parser_->format().has_header() ? record : 0;
    Status status = OkStatus();
    if (header_bytes_ > 0) status = in_.parser_->Begin(WithoutLineEnd(first));
    reader_->PutBack(head);
    return status;
  }

  // Streams over what a known source has taken already, and stands after it.
  Status SkipTaken(std::vector<KnownSource> known) {
    id_ = UnusedSourceId(anchor_, known);
    SourceMatcher matcher(std::move(known));
    std::string buffer(kSkipBytes, '\0'), held;
    uint64_t lines = 0;
    StandAt(0, RunningDigest(), 0, false);
    while (matcher.BytesToNext() > 0) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(matcher.BytesToNext(), buffer.size()));
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader_->Read(std::span(buffer).first(want)));
      if (n == 0) break;
      const std::string_view bytes(buffer.data(), n);
      lines += CountLines(bytes);
      if (!reader_->can_reopen()) held.append(bytes);
      if (held.size() > kPipeHeldBytesMax) {
        return Status(Code::kTooLarge, fmt::format("{}: more than {} bytes must be read to know how far it was taken "
                                                   "before; give the file instead of a pipe",
                                                   label_, kPipeHeldBytesMax));
      }
      if (!matcher.Take(bytes)) continue;
      held.clear();
      StandAt(matcher.offset(), matcher.digest(), lines, bytes.back() != '\n');
      id_ = matcher.best()->id;
    }
    const uint64_t header_lines = offset_ > 0 && header_bytes_ > 0 ? 1 : 0;
    const uint64_t own = totals_.records_taken + totals_.records_refused;
    totals_.lines_already = std::max(totals_.lines_already, std::max(line_, own + header_lines) - own - header_lines);
    if (offset_ == matcher.offset()) return OkStatus();
    // Read further than the source goes.
    if (!reader_->can_reopen()) {
      reader_->PutBack(held);
      return OkStatus();
    }
    QUIPU_ASSIGN_OR_RETURN(reader_, ContentReader::Open(path_));
    for (uint64_t skipped = 0; skipped < offset_;) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(offset_ - skipped, buffer.size()));
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader_->Read(std::span(buffer).first(want)));
      if (n == 0) return Status(Code::kUnavailable, fmt::format("{}: became shorter while it was read", label_));
      skipped += n;
    }
    return OkStatus();
  }

  void StandAt(uint64_t offset, const RunningDigest& digest, uint64_t line, bool inside_line) {
    offset_ = offset;
    digest_ = digest;
    line_ = line;
    inside_line_ = inside_line;
  }

  // ---- taking it

  Status TakeSteps() {
    while (!moved_) {
      if (sent_.size() == kStepsUnderWay || (end_ && !sent_.empty())) {
        QUIPU_RETURN_IF_ERROR(TakeAnswer());
      } else if (end_) {
        return OkStatus();
      } else {
        QUIPU_RETURN_IF_ERROR(CutAndSend());
      }
    }
    return OkStatus();
  }

  Status NoLineEnd(uint64_t line) const {
    return Status(Code::kInvalidArgument, fmt::format("{}: line {} does not end within {} bytes; is this a text file?",
                                                      label_, line, kRecordBytesMax));
  }

  // Fills `content` up to `size` bytes or the end.
  Status Fill(std::string* content, size_t size) {
    size_t held = content->size();
    content->resize(std::max(size, held));
    while (held < content->size() && !end_) {
      Result<size_t> n = reader_->Read(std::span(*content).subspan(held));
      if (!n.ok()) {
        content->resize(held);
        return n.status();
      }
      held += *n;
      end_ = *n == 0;
    }
    content->resize(held);
    return OkStatus();
  }

  Status CutAndSend() {
    Sent step;
    step.content = std::move(tail_);
    tail_.clear();
    step.from = offset_;
    step.before = digest_;
    step.line_before = line_;
    step.inside_line_before = inside_line_;
    sums_.Clear();
    size_t used = 0;
    for (size_t want = std::min(next_bytes_, in_.options_.step_bytes); used == 0; want = kRecordBytesMax) {
      QUIPU_RETURN_IF_ERROR(Fill(&step.content, want));
      QUIPU_ASSIGN_OR_RETURN(used, ParseContent(&step));
      if (used == 0 && !end_ && step.content.size() >= kRecordBytesMax) return NoLineEnd(line_ + 1);
      if (used == 0 && end_) {
        totals_.bytes_left = step.content.size();
        return OkStatus();
      }
    }
    tail_ = step.content.substr(used);
    // Reads about as much as the next step can take, since what it cannot is moved.
    next_bytes_ = std::max(kStepBytesMin, sums_full() ? used + used / 4 : std::min(2 * next_bytes_, kRecordBytesMax));
    step.content.resize(used);
    // What did not fit is still to be cut, even if the input has ended.
    if (!tail_.empty() && end_ && (in_.options_.final_line || tail_.find('\n') != std::string::npos)) end_ = false;
    if (end_) totals_.bytes_left = tail_.size();
    digest_.Update(step.content);
    step.fingerprint = digest_.Value();
    offset_ = step.to = step.from + used;
    for (size_t i = 0; i < sums_.size(); ++i) {
      if (!sums_.entry(i).refused) step.names.push_back(sums_.entry(i).name_hash);
    }
    const Status status = in_.link_->SendStep({.id = id_,
                                               .anchor = anchor_,
                                               .fingerprint = step.fingerprint,
                                               .from = step.from,
                                               .to = step.to,
                                               .label = label_},
                                              sums_);
    sent_.push_back(std::move(step));
    return status.ok() ? status : Recover(status);
  }

  // Parses whole records from the step's content into sums_; how many bytes they have.
  Result<size_t> ParseContent(Sent* step) {
    const std::string_view content = step->content;
    size_t at = 0;
    if (step->from == 0 && header_bytes_ > 0) {
      if (content.size() < header_bytes_) return size_t{0};
      at = header_bytes_;
      line_ += CountLines(content.substr(0, at));
    } else if (inside_line_ && !content.empty()) {
      // --final-line took a line whose end has come since.
      at = content.starts_with("\r\n") ? 2 : 1;
      if (content[at - 1] != '\n') {
        return Status(Code::kConditionNotMet, fmt::format("{}: line {} was taken with --final-line before it was "
                                                          "complete and has grown since",
                                                          label_, line_ + 1));
      }
      inside_line_ = false;
      ++line_;
    }
    while (at < content.size() && !sums_full()) {
      const std::string_view rest = content.substr(at);
      size_t size = in_.parser_->format().RecordSize(rest);
      if (size == kIncomplete && end_ && in_.options_.final_line) size = rest.size();
      if (size == kIncomplete) break;
      ParseRecord(rest.substr(0, size), at, step);
      at += size;
    }
    return at;
  }

  bool sums_full() const {
    return sums_.size() >= in_.options_.step_entries || sums_.name_bytes() >= in_.options_.step_name_bytes;
  }

  void ParseRecord(std::string_view record, size_t at, Sent* step) {
    ++line_;
    const std::string_view text = WithoutLineEnd(record);
    if (text.empty()) return;  // blank lines say nothing
    ++step->records;
    if (const char* reason = in_.parser_->Parse(text, &sums_))
      step->refused.push_back({at, record.size(), line_, reason});
    line_ += CountLines(text);  // of quoted line ends
  }

  // ---- answers

  Status TakeAnswer() {
    Result<StepAnswer> answer = in_.link_->ReceiveAnswer();
    if (!answer.ok()) return Recover(answer.status());
    if (!answer->applied) return Recover(OkStatus());
    Acknowledge(*answer);
    return OkStatus();
  }

  // The oldest step is committed.
  void Acknowledge(const StepAnswer& answer) {
    Sent& step = sent_.front();
    std::vector<std::pair<BadRecord, std::string>> bad;
    for (const Refusal& r : step.refused) {
      const std::string_view text = std::string_view(step.content).substr(r.at, r.size);
      bad.push_back({{.line = r.line, .reason = r.reason, .text = WithoutLineEnd(text)}, ""});
    }
    if (!answer.refused.empty()) FindRefusedByServer(step, answer.refused, &bad);
    totals_.records_taken += step.records - bad.size();
    totals_.records_refused += bad.size();
    totals_.steps += 1;
    for (const uint64_t name : step.names) names_.insert(name);
    totals_.counters = names_.size();
    for (auto& [record, reason] : bad) {
      if (!reason.empty()) record.reason = reason;
      in_.observer_->OnRefused(record);
    }
    last_progress_us_ = Now();
    in_.observer_->OnProgress(totals_, reader_->stored_bytes_read(), reader_->stored_bytes());
    sent_.pop_front();
  }

  // The records behind entries that the server refused: the step is parsed once more to find them.
  void FindRefusedByServer(const Sent& step, const std::vector<RefusedEntry>& refused,
                           std::vector<std::pair<BadRecord, std::string>>* bad) {
    Aggregator sums;
    std::vector<std::pair<size_t, BadRecord>> counted;  // by entry
    const std::string_view content = step.content;
    uint64_t line = step.line_before;
    size_t at = step.from == 0 ? header_bytes_ : 0;
    line += CountLines(content.substr(0, at));
    while (at < content.size()) {
      size_t size = in_.parser_->format().RecordSize(content.substr(at));
      if (size == kIncomplete) size = content.size() - at;
      const std::string_view text = WithoutLineEnd(content.substr(at, size));
      at += size;
      ++line;
      if (!text.empty() && in_.parser_->Parse(text, &sums) == nullptr) {
        counted.push_back({sums.last(), {.line = line, .reason = {}, .text = text}});
      }
      line += CountLines(text);
    }
    std::vector<size_t> sent;  // entry numbers in the order in which they were sent
    for (size_t i = 0; i < sums.size(); ++i) {
      if (!sums.entry(i).refused) sent.push_back(i);
    }
    for (const RefusedEntry& r : refused) {
      if (r.index >= sent.size()) continue;
      for (const auto& [entry, record] : counted) {
        if (entry == sent[r.index]) bad->push_back({record, r.reason});
      }
    }
  }

  // Nobody knows what became of the steps under way, or the source stands elsewhere. Asks where it stands, drops what
  // is committed and cuts the rest again.
  Status Recover(const Status& why) {
    in_.link_->Reset();
    if (!why.ok() && !client::IsRetryable(why.code()) && why.code() != Code::kTooLarge) return why;
    if (why.code() == Code::kTooLarge) {
      if (in_.options_.step_entries <= kStepEntriesMin) return why;
      in_.options_.step_entries /= 2;
      in_.options_.step_name_bytes /= 2;
      in_.options_.step_bytes /= 2;
    }
    if (Now() > last_progress_us_ + in_.options_.patience_us) return why.ok() ? Standstill() : why;
    std::vector<KnownSource> known;
    bool asked_before = why.ok() || why.code() == Code::kTooLarge;
    const Status status = Patiently([&]() -> Status {
      // The first attempt comes after a pause too: a server that has just failed is not asked at once.
      if (!std::exchange(asked_before, true)) return why;
      QUIPU_ASSIGN_OR_RETURN(known, in_.link_->FindSources(anchor_));
      return OkStatus();
    });
    if (!status.ok()) return status;

    const auto ours = std::find_if(known.begin(), known.end(), [this](const KnownSource& s) { return s.id == id_; });
    const uint64_t stands = ours == known.end() ? 0 : ours->offset;
    size_t committed = 0;
    if (stands == sent_.front().from) {
      moved_ = stands > 0 && ours->fingerprint != sent_.front().before.Value();
    } else {
      while (committed < sent_.size() && sent_[committed].to != stands) ++committed;
      moved_ = committed == sent_.size() || sent_[committed].fingerprint != ours->fingerprint;
      ++committed;
    }
    if (moved_) return OkStatus();
    for (; committed > 0; --committed) Acknowledge({.applied = true, .offset = stands, .refused = {}});
    CutAgain();
    return OkStatus();
  }

  Status Standstill() const {
    return Status(Code::kUnavailable, fmt::format("{}: no progress in time; another import keeps moving it", label_));
  }

  void CutAgain() {
    reader_->PutBack(tail_);
    tail_.clear();
    end_ = false;
    if (sent_.empty()) return;
    const Sent& first = sent_.front();
    StandAt(first.from, first.before, first.line_before, first.inside_line_before);
    for (auto step = sent_.rbegin(); step != sent_.rend(); ++step) reader_->PutBack(step->content);
    sent_.clear();
  }

  Importer& in_;
  const std::string path_, label_;
  ImportTotals totals_;
  boost::unordered_flat_set<uint64_t> names_;  // hashes of the counters touched
  std::unique_ptr<ContentReader> reader_;
  Digest anchor_, id_;
  size_t header_bytes_ = 0;
  bool nothing_ = false;  // not even one whole record
  bool moved_ = false;    // the source is not where this import thought

  // Where cutting stands.
  uint64_t offset_ = 0;
  RunningDigest digest_;
  uint64_t line_ = 0;         // lines before offset_
  bool inside_line_ = false;  // the last byte taken is no line end
  std::string tail_;          // read, not cut
  size_t next_bytes_ = kStepBytesFirst;
  bool end_ = false;  // nothing more to read or cut
  Aggregator sums_;
  std::deque<Sent> sent_;
  int64_t last_progress_us_;
};

Importer::Importer(RecordParser* parser, Digest specification, IngestLink* link, client::RetryHost host,
                   ImportOptions options, ImportObserver* observer)
    : parser_(parser),
      specification_(specification),
      link_(link),
      host_(std::move(host)),
      options_(options),
      observer_(observer) {}
Importer::~Importer() = default;

Status Importer::Import(const std::string& path, const std::string& label) {
  run_ = std::make_unique<Run>(this, path, label);
  return run_->Go();
}

const ImportTotals& Importer::totals() const { return run_->totals(); }

}  // namespace quipu::ingest
