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

}  // namespace

// One content, from its first byte to its last.
class Importer::Run {
 public:
  Run(Importer* importer, std::string path, std::string label)
      : in_(*importer),
        path_(std::move(path)),
        label_(std::move(label)),
        cutter_(importer->parser_),
        last_progress_us_(Now()) {}

  Status Go() {
    Status status = Take();
    if (!status.ok()) TakeLastAnswers();
    return status;
  }
  const ImportTotals& totals() const { return totals_; }
  bool concerns_all_files() const { return concerns_all_files_; }

 private:
  Status Take() {
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

  int64_t Now() const { return in_.host_.clock->MonoMicros(); }

  // An error of the server or the observer, which another file would meet as well.
  Status OfAllFiles(Status status) {
    if (!status.ok()) concerns_all_files_ = true;
    return status;
  }

  // Before another try: the longer, the more there were without progress.
  void Pause() {
    in_.host_.pause(static_cast<int64_t>(in_.host_.random->Next() % static_cast<uint64_t>(pause_bound_us_ + 1)));
    pause_bound_us_ = std::min(2 * pause_bound_us_, kLongestPauseUs);
  }

  // Calls `attempt` until it succeeds, fails for good, or the patience ends.
  Status Patiently(const std::function<Status()>& attempt) {
    return client::RetryCall({.first_pause_us = kFirstPauseUs, .longest_pause_us = kLongestPauseUs}, in_.host_,
                             last_progress_us_ + in_.options_.patience_us, attempt);
  }

  // ---- finding out what the content is

  Status OpenAndFind() {
    QUIPU_ASSIGN_OR_RETURN(reader_, ContentReader::Open(path_));
    sent_.clear();
    in_doubt_ = false;
    tail_.clear();
    end_ = nothing_ = false;
    QUIPU_RETURN_IF_ERROR(Verify());
    QUIPU_RETURN_IF_ERROR(ReadHead());
    if (nothing_) return OkStatus();
    std::vector<KnownSource> known;
    QUIPU_RETURN_IF_ERROR(OfAllFiles(Patiently([&]() -> Status {
      QUIPU_ASSIGN_OR_RETURN(known, in_.link_->FindSources(anchor_));
      return OkStatus();
    })));
    return SkipTaken(std::move(known));
  }

  // A compressed file is read to its end before anything of it counts: what is damaged decodes to lines that nobody
  // wrote, and the checksum that tells comes behind them.
  Status Verify() {
    if (!reader_->can_reopen() || std::exchange(verified_, true)) return OkStatus();
    QUIPU_ASSIGN_OR_RETURN(const std::unique_ptr<ContentReader> all, ContentReader::Open(path_));
    std::string buffer(kSkipBytes, '\0');
    for (;;) {
      const Result<size_t> n = all->Read(buffer);
      if (n.code() == Code::kDataLoss) {
        return Status(n.code(), fmt::format("{}; nothing of it is counted now", n.status().message()));
      }
      if (!n.ok()) return n.status();
      if (*n == 0 || !all->compressed()) return OkStatus();
    }
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
    const bool has_header = in_.parser_->format().has_header();
    cutter_.Begin(record, has_header ? record : 0);
    Status status = OkStatus();
    if (has_header) status = in_.parser_->Begin(WithoutLineEnd(first));
    reader_->PutBack(head);
    return status;
  }

  // Streams over what a known source has taken already, and stands after it.
  Status SkipTaken(std::vector<KnownSource> known) {
    id_ = UnusedSourceId(anchor_, known);
    SourceMatcher matcher(std::move(known));
    std::string buffer(kSkipBytes, '\0'), held;
    uint64_t lines = 0, line_end = 0;  // where the last line ends
    StandAt(0, RunningDigest(), 0, false);
    known_refused_ = 0;
    while (matcher.BytesToNext() > 0) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(matcher.BytesToNext(), buffer.size()));
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader_->Read(std::span(buffer).first(want)));
      if (n == 0) break;
      const std::string_view bytes(buffer.data(), n);
      lines += CountLines(bytes);
      if (const size_t last = bytes.rfind('\n'); last != bytes.npos) line_end = matcher.offset() + last + 1;
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
      known_refused_ = matcher.best()->stands.refused;
    }
    if (const auto longer = matcher.longer()) return TakeNothing(*longer, matcher.offset(), line_end);
    found_at_ = offset_;
    if (matcher.best()) CountAlready(matcher.best()->stands);
    if (offset_ == matcher.offset()) return OkStatus();
    // Read further than the source goes.
    if (!reader_->can_reopen()) {
      reader_->PutBack(held);
      return OkStatus();
    }
    QUIPU_ASSIGN_OR_RETURN(reader_, ContentReader::Open(path_));
    RunningDigest again;
    for (uint64_t skipped = 0; skipped < offset_;) {
      const size_t want = static_cast<size_t>(std::min<uint64_t>(offset_ - skipped, buffer.size()));
      QUIPU_ASSIGN_OR_RETURN(const size_t n, reader_->Read(std::span(buffer).first(want)));
      if (n == 0) return Status(Code::kUnavailable, fmt::format("{}: became shorter while it was read", label_));
      again.Update(std::string_view(buffer).substr(0, n));
      skipped += n;
    }
    if (again.Value() == digest_.Value()) return OkStatus();
    return Status(Code::kUnavailable, fmt::format("{}: changed while it was read", label_));
  }

  // The content agrees with a source that was taken further, and ends: there is nothing to count, or no telling.
  Status TakeNothing(const SourceMatcher::Longer& longer, uint64_t size, uint64_t line_end) {
    const Mark& agreed = longer.agreed;
    if (agreed.offset < (in_.options_.final_line ? size : line_end)) {
      return Status(
          Code::kConditionNotMet,
          fmt::format("{}: its first {} bytes are those of a longer log, imported as {} up to byte {}; of its other {} "
                      "bytes that cannot be told. Nothing is counted: a copy of that log, older or cut, is counted "
                      "already; if it is a log of its own, --source NAME counts it as that",
                      label_, agreed.offset, longer.source->label, longer.source->stands.offset, size - agreed.offset));
    }
    CountAlready(agreed);
    totals_.bytes_left = size > agreed.offset ? size - line_end : 0;
    nothing_ = true;
    return OkStatus();
  }

  void CountAlready(const Mark& stands) {
    // What this import took itself is no earlier one's.
    const uint64_t own = totals_.records_taken, own_refused = totals_.records_refused;
    totals_.records_already = std::max(totals_.records_already, stands.taken - std::min(stands.taken, own));
    totals_.records_already_refused =
        std::max(totals_.records_already_refused, stands.refused - std::min(stands.refused, own_refused));
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
    return Status(Code::kDataLoss, fmt::format("{}: line {} does not end within {} bytes; is this a text file?", label_,
                                               line, kRecordBytesMax));
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
    CutStep step;
    step.content = std::move(tail_);
    tail_.clear();
    step.from = offset_;
    step.before = digest_;
    step.line_before = line_;
    step.inside_line_before = inside_line_;
    size_t used = 0;
    StepCutter::Limits limits;
    for (size_t want = std::min(next_bytes_, in_.options_.step_bytes); used == 0; want = kRecordBytesMax) {
      QUIPU_RETURN_IF_ERROR(Fill(&step.content, want));
      limits = {.entries = in_.options_.step_entries,
                .name_bytes = in_.options_.step_name_bytes,
                .take_rest = end_ && in_.options_.final_line};
      Result<size_t> cut = cutter_.Cut(limits, &step);
      if (!cut.ok()) return Status(cut.code(), fmt::format("{}: {}", label_, cut.status().message()));
      used = *cut;
      if (used == 0 && !end_ && step.content.size() >= kRecordBytesMax) return NoLineEnd(line_ + 1);
      if (used == 0 && end_) {
        totals_.bytes_left = step.content.size();
        return OkStatus();
      }
    }
    tail_ = step.content.substr(used);
    // Reads about as much as the next step can take, since what it cannot is moved.
    next_bytes_ =
        std::max(kStepBytesMin, cutter_.full(limits) ? used + used / 4 : std::min(2 * next_bytes_, kRecordBytesMax));
    // What did not fit is still to be cut, even if the input has ended.
    if (!tail_.empty() && end_ && (in_.options_.final_line || tail_.find('\n') != std::string::npos)) end_ = false;
    if (end_) totals_.bytes_left = tail_.size();
    cutter_.End(used, &digest_, &step);
    offset_ = step.to;
    line_ = step.line_after;
    inside_line_ = false;
    QUIPU_RETURN_IF_ERROR(OfAllFiles(TellRefused(step)));
    const Status status = in_.link_->SendStep({.id = id_,
                                               .anchor = anchor_,
                                               .fingerprint = step.fingerprint,
                                               .from = step.from,
                                               .to = step.to,
                                               .label = label_,
                                               .new_reader = step.from == found_at_ && step.from > 0,
                                               .refused = step.refused.size(),
                                               .marks = step.marks},
                                              cutter_.sums());
    sent_.push_back(std::move(step));
    return status.ok() ? status : Recover(status);
  }

  // Before the step may be committed, since after that nobody comes by its records again.
  Status TellRefused(const CutStep& step) {
    bool told = false;
    for (const CutStep::Refusal& r : step.refused) {
      if (step.from + r.at < told_to_) continue;
      QUIPU_RETURN_IF_ERROR(in_.observer_->OnRefused(step.bad(r)));
      told = true;
    }
    told_to_ = std::max(told_to_, step.to);
    return told ? in_.observer_->KeepRefused() : OkStatus();
  }

  // ---- answers

  Status TakeAnswer() {
    Result<StepAnswer> answer = in_.link_->ReceiveAnswer();
    if (!answer.ok()) return Recover(answer.status());
    if (!answer->applied) return Recover(OkStatus());
    return OfAllFiles(Acknowledge(*answer));
  }

  // The import ends here; what is under way is taken note of, so that the report says what the server has taken.
  void TakeLastAnswers() {
    while (!in_doubt_ && !sent_.empty()) {
      Result<StepAnswer> answer = in_.link_->ReceiveAnswer();
      if (!answer.ok() || !answer->applied || !Acknowledge(*answer).ok()) return;
    }
  }

  // The oldest step is committed.
  Status Acknowledge(const StepAnswer& answer) {
    const CutStep step = std::move(sent_.front());
    sent_.pop_front();
    std::vector<BadRecord> bad;
    if (!answer.refused.empty()) bad = cutter_.RecordsOf(step, answer.refused);
    const uint64_t refused = step.refused.size() + bad.size();
    totals_.records_taken += step.records - refused;
    totals_.records_refused += refused;
    totals_.steps += 1;
    known_refused_ += refused;
    for (const uint64_t name : step.names) names_.insert(name);
    totals_.counters = names_.size();
    last_progress_us_ = Now();
    pause_bound_us_ = kFirstPauseUs;
    in_.observer_->OnProgress(totals_, reader_->stored_bytes_read(), reader_->stored_bytes());
    for (const BadRecord& record : bad) QUIPU_RETURN_IF_ERROR(in_.observer_->OnRefused(record));
    return bad.empty() ? OkStatus() : in_.observer_->KeepRefused();
  }

  // Nobody knows what became of the steps under way, or the source stands elsewhere. Asks where it stands, drops what
  // is committed and cuts the rest again.
  Status Recover(const Status& why) { return OfAllFiles(TryToRecover(why)); }
  Status TryToRecover(const Status& why) {
    in_.link_->Reset();
    in_doubt_ = true;
    // A server that is full may only be behind with settling: that passes.
    const bool may_pass = client::IsRetryable(why.code()) || why.code() == Code::kStorageFull;
    if (!why.ok() && !may_pass && why.code() != Code::kTooLarge) return why;
    if (why.code() == Code::kTooLarge) {
      if (in_.options_.step_entries <= kStepEntriesMin) return why;
      in_.options_.step_entries /= 2;
      in_.options_.step_name_bytes /= 2;
      in_.options_.step_bytes /= 2;
    }
    if (Now() > last_progress_us_ + in_.options_.patience_us) return why.ok() ? Standstill() : why;
    if (may_pass) Pause();
    std::vector<KnownSource> known;
    const Status status = Patiently([&]() -> Status {
      QUIPU_ASSIGN_OR_RETURN(known, in_.link_->FindSources(anchor_));
      return OkStatus();
    });
    if (!status.ok() && IsUnknown(why.code())) {
      return Status(why.code(), fmt::format("{}; then: {}", why.message(), status.ToString()));
    }
    if (!status.ok()) return status;

    const auto ours = std::find_if(known.begin(), known.end(), [this](const KnownSource& s) { return s.id == id_; });
    const Mark stands = ours == known.end() ? Mark() : ours->stands;
    size_t committed = 0;
    if (stands.offset == sent_.front().from) {
      moved_ = stands.offset > 0 && stands.fingerprint != sent_.front().before.Value();
    } else {
      while (committed < sent_.size() && sent_[committed].to != stands.offset) ++committed;
      moved_ = committed == sent_.size() || sent_[committed].fingerprint != stands.fingerprint;
      ++committed;
    }
    if (moved_) return OkStatus();
    if (committed > 0) QUIPU_RETURN_IF_ERROR(AcknowledgeUnheard(committed, stands));
    CutAgain();
    return OkStatus();
  }

  // So many steps are committed, and their answers are lost. What the server refused of them is known by number only.
  Status AcknowledgeUnheard(size_t steps, const Mark& stands) {
    const uint64_t first_line = sent_.front().line_before + 1;
    const uint64_t last_line = steps < sent_.size() ? sent_[steps].line_before : line_;
    for (; steps > 0; --steps) {
      QUIPU_RETURN_IF_ERROR(Acknowledge({.applied = true, .offset = stands.offset, .refused = {}}));
    }
    const uint64_t refused = stands.refused - std::min(stands.refused, known_refused_);
    if (refused == 0) return OkStatus();
    known_refused_ = stands.refused;
    totals_.records_taken -= std::min(totals_.records_taken, refused);
    totals_.records_refused += refused;
    in_.observer_->OnRefusedUnknown(refused, first_line, last_line);
    return OkStatus();
  }

  Status Standstill() const {
    return Status(Code::kUnavailable, fmt::format("{}: no progress in time; another import keeps moving it", label_));
  }

  void CutAgain() {
    in_doubt_ = false;
    reader_->PutBack(tail_);
    tail_.clear();
    end_ = false;
    if (sent_.empty()) return;
    const CutStep& first = sent_.front();
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
  uint64_t found_at_ = 0;       // where the source stood when this import found it
  uint64_t known_refused_ = 0;  // the source's refused records, as of the last step known to be committed
  uint64_t told_to_ = 0;        // refused records before this offset have been told
  bool nothing_ = false;        // not even one whole record
  bool verified_ = false;
  bool in_doubt_ = false;  // nobody will answer for the steps under way
  bool concerns_all_files_ = false;
  int64_t pause_bound_us_ = kFirstPauseUs;
  bool moved_ = false;  // the source is not where this import thought

  // Where cutting stands.
  uint64_t offset_ = 0;
  RunningDigest digest_;
  uint64_t line_ = 0;         // lines before offset_
  bool inside_line_ = false;  // the last byte taken is no line end
  std::string tail_;          // read, not cut
  size_t next_bytes_ = kStepBytesFirst;
  bool end_ = false;  // nothing more to read or cut
  StepCutter cutter_;
  std::deque<CutStep> sent_;
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
bool Importer::concerns_all_files() const { return run_->concerns_all_files(); }

}  // namespace quipu::ingest
