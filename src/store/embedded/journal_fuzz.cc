// Any bytes as the frames of two segments: read to an end or refused, never a crash, and what is read is in order.
// The fuzzer cannot make checksums. So an input is a script over a valid journal: each five bytes change one place
// (segment and offset, 4) to another value (1), and the low bit of the first byte says whether frames are sealed anew
// afterwards, with their changed fields; the next two bits, which position is settled already.
#include "base/varint.h"
#include "store/embedded/journal_reader.h"
#include "store/embedded/record.h"

namespace quipu::store {
namespace {

constexpr uint64_t kSegmentBytes = 10u << 10;  // a header, eight frames and some room
constexpr JournalIdentity kIdentity{.store_id = {1, 2}, .shard = 0};

// Two files in memory, read only.
class MemoryFile final : public rt::File {
 public:
  explicit MemoryFile(const std::string* bytes) : bytes_(bytes) {}
  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    if (offset >= bytes_->size()) return size_t{0};
    size_t n = std::min<size_t>(out.size(), bytes_->size() - offset);
    std::memcpy(out.data(), bytes_->data() + offset, n);
    return n;
  }
  Status WriteAt(uint64_t, std::span<const char>) override { return Refuse(); }
  Status Sync() override { return Refuse(); }
  Result<uint64_t> Size() override { return uint64_t{bytes_->size()}; }
  Status Truncate(uint64_t) override { return Refuse(); }
  static Status Refuse() { return Status(Code::kUnavailable, "read only"); }

 private:
  const std::string* bytes_;
};
class MemoryDisk final : public rt::Disk {
 public:
  std::map<std::string, std::string> files;

  Result<std::unique_ptr<rt::File>> Open(const std::string& path, rt::OpenMode) override {
    auto it = files.find(path.substr(path.find('/') + 1));
    if (it == files.end()) return Status(Code::kNotFound, path);
    return std::unique_ptr<rt::File>(std::make_unique<MemoryFile>(&it->second));
  }
  Result<std::unique_ptr<rt::LogFile>> OpenLog(const std::string&, rt::Loop*) override { return MemoryFile::Refuse(); }
  Result<std::unique_ptr<rt::FileLock>> Lock(const std::string&) override { return MemoryFile::Refuse(); }
  Result<std::unique_ptr<rt::FileLock>> LockShared(const std::string&) override { return MemoryFile::Refuse(); }
  Status Rename(const std::string&, const std::string&) override { return MemoryFile::Refuse(); }
  Status Remove(const std::string&) override { return MemoryFile::Refuse(); }
  Status MakeDir(const std::string&) override { return MemoryFile::Refuse(); }
  Status RemoveDir(const std::string&) override { return MemoryFile::Refuse(); }
  Status SyncDir(const std::string&) override { return MemoryFile::Refuse(); }
  bool Exists(const std::string&) override { return true; }
  bool IsDir(const std::string&) override { return true; }
  Result<std::vector<std::string>> List(const std::string&) override {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files) names.push_back(name);
    return names;
  }
  Result<rt::DiskSpace> Space(const std::string&) override { return rt::DiskSpace(); }
};

std::string Segment(uint64_t segment, Position first, uint32_t* crc) {
  std::string bytes(kSegmentBytes, '\0');
  EncodeSegmentHeader({.store_id = {1, 2}, .segment = segment, .bytes = kSegmentBytes}, bytes.data());
  size_t at = kSegmentHeaderBytes;
  for (int i = 0; i < 8; ++i, ++first, at += 512) {
    CounterRecord r{.name = "counter", .delta = 1, .applied = 1, .value = static_cast<int64_t>(first), .event_us = 0};
    FrameHeader h{.frame_bytes = 512,
                  .segment = segment,
                  .first = first,
                  .records = 1,
                  .previous_crc = *crc,
                  .durable = first - 1,
                  .epoch = 1};
    h.payload_bytes = static_cast<uint32_t>(EncodeCounter(r, 0, bytes.data() + at + kFrameHeaderBytes));
    SealFrame(&h, bytes.data() + at);
    *crc = h.crc;
  }
  return bytes;
}

struct Segments {
  std::string first, second;
};
Segments MakeSegments() {
  uint32_t crc = 0;
  Segments made;
  made.first = Segment(1, 1, &crc);
  made.second = Segment(2, 9, &crc);
  return made;
}

// Gives every place that begins like a frame a checksum that is right.
void SealAgain(std::string* bytes) {
  for (size_t at = kSegmentHeaderBytes; at + 512 <= bytes->size(); at += 512) {
    char* p = bytes->data() + at;
    FrameHeader h{.payload_bytes = GetFixed<uint32_t>(p + 8),
                  .frame_bytes = GetFixed<uint32_t>(p + 12),
                  .shard = GetFixed<uint32_t>(p + 56),
                  .segment = GetFixed<uint64_t>(p + 16),
                  .first = GetFixed<uint64_t>(p + 24),
                  .records = GetFixed<uint32_t>(p + 32),
                  .previous_crc = GetFixed<uint32_t>(p + 36),
                  .commit_us = GetFixed<int64_t>(p + 40),
                  .durable = GetFixed<uint64_t>(p + 48),
                  .epoch = GetFixed<uint32_t>(p + 60)};
    if (h.frame_bytes == 0 || h.payload_bytes > bytes->size() - at - kFrameHeaderBytes) continue;
    SealFrame(&h, p);
  }
}

void Read(rt::Disk* disk, Position settled) {
  Position seen = 0;
  auto visit = [&](const FrameHeader& h, std::string_view payload) {
    QUIPU_ASSERT(seen == 0 ? h.first <= settled + 1 : h.first == seen + 1, "first={} after {}", h.first, seen);
    seen = h.first + h.records - 1;
    const char* p = payload.data();
    Record r;
    while (DecodeRecord(&p, payload.data() + payload.size(), h.commit_us, &r)) {
    }
    return OkStatus();
  };
  auto end = ReadJournal(disk, "j", kIdentity, settled, visit);
  if (!end.ok()) {
    QUIPU_ASSERT(end.code() == Code::kDataLoss, "{}", end.status().ToString());
    return;
  }
  QUIPU_ASSERT(end->start.next >= std::max(seen, settled) + 1, "next={} seen={}", end->start.next, seen);
  ReadFrames(disk, "j", {1, 2}, settled, end->start.next - 1, [](const FrameHeader&, std::string_view) {
    return OkStatus();
  }).Ignore("any outcome will do");
}

}  // namespace
}  // namespace quipu::store

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quipu::store;
  if (size == 0) return 0;
  static const Segments whole = MakeSegments();
  static MemoryDisk disk;
  std::string& first = disk.files["0000000000000001.log"] = whole.first;
  std::string& second = disk.files["0000000000000002.log"] = whole.second;
  for (size_t i = 1; i + 5 <= size; i += 5) {
    std::string* bytes = data[i] % 2 ? &second : &first;
    size_t offset = (size_t{data[i + 1]} << 16 | size_t{data[i + 2]} << 8 | data[i + 3]) % kSegmentBytes;
    (*bytes)[offset] = static_cast<char>(data[i + 4]);
  }
  if (data[0] & 1) {
    SealAgain(&first);
    SealAgain(&second);
  }
  constexpr quipu::Position kSettled[] = {0, 5, 8, 16};
  Read(&disk, kSettled[data[0] >> 1 & 3]);
  return 0;
}
