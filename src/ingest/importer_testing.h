// A server that can fail in every way, an importer's surroundings, and files to import.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "ingest/files_testing.h"
#include "ingest/importer.h"

namespace quipu::ingest {

// A server that keeps counts and sources as the real one does: a step applies only where its source stands.
class FakeServer {
 public:
  struct Source {
    Digest anchor;
    Mark stands;
    std::vector<Mark> marks;
    std::string label;
  };
  std::map<std::string, int64_t> counts;
  std::map<std::pair<std::string, int64_t>, int64_t> by_minute;
  std::map<Digest, Source> sources;
  std::map<std::string, std::string> refuse;  // counter -> reason
  size_t entries_max = 1u << 20;
  int steps_applied = 0;
};

// What a request does on its way: chosen by the test, one a request, kNone when used up.
enum class Fault { kNone, kLostBefore, kLostAfter, kDown, kKill, kFull };

class FakeLink final : public IngestLink {
 public:
  explicit FakeLink(FakeServer* server) : server_(server) {}
  std::deque<Fault> faults;
  bool killed = false;
  int finds = 0;

  Result<std::vector<KnownSource>> FindSources(Digest anchor) override {
    ++finds;
    if (killed || down) return Status(Code::kUnavailable, "nobody there");
    std::vector<KnownSource> out;
    for (const auto& [id, source] : server_->sources) {
      if (source.anchor == anchor) out.push_back({id, source.stands, source.marks, source.label});
    }
    return out;
  }

  Status SendStep(const Step& step, const Aggregator& sums) override {
    if (killed || down) return Status(Code::kUnavailable, "nobody there");
    Fault fault = Fault::kNone;
    if (!faults.empty()) {
      fault = faults.front();
      faults.pop_front();
    }
    if (fault == Fault::kDown) return Status(Code::kUnavailable, "refused");
    Result<StepAnswer> answer = Status(Code::kUnknownOutcome, "connection lost");
    if (fault == Fault::kFull) {
      answer = Status(Code::kStorageFull, "memory");
    } else if (fault != Fault::kLostBefore) {
      const Result<StepAnswer> applied = Apply(step, sums);
      if (fault == Fault::kNone) answer = applied;
    }
    if (fault == Fault::kKill) killed = true;
    answers_.push_back(answer);
    return OkStatus();
  }

  Result<StepAnswer> ReceiveAnswer() override {
    if (answers_.empty()) return Status(Code::kUnknownOutcome, "connection lost");
    Result<StepAnswer> answer = answers_.front();
    answers_.pop_front();
    return answer;
  }
  void Reset() override { answers_.clear(); }
  bool down = false;

 private:
  Result<StepAnswer> Apply(const Step& step, const Aggregator& sums) {
    if (sums.size() > server_->entries_max) return Status(Code::kTooLarge, "ERR batch too large");
    const auto known = server_->sources.find(step.id);
    const Mark stands = known == server_->sources.end() ? Mark() : known->second.stands;
    if (stands.offset != step.from) return StepAnswer{.applied = false, .offset = stands.offset, .refused = {}};
    Mark after = {.offset = step.to,
                  .fingerprint = step.fingerprint,
                  .taken = stands.taken,
                  .refused = stands.refused + step.refused};
    StepAnswer answer{.applied = true, .offset = step.to, .refused = {}};
    size_t index = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      const StepEntry e = sums.entry(i);
      if (e.refused) continue;
      const std::string name(e.name);
      if (server_->refuse.contains(name)) {
        answer.refused.push_back({index, server_->refuse[name]});
        after.refused += e.records;
      } else {
        after.taken += e.records;
        server_->counts[name] += e.delta;
        server_->by_minute[{name, e.minute_ms}] += e.delta;
      }
      ++index;
    }
    FakeServer::Source& source = server_->sources[step.id];
    if (step.new_reader) source.marks.push_back(stands);
    uint64_t last = step.from;
    for (Mark mark : step.marks) {
      EXPECT_TRUE(mark.offset > last && mark.offset <= step.to) << mark.offset;
      last = mark.offset;
      mark.taken += stands.taken;
      mark.refused += stands.refused;
      source.marks.push_back(mark);
    }
    source.anchor = step.anchor;
    source.stands = after;
    source.label = step.label;
    ++server_->steps_applied;
    return answer;
  }

  FakeServer* server_;
  std::deque<Result<StepAnswer>> answers_;
};

class FakeClock final : public rt::Clock {
 public:
  int64_t WallMicros() const override { return now; }
  int64_t MonoMicros() const override { return now; }
  int64_t now = 1'000'000;
};
class Half final : public rt::Random {
 public:
  uint64_t Next() override { return 10'000; }
};

class Refusals final : public ImportObserver {
 public:
  Status OnRefused(const BadRecord& r) override {
    if (!disk.ok()) return disk;
    all.push_back(fmt::format("{}:{}:{}", r.line, r.reason, r.text));
    return OkStatus();
  }
  Status KeepRefused() override {
    kept = all.size();
    return OkStatus();
  }
  void OnRefusedUnknown(uint64_t records, uint64_t first_line, uint64_t last_line) override {
    unknown.push_back(fmt::format("{} of {} to {}", records, first_line, last_line));
  }
  std::vector<std::string> all, unknown;
  size_t kept = 0;
  Status disk;
};

inline const ImportSpec kLines = {
    .ns = "", .format = "lines", .key = "{line}", .delta = "", .time = "", .time_format = "", .source = ""};
inline const ImportSpec kCsv = {
    .ns = "", .format = "csv", .key = "{item}", .delta = "n", .time = "", .time_format = "", .source = ""};

class ImporterTest : public FilesTest {
 protected:
  static void Append(const std::string& path, std::string_view bytes) {
    EXPECT_TRUE(rt::ByteOutput::Append(path).value()->Write(bytes).ok());
  }

  static std::string Lines(std::string_view name, int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += fmt::format("{}-{}\n", name, i);
    return lines;
  }

  // A new importing process on the same server.
  Status Import(const std::string& path, const ImportSpec& spec = kLines, std::deque<Fault> faults = {}) {
    FakeLink link(&server_);
    link.faults = std::move(faults);
    const std::unique_ptr<RecordParser> parser = RecordParser::Make(spec).value();
    const client::RetryHost host{
        .clock = &clock_, .random = &random_, .pause = [this](int64_t us) { clock_.now += us; }};
    Importer importer(parser.get(), DigestOf(SpecificationText(spec)), &link, host, options_, &refusals_);
    const Status status = importer.Import(path, "a file");
    totals_ = importer.totals();
    return status;
  }

  FakeServer server_;
  FakeClock clock_;
  Half random_;
  Refusals refusals_;
  ImportOptions options_;
  ImportTotals totals_;
};

}  // namespace quipu::ingest
