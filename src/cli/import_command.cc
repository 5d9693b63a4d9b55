// import: files of events into counters. What makes it exactly once is in ingest/.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/progress.h"
#include "ingest/importer.h"
#include "rt/host.h"

namespace quipu::cli {
namespace {

constexpr size_t kBadLinesShown = 5;
constexpr size_t kBadTextShown = 160;
constexpr size_t kLabelBytesMax = 255;
constexpr const char* kPatienceDefault = "60s";
constexpr size_t kUnwrittenBytesMax = 1u << 20;

// Shows progress and bad lines, and keeps the latter.
class Reporter final : public ingest::ImportObserver {
 public:
  Reporter(const rt::Clock* clock, std::unique_ptr<rt::ByteOutput> dead_letters)
      : progress_(clock, rt::IsTerminal(rt::StandardStream::kError)), dead_letters_(std::move(dead_letters)) {}

  void BeginFile(const std::string& file) { file_ = file; }
  void OnProgress(const ingest::ImportTotals& totals, uint64_t stored_read, uint64_t stored_bytes) override {
    progress_.Show({.items = lines_before_ + totals.records_taken, .done = stored_read, .all = stored_bytes});
  }
  Status OnRefused(const ingest::BadRecord& record) override {
    if (shown_++ < kBadLinesShown) {
      const bool cut = record.text.size() > kBadTextShown;
      Note(fmt::format("{}:{}: {}: {}{}", Printable(file_), record.line, Printable(record.reason),
                       Printable(record.text.substr(0, kBadTextShown)), cut ? "..." : ""));
    }
    if (dead_letters_ == nullptr) return OkStatus();
    unwritten_ += record.text;
    unwritten_ += '\n';
    return unwritten_.size() < kUnwrittenBytesMax ? OkStatus() : WriteDeadLetters();
  }
  Status KeepRefused() override {
    if (dead_letters_ == nullptr) return OkStatus();
    QUIPU_RETURN_IF_ERROR(WriteDeadLetters());
    return dead_letters_->Sync();
  }
  void OnRefusedUnknown(uint64_t records, uint64_t first_line, uint64_t last_line) override {
    Note(
        fmt::format("{}: the server refused {} of the lines {} to {}, and the answer that said which is lost: they are "
                    "neither shown nor in the dead-letter file",
                    Printable(file_), records, first_line, last_line));
  }
  void EndFile(const ingest::ImportTotals& totals) {
    lines_before_ += totals.records_taken;
    progress_.Clear();
  }
  size_t refused() const { return shown_; }

 private:
  void Note(const std::string& text) {
    progress_.Clear();
    Say("quipu: " + text);
  }
  Status WriteDeadLetters() { return dead_letters_->Write(std::exchange(unwritten_, {})); }

