// Both kinds of LogFile under one set of tests.
#include <errno.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "rt/log_target.h"
#include "rt/real_clock.h"
#include "rt/real_disk.h"
#include "rt/real_loop.h"

namespace quipu::rt {
namespace {

// Memory that direct writes accept.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t size) : size_(size) {
    void* bytes = nullptr;
    EXPECT_EQ(::posix_memalign(&bytes, 4096, size), 0);
    bytes_ = static_cast<char*>(bytes);
  }
  ~AlignedBuffer() { ::free(bytes_); }
  std::span<char> span() { return {bytes_, size_}; }

 private:
  const size_t size_;
  char* bytes_ = nullptr;
};

class LogFileTest : public testing::TestWithParam<LogWrites> {
 protected:
  static constexpr size_t kBlock = 4096;

  void SetUp() override {
    if (GetParam() == LogWrites::kAuto && !IoUringAllowed()) GTEST_SKIP() << "io_uring is forbidden here";
    std::string pattern = (std::filesystem::temp_directory_path() / "quipu_log_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir = pattern;
  }
  void TearDown() override {
    if (!dir.empty()) std::filesystem::remove_all(dir);
  }

  std::string LaidOut(const std::string& path, size_t blocks) {
    auto file = disk.Open(path, OpenMode::kTruncate);
    const std::string zeros(blocks * kBlock, '\0');
    EXPECT_TRUE((*file)->WriteAt(0, zeros).ok());
    EXPECT_TRUE((*file)->Sync().ok());
    return path;
  }

  void RunLoop() {
    Timer limit;
    limit.on_fire = [&] {
      ADD_FAILURE() << "a write did not complete within the limit";
      loop.Stop();
    };
    loop.Arm(&limit, RealClock().MonoMicros() + 280'000'000);
    loop.Run();
    loop.Disarm(&limit);
  }

  RealDisk disk{DiskOptions{.log_writes = GetParam()}};
  RealLoop loop{LoopOptions{}};
  std::string dir;
};

INSTANTIATE_TEST_SUITE_P(Kinds, LogFileTest, testing::Values(LogWrites::kAuto, LogWrites::kThread),
                         [](const auto& param) { return param.param == LogWrites::kAuto ? "Ring" : "Thread"; });

// Writes `blocks` in waves of `depth`, each block filled with its own letter.
class Writer {
 public:
  Writer(LogFile* file, Loop* loop, size_t depth, size_t blocks, size_t block)
      : file_(file), loop_(loop), blocks_(blocks), block_(block), ops_(depth) {
    for (auto& op : ops_) {
      buffers_.push_back(std::make_unique<AlignedBuffer>(block));
      op.owner = this;
      op.on_done = [](LogFile::WriteOp* done) { static_cast<Writer*>(done->owner)->OnDone(done); };
    }
  }
  void Start() {
    for (auto& op : ops_) Next(&op);
  }
  size_t done() const { return done_; }
  size_t in_flight_max() const { return in_flight_max_; }

 private:
  void Next(LogFile::WriteOp* op) {
    if (started_ == blocks_) return;
    auto& buffer = *buffers_[static_cast<size_t>(op - ops_.data())];
    std::fill(buffer.span().begin(), buffer.span().end(), static_cast<char>('a' + started_ % 26));
    op->offset = started_++ * block_;
    op->data = buffer.span();
    in_flight_max_ = std::max(in_flight_max_, started_ - done_);
    in_write_ = true;
    file_->Write(op);
    in_write_ = false;
  }
  void OnDone(LogFile::WriteOp* op) {
    EXPECT_FALSE(in_write_);
    EXPECT_TRUE(op->status.ok()) << op->status.ToString();
    if (++done_ == blocks_) loop_->Stop();
    Next(op);
  }

