#include "store/embedded/journal_format.h"

#include "store/embedded/golden_testing.h"
#include "store/embedded/record.h"

namespace quipu::store {
namespace {

constexpr FrameHeader kExample{.frame_bytes = 512,
                               .shard = 3,
                               .segment = 2,
                               .first = 1000,
                               .records = 2,
                               .previous_crc = 0x01020304,
                               .commit_us = 1'750'000'000'000'000,
                               .durable = 998,
                               .epoch = 7};
constexpr std::string_view kPayload = "two records of any kind";

std::string ExampleFrame() {
  std::string bytes(512, '\0');
  std::memcpy(bytes.data() + kFrameHeaderBytes, kPayload.data(), kPayload.size());
  FrameHeader h = kExample;
  h.payload_bytes = kPayload.size();
  SealFrame(&h, bytes.data());
  return bytes;
}

std::string ExampleHeader() {
  std::string block(kSegmentHeaderBytes, 'x');
  EncodeSegmentHeader({.store_id = {0x1122334455667788, 9}, .shard = 3, .segment = 2, .bytes = 64u << 20},
                      block.data());
  return block;
}

TEST(JournalFormat, BytesOnDiskAreThoseOfTheGoldenFile) {
  std::string text =
      fmt::format("segment header, the first 64 of 4096 bytes\n  {}\n", Hex(ExampleHeader().substr(0, 64)));
  text += fmt::format("frame, header\n  {}\nframe, payload\n  {}\n", Hex(ExampleFrame().substr(0, 64)),
                      Hex(ExampleFrame().substr(64, kPayload.size())));
  EXPECT_EQ(ReadSource("test/golden/journal_frames.txt"), text);
  EXPECT_EQ(ExampleHeader().find_first_not_of('\0', 64), std::string::npos);
}

TEST(JournalFormat, ASegmentHeaderComesBack) {
  auto h = DecodeSegmentHeader(ExampleHeader());
  ASSERT_TRUE(h.ok());
  EXPECT_EQ(h->store_id[0], 0x1122334455667788u);
  EXPECT_EQ(h->store_id[1], 9u);
  EXPECT_EQ(h->shard, 3u);
  EXPECT_EQ(h->segment, 2u);
  EXPECT_EQ(h->bytes, 64u << 20);
}

TEST(JournalFormat, ASegmentHeaderWithAnyBitChangedIsRefused) {
  std::string block = ExampleHeader();
  for (size_t at = 0; at < block.size(); ++at) {
    block[at] = static_cast<char>(block[at] ^ (1 << (at % 8)));
    EXPECT_EQ(DecodeSegmentHeader(block).code(), Code::kDataLoss) << at;
    block[at] = static_cast<char>(block[at] ^ (1 << (at % 8)));
  }
  EXPECT_EQ(DecodeSegmentHeader(std::string_view(block).substr(0, 4095)).code(), Code::kDataLoss);
  EXPECT_TRUE(DecodeSegmentHeader(block).ok());
}

TEST(JournalFormat, AFrameComesBack) {
  FrameHeader h;
  ASSERT_TRUE(DecodeFrame(ExampleFrame() + "what follows", &h));
  EXPECT_EQ(h.payload_bytes, kPayload.size());
  EXPECT_EQ(h.frame_bytes, 512u);
  EXPECT_EQ(h.shard, 3u);
  EXPECT_EQ(h.segment, 2u);
  EXPECT_EQ(h.first, 1000u);
  EXPECT_EQ(h.records, 2u);
  EXPECT_EQ(h.previous_crc, 0x01020304u);
  EXPECT_EQ(h.commit_us, 1'750'000'000'000'000);
  EXPECT_EQ(h.durable, 998u);
  EXPECT_EQ(h.epoch, 7u);
}

TEST(JournalFormat, AFrameWithAnyBitOfHeaderOrPayloadChangedIsRefused) {
  std::string frame = ExampleFrame();
  FrameHeader h;
  for (size_t bit = 0; bit < 8 * (kFrameHeaderBytes + kPayload.size()); ++bit) {
    char& byte = frame[bit / 8];
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
    EXPECT_FALSE(DecodeFrame(frame, &h)) << bit;
    byte = static_cast<char>(byte ^ (1 << (bit % 8)));
  }
  EXPECT_TRUE(DecodeFrame(frame, &h));
}

TEST(JournalFormat, AFrameIsReadOnlyWithinTheBytesGiven) {
  std::string frame = ExampleFrame();
  FrameHeader h;
  for (size_t n = 0; n < frame.size(); ++n) {
    std::vector<char> cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(n));
    EXPECT_FALSE(DecodeFrame({cut.data(), n}, &h)) << n;
  }
}

TEST(JournalFormat, SizesThatDoNotGoTogetherAreNoFrameWhateverTheChecksumSays) {
  struct Case {
    uint32_t payload, frame;
  };
  for (Case c :
       {Case{512 - 64 + 1, 512}, {23, 64}, {23, 500}, {23, 0}, {23, 1024}, {UINT32_MAX, 512}, {0, UINT32_MAX}}) {
    std::string bytes(2048, '\0');
    FrameHeader h = kExample;
    h.payload_bytes = std::min<uint32_t>(c.payload, 1000);
    h.frame_bytes = c.frame;
    SealFrame(&h, bytes.data());
    std::memcpy(bytes.data() + 8, &c.payload, 4);
    EXPECT_FALSE(DecodeFrame(std::string_view(bytes).substr(0, 512), &h)) << c.payload << " " << c.frame;
  }
}

// The frame of docs/internals/journal.md: the first in a new store, an add of 5 to `visits` and one of 2 with a UUID.
TEST(JournalFormat, TheWorkedExampleInTheDocumentIsWhatIsWritten) {
  constexpr Micros kCommit = 1'750'000'000'000'000;
  std::string bytes(512, '\0');
  char* p = bytes.data() + kFrameHeaderBytes;
  CounterRecord r{
      .name = "visits", .delta = 5, .applied = 5, .value = 5, .event_us = kCommit, .last_write_us = kCommit};
  p += EncodeCounter(r, kCommit, p);
  TokenBytes token = PackToken("01890c24-905b-7122-b170-b60814e6ee06");
  r.existed = true;
  r.delta = r.applied = 2;
  r.value = 7;
  r.token_form = token.form;
  r.token = {token.packed.data(), 16};
  p += EncodeCounter(r, kCommit, p);
  auto used = static_cast<size_t>(p - bytes.data());
  FrameHeader h{.payload_bytes = static_cast<uint32_t>(used - kFrameHeaderBytes),
                .frame_bytes = 512,
                .segment = 1,
                .first = 2,
                .records = 2,
                .previous_crc = 0xb1de9b4c,
                .commit_us = kCommit,
                .durable = 1,
                .epoch = 1};
  SealFrame(&h, bytes.data());
  std::string document = ReadSource("docs/internals/journal.md");
  for (size_t at = 0; at < used; at += 16) {
    std::string line = fmt::format("{:04x} ", at);
    for (size_t i = at; i < std::min(used, at + 16); ++i) line += fmt::format(" {}", Hex(bytes.substr(i, 1)));
    EXPECT_NE(document.find(line + "\n"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace quipu::store