  ProgressLine progress_;
  std::unique_ptr<rt::ByteOutput> dead_letters_;  // null: nobody wants them
  std::string unwritten_;
  std::string file_;
  uint64_t lines_before_ = 0;
  size_t shown_ = 0;
};

std::string LabelOf(const std::string& file) {
  if (file == "-") return "stdin";
  return file.size() <= kLabelBytesMax ? file : file.substr(file.size() - kLabelBytesMax);
}

const std::vector<Column> kColumns = {{"file"},
                                      {"taken", ColumnKind::kNumber},
                                      {"already", ColumnKind::kNumber},
                                      {"refused", ColumnKind::kNumber},
                                      {"already_refused", ColumnKind::kNumber},
                                      {"counters", ColumnKind::kNumber},
                                      {"seconds", ColumnKind::kNumber},
                                      {"lines_per_second", ColumnKind::kNumber},
                                      {"status"}};

std::vector<std::string> RowOf(const std::string& file, const ingest::ImportTotals& totals, int64_t elapsed_us,
                               std::string_view status) {
  const double seconds = static_cast<double>(std::max<int64_t>(elapsed_us, 1)) / 1e6;
  const auto records = static_cast<double>(totals.records_taken + totals.records_refused);
  return {file,
          std::to_string(totals.records_taken),
          std::to_string(totals.records_already),
          std::to_string(totals.records_refused),
          std::to_string(totals.records_already_refused),
          std::to_string(totals.counters),
          fmt::format("{:.3f}", seconds),
          fmt::format("{:.0f}", records / seconds),
          std::string(status)};
}

// A session whose namespace has a name: a source belongs to it, whether it was asked for or is the connection's own.
Result<std::unique_ptr<Session>> MakeSession(CommonOptions common) {
  if (common.ns.empty()) {
    QUIPU_ASSIGN_OR_RETURN(const std::unique_ptr<Session> unnamed, Session::Make(common));
    QUIPU_ASSIGN_OR_RETURN(const client::Reply own, unnamed->CallWithRetry({"QUIPU.NS"}));
    common.ns = own.text;
  }
  return Session::Make(common);
}

}  // namespace

int RunImport(CommonOptions common, const ImportOptions& options) {
  if (!common.timeout) common.timeout = kPatienceDefault;
  Result<std::unique_ptr<ingest::RecordParser>> parser = ingest::RecordParser::Make(options.spec);
  if (!parser.ok()) return Fail(parser.status());
  Result<std::unique_ptr<Session>> session = MakeSession(common);
  if (!session.ok()) return Fail(session.status());
  Session& s = **session;
  ingest::ImportSpec spec = options.spec;
  spec.ns = s.connection().ns;
  std::unique_ptr<rt::ByteOutput> dead_letters;
  if (!options.dead_letter.empty()) {
    Result<std::unique_ptr<rt::ByteOutput>> opened = rt::ByteOutput::Append(options.dead_letter);
    if (!opened.ok()) return Fail(opened.status());
    dead_letters = *std::move(opened);
  }
  Reporter reporter(&s.clock(), std::move(dead_letters));
  const std::unique_ptr<ingest::IngestLink> link = ingest::MakeIngestLink(&s.client(), &s.clock(), s.timeout_us());
  const client::RetryHost host{.clock = &s.clock(), .random = &s.random(), .pause = &rt::PauseMicros};
  ingest::Importer importer(parser->get(), ingest::DigestOf(ingest::SpecificationText(spec)), link.get(), host,
                            {.final_line = options.final_line, .patience_us = s.timeout_us()}, &reporter);

  std::vector<std::vector<std::string>> rows;
  int code = kExitDone;  // of the first file that failed
  bool over = false;
  uint64_t taken = 0, refused = 0;
  for (const std::string& file : options.files) {
    if (over) {
      rows.push_back(RowOf(file, {}, 0, "NOT_TRIED"));
      continue;
    }
    reporter.BeginFile(file);
    const int64_t began = s.clock().MonoMicros();
    const Status status = importer.Import(file, LabelOf(file));
    const ingest::ImportTotals& totals = importer.totals();
    reporter.EndFile(totals);
    taken += totals.records_taken + totals.records_already;
    refused += totals.records_refused + totals.records_already_refused;
    rows.push_back(RowOf(file, totals, s.clock().MonoMicros() - began, status.ok() ? "DONE" : CodeName(status.code())));
    if (totals.bytes_left > 0) {
      Say(fmt::format("quipu: {}: the last line has no line end and was left ({} bytes); --final-line takes it",
                      Printable(file), totals.bytes_left));
    }
    if (status.ok()) continue;
    const int own = Fail(status);
    if (code == kExitDone) code = own;
    over = importer.concerns_all_files();
    if (own == kExitUnavailable || own == kExitUnknown) {
      Say("quipu: what was taken stays taken; the same command again goes on from there");
    }
  }
  Print(RenderRows(s.format(), kColumns, rows));
  if (reporter.refused() > kBadLinesShown) {
    Say(fmt::format("quipu: {} more refused lines{}", reporter.refused() - kBadLinesShown,
                    options.dead_letter.empty() ? "; --dead-letter FILE keeps them" : ""));
  }
  if (code != kExitDone) return code;
  return taken == 0 && refused > 0 ? kExitFailure : kExitDone;
}

}  // namespace quipu::cli
