// A journal on a simulated machine, fed with lines of text instead of records: one line, one position.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sim/sim_disk.h"
#include "sim/sim_loop.h"
#include "store/embedded/journal.h"
#include "store/embedded/journal_reader.h"

namespace quipu::store {

class JournalRig : public Journal::Observer {
 public:
  explicit JournalRig(uint64_t seed = 1, size_t log_alignment = 512)
      : disk_(&clock_, &trace_, seed, log_alignment), loop_(&clock_, &trace_, seed + 1) {
    options_.segment_bytes = 64u << 10;
    options_.frame_bytes_max = 16u << 10;
    EXPECT_TRUE(disk_.MakeDir(kDir).ok());
    EXPECT_TRUE(disk_.SyncDir("").ok());
  }
  ~JournalRig() override { Abandon(); }
  static constexpr char kDir[] = "j";
  static constexpr JournalIdentity kIdentity{.store_id = {11, 22}, .shard = 3};
  static std::string Segment(int n) { return fmt::format("{}/{:016}.log", kDir, n); }

  // Recovers and opens; what the journal holds is then in lines().
  Status Start() {
    QUIPU_ASSIGN_OR_RETURN(JournalEnd end, Read());
    for (const std::string& path : end.unneeded) QUIPU_RETURN_IF_ERROR(disk_.Remove(path));
    journal_ = std::make_unique<Journal>(&loop_, &disk_, kDir, options_, end.start, this);
    durable_seen_ = journal_->durable();
    return journal_->Open();
  }
  Result<JournalEnd> Read() {
    lines_.clear();
    return ReadJournal(&disk_, kDir, kIdentity, settled_, [this](const FrameHeader& h, std::string_view payload) {
      Position position = h.first;
      for (size_t end; (end = payload.find('\n')) != std::string_view::npos; payload.remove_prefix(end + 1))
        if (position++ > settled_) lines_.emplace_back(payload.substr(0, end));
      return position == h.first + h.records ? OkStatus() : Status(Code::kInternal, "records and lines differ");
    });
  }
  Position Append(std::string_view line, bool urgent = true) {
    char* at = journal_->Reserve(line.size() + 1);
    std::memcpy(at, line.data(), line.size());
    at[line.size()] = '\n';
    loop_.Post([] {});  // so that there is a turn, at whose end the journal looks
    return journal_->Append(line.size() + 1, 1, urgent);
  }
  // Appends and waits until it is on the medium: a frame of its own.
  Position Write(std::string_view line) {
    Position position = Append(line);
    EXPECT_TRUE(RunUntil([&] { return journal_->durable() >= position || journal_->fenced() || disk_.off(); }));
    return position;
  }
  void Write(int first, int last) {
    for (int i = first; i <= last; ++i) Write(fmt::format("line {}", i));
  }
  void Close() {
    bool closed = false;
    journal_->Close([&] { closed = true; });
    EXPECT_TRUE(RunUntil([&] { return closed; }));
    journal_.reset();
  }
  void Crash(bool power) {
    disk_.PowerOff();
    Abandon();
    power ? disk_.PowerLoss() : disk_.Restart();
  }
  bool RunUntil(const std::function<bool()>& done) { return loop_.RunUntil(done, clock_.MonoMicros() + 60'000'000); }
  double MemoryPressure() const override { return pressure_; }
  double& pressure() { return pressure_; }
  void OnJournalProgress() override {
    ++progress_;
    EXPECT_GE(journal_->durable(), durable_seen_);
    durable_seen_ = journal_->durable();
  }

  Journal* journal() { return journal_.get(); }
  sim::SimDisk& disk() { return disk_; }
  sim::SimLoop& loop() { return loop_; }
  JournalOptions& options() { return options_; }
  const std::vector<std::string>& lines() const { return lines_; }
  Position& settled() { return settled_; }
  int progress() const { return progress_; }
  uint64_t log_writes() const { return disk_.counts().calls[static_cast<size_t>(sim::Call::kLogWrite)]; }

  // The frames of a segment as they stand there, one after another: offset and header.
  std::vector<std::pair<uint64_t, FrameHeader>> Frames(int segment) {
    std::vector<std::pair<uint64_t, FrameHeader>> out;
    std::string bytes = disk_.Content(Segment(segment));
    FrameHeader h;
    for (uint64_t at = kSegmentHeaderBytes; at < bytes.size(); at += h.frame_bytes) {
      if (!DecodeFrame(std::string_view(bytes).substr(at), &h) || h.segment != static_cast<uint64_t>(segment)) break;
      out.emplace_back(at, h);
    }
    return out;
  }
  // One byte of a frame changes.
  void Damage(int segment, uint64_t offset) { disk_.FlipBit(Segment(segment), offset, 3); }

 private:
  double pressure_ = 0;
  void Abandon() {
    loop_.Abandon();
    if (journal_ && !disk_.off()) disk_.PowerOff(), journal_.reset(), disk_.Restart();
    journal_.reset();
  }

  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_;
  sim::SimLoop loop_;
  JournalOptions options_;
  std::unique_ptr<Journal> journal_;
  std::vector<std::string> lines_;
  Position settled_ = 0;
  Position durable_seen_ = 0;
  int progress_ = 0;
};

}  // namespace quipu::store