  LogFile* const file_;
  Loop* const loop_;
  const size_t blocks_;
  const size_t block_;
  std::vector<LogFile::WriteOp> ops_;
  std::vector<std::unique_ptr<AlignedBuffer>> buffers_;
  size_t started_ = 0;
  size_t done_ = 0;
  size_t in_flight_max_ = 0;
  bool in_write_ = false;
};

TEST_P(LogFileTest, ManyWritesInFlightAllArriveAtTheirPlaces) {
  constexpr size_t kBlocks = 200;
  const std::string path = LaidOut(dir + "/log", kBlocks);
  auto file = disk.OpenLog(path, &loop);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ(kBlock % (*file)->alignment(), 0u);
  EXPECT_GE((*file)->alignment(), 512u);
  Writer writer(file->get(), &loop, 8, kBlocks, kBlock);
  writer.Start();
  RunLoop();
  EXPECT_EQ(writer.done(), kBlocks);
  EXPECT_EQ(writer.in_flight_max(), 8u);
  auto reader = disk.Open(path, OpenMode::kRead);
  std::string block(kBlock, '\0');
  for (size_t i = 0; i < kBlocks; ++i) {
    ASSERT_EQ(*(*reader)->ReadAt(i * kBlock, block), kBlock);
    EXPECT_EQ(block, std::string(kBlock, static_cast<char>('a' + i % 26))) << "block " << i;
  }
}

TEST_P(LogFileTest, TwoFilesOfOneLoopShareItsEngine) {
  const std::string a = LaidOut(dir + "/a", 10);
  const std::string b = LaidOut(dir + "/b", 10);
  auto file_a = disk.OpenLog(a, &loop);
  auto file_b = disk.OpenLog(b, &loop);
  // The second stops the loop; the first has then ended too or ends in the second run.
  Writer first(file_a->get(), &loop, 2, 10, kBlock);
  Writer second(file_b->get(), &loop, 2, 10, kBlock);
  first.Start();
  second.Start();
  while (first.done() < 10 || second.done() < 10) RunLoop();
}

TEST_P(LogFileTest, TheSmallestAlignedBlockIsAccepted) {
  const std::string path = LaidOut(dir + "/log", 1);
  auto file = disk.OpenLog(path, &loop);
  Writer writer(file->get(), &loop, 1, 2, (*file)->alignment());
  writer.Start();
  RunLoop();
  EXPECT_EQ(writer.done(), 2u);
}

TEST_P(LogFileTest, AFileInMemoryOnlyIsServedToo) {
  std::string pattern = "/dev/shm/quipu_log_XXXXXX";
  const int fd = ::mkstemp(pattern.data());
  if (fd < 0) GTEST_SKIP() << "no /dev/shm here";
  ::close(fd);
  LaidOut(pattern, 4);
  {
    auto file = disk.OpenLog(pattern, &loop);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_EQ((*file)->alignment(), 4096u);
    Writer writer(file->get(), &loop, 2, 4, kBlock);
    writer.Start();
    RunLoop();
    EXPECT_EQ(writer.done(), 4u);
  }
  ::unlink(pattern.c_str());
}

TEST_P(LogFileTest, AFullDeviceIsStorageFullAndNothingIsTriedAgain) {
  if (!disk.Exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  auto file = disk.OpenLog("/dev/full", &loop);
  if (!file.ok()) GTEST_SKIP() << file.status().ToString();
  AlignedBuffer buffer(kBlock);
  int called = 0;
  std::pair<Loop*, int*> owner{&loop, &called};
  LogFile::WriteOp op{.data = buffer.span(),
                      .on_done =
                          [](LogFile::WriteOp* done) {
                            auto& [stops, calls] = *static_cast<std::pair<Loop*, int*>*>(done->owner);
                            ++*calls;
                            stops->Stop();
                          },
                      .owner = &owner};
  (*file)->Write(&op);
  RunLoop();
  EXPECT_EQ(called, 1);
  EXPECT_EQ(op.status.code(), Code::kStorageFull);
  EXPECT_EQ(std::string(op.status.message()),
            "write /dev/full: No space left on device (errno 28), offset 0, size 4096");
}

// Flushes that the device under `path` has completed, by /proc/diskstats; nothing if it has no volatile cache to flush,
// or one that single writes may pass by.
std::optional<uint64_t> DeviceFlushes(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  const unsigned device[] = {major(info.st_dev), minor(info.st_dev)};
  const std::string queue = fmt::format("/sys/dev/block/{}:{}/queue", device[0], device[1]);
  std::string cache, passes_cache;
  std::getline(std::ifstream(queue + "/write_cache"), cache);
  std::getline(std::ifstream(queue + "/fua"), passes_cache);
  if (cache != "write back" || passes_cache != "0") return std::nullopt;
  std::ifstream stats("/proc/diskstats");
  for (std::string line; std::getline(stats, line);) {
    std::istringstream fields(line);
    std::string name;
    unsigned at[2] = {};
    fields >> at[0] >> at[1] >> name;
    if (at[0] != device[0] || at[1] != device[1]) continue;
    constexpr int kFlushesField = 16;  // of those behind the name, counted from 1 (Documentation/admin-guide/iostats)
    uint64_t value = 0;
    for (int i = 0; i < kFlushesField; ++i) fields >> value;
    if (fields) return value;
  }
  return std::nullopt;
}

// One at a time, so no two writes can share a flush. Other programs can only add to the count.
TEST_P(LogFileTest, EachWriteIsFlushedToTheMediumBeforeItIsDone) {
  constexpr size_t kBlocks = 300;
  const std::string path = LaidOut(dir + "/log", kBlocks);
  auto file = disk.OpenLog(path, &loop);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  const auto at_first = DeviceFlushes(path);
  if (!at_first) GTEST_SKIP() << "this device's flushes cannot be counted";
  // A device made of others has a figure that stands still.
  LaidOut(dir + "/probe", 1);
  const auto before = DeviceFlushes(path);
  if (*before == *at_first) GTEST_SKIP() << "this device does not count its flushes";
  Writer writer(file->get(), &loop, 1, kBlocks, kBlock);
  writer.Start();
  RunLoop();
  EXPECT_GE(*DeviceFlushes(path) - *before, kBlocks);
}

// /dev/null takes every write and has nothing to sync, which fdatasync calls invalid.
TEST_P(LogFileTest, OnTheThreadAWriteWhoseSyncFailsIsNotDone) {
  if (GetParam() != LogWrites::kThread) GTEST_SKIP() << "a ring's write carries its sync, which no device here refuses";
  auto file = disk.OpenLog("/dev/null", &loop);
  if (!file.ok()) GTEST_SKIP() << file.status().ToString();
  AlignedBuffer buffer(kBlock);
  LogFile::WriteOp op{.data = buffer.span(),
                      .on_done = [](LogFile::WriteOp* done) { static_cast<Loop*>(done->owner)->Stop(); },
                      .owner = static_cast<Loop*>(&loop)};
  (*file)->Write(&op);
  RunLoop();
  EXPECT_EQ(op.status.code(), Code::kUnavailable);
  EXPECT_EQ(std::string(op.status.message()), "fdatasync /dev/null: Invalid argument (errno 22), offset 0, size 4096");
}

TEST_P(LogFileTest, AMissingFileIsNotFound) {
  EXPECT_EQ(disk.OpenLog(dir + "/missing", &loop).code(), Code::kNotFound);
}

TEST(LogTarget, AWriteThatCameBackShortIsUnavailable) {
  const LogTarget target{.fd = UniqueFd(), .alignment = 512, .path = "journal/7"};
  char block[512] = {};
  const LogFile::WriteOp op{.offset = 1024, .data = block};
  EXPECT_TRUE(LogWriteStatus(target, op, 512).ok());
  const Status shorter = LogWriteStatus(target, op, 100);
  EXPECT_EQ(shorter.code(), Code::kUnavailable);
  EXPECT_EQ(std::string(shorter.message()), "write journal/7: 100 of 512 bytes at offset 1024");
  EXPECT_EQ(LogWriteStatus(target, op, -EIO).code(), Code::kUnavailable);
  EXPECT_EQ(LogWriteStatus(target, op, -ENOENT).code(), Code::kUnavailable);
  EXPECT_EQ(LogWriteStatus(target, op, -EDQUOT).code(), Code::kStorageFull);
  EXPECT_EQ(LogSyncStatus(target, op, EIO).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace quipu::rt
