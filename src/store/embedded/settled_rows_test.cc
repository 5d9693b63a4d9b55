#include "store/embedded/settled_rows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "rt/real.h"
#include "store/embedded/rocks_disk.h"

namespace quipu::store {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
constexpr Micros kSlice = 1'700'006'400'000'000;
const CounterRef kVisits{.ns = 1, .hash = 0x0123456789abcdef, .name = "visits"};

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return hex;
}

// test/golden, found from the working directory upwards: builds live inside the tree.
std::string ReadGolden(std::string_view name) {
  const auto disk = rt::MakeRealDisk();
  std::string path = fmt::format("test/golden/{}", name);
  for (int up = 0; up < 8 && !disk->Exists(path); up++) path = "../" + path;
  const auto file = disk->Open(path, rt::OpenMode::kRead);
  if (!file) return file.status().ToString();
  std::string text((*file)->Size().value(), '\0');
  EXPECT_EQ((*file)->ReadAt(0, text).value(), text.size());
  return text;
}

SettledEvent Add() {
  return {.position = 1000,
          .delta = 5,
          .applied = 5,
          .value = 105,
          .event_us = kSlice + 999'750,
          .last_write_us = kSlice + 999'750,
          .commit_us = kSlice + 1'000'000,
          .content = 0x1122334455667788,
          .token = PackToken("01890c24-905b-7122-b170-b60814e6ee06")};
}

std::map<std::string, SettledEvent> Events() {
  std::map<std::string, SettledEvent> events;
  events["add with a UUID"] = Add();
  events["add with a text token"] = Add();
  events["add with a text token"].token = PackToken("order-4711");
  events["add with a ULID"] = Add();
  events["add with a ULID"].token = PackToken("01ARZ3NDEKTSV4RRFFQ69G5FAV");
  events["add with 32 hex digits"] = Add();
  events["add with 32 hex digits"].token = PackToken("4bf92f3577b34da6a3ce929d0e0e4736");
  events["70000 adds without a token"] = {
      .position = 1001, .events = 70000, .delta = -70000, .applied = -70000, .value = kMin, .commit_us = kSlice};
  events["70000 adds without a token"].event_us = kSlice + 1;
  events["saturated, with expiry"] = {.position = 1002,
                                      .outcome = Outcome::kSaturated,
                                      .delta = kMax,
                                      .applied = 3,
                                      .value = kMax,
                                      .expiry_ms = 1'700'006'400'000,
                                      .event_us = kNoTime,
                                      .commit_us = kSlice + 1};
  events["delete"] = {
      .position = 1003, .kind = OpKind::kDelete, .exists = false, .event_us = kSlice, .commit_us = kSlice};
  for (auto& [name, event] : events) event.last_write_us = event.event_us;
  events["add that comes late to a counter"] = Add();
  events["add that comes late to a counter"].existed = true;
  events["add that comes late to a counter"].last_write_us = kSlice + 999'990;
  return events;
}

std::string GoldenRows() {
  std::string text, key, value;
  const auto row = [&](std::string_view name) { text += fmt::format("{}\n  {}\n  {}\n", name, Hex(key), Hex(value)); };
  const auto checkpoint = [&](std::string_view name, const Checkpoint& c) {
    SetCounterKey(kVisits, &key);
    SetCheckpointValue(c, &value);
    row(fmt::format("counter: {}", name));
  };
  checkpoint("zero, never written", {});
  checkpoint("105", {.value = 105, .position = 1000, .last_write_us = kSlice});
  checkpoint("least, with expiry", {.value = kMin, .position = ~0ull, .expiry_ms = 1'700'006'400'000});
  for (const auto& [name, event] : Events()) {
    SetEventKey(kVisits, event.position, &key);
    SetEventValue(event, kSlice, &value);
    row(fmt::format("event: {}", name));
  }
  SetNameKey(1, "visits", &key);
  SetNameValue(&value);
  row("name");
  SetTokenKey({.hi = 0x0011223344556677, .lo = 0x8899aabbccddeeff}, &key);
  for (const auto& [name, event] : Events()) {
    if (event.events != 1 || (event.token != Add().token && !event.token.empty())) continue;
    SetTokenValue(event, kSlice, &value);
    row(fmt::format("token: {}", name));
  }
  SetSumKey(kVisits, Interval::kHour, kSlice, &key);
  SetSumValue({.sum = -7, .events = 300}, &value);
  row("sum");
  SetSumKey(kVisits, Interval::kMinute, -60'000'000, &key);
  SetSumValue({.sum = static_cast<__int128>(kMax) * 4, .events = 4}, &value);
  row("sum beyond 64 bits, before 1970");
  key = "settled";
  SetMetaValue("\x01\x02", &value);
  row("meta");
  key = "CURRENT";
  value = SealCurrent({.manifest = "MANIFEST-000012",
                       .files = {{"000010.sst", {1 << 20, 0x01234567}}, {"MANIFEST-000012", {4711, 0xe3069283}}}});
  row("CURRENT, as a file");
  return text;
}

TEST(SettledRows, AreByteForByteAsRecorded) { EXPECT_EQ(GoldenRows(), ReadGolden("settled_rows.txt")); }

TEST(SettledRows, EventsComeBackAsTheyWere) {
  for (const auto& [name, event] : Events()) {
    std::string value;
    SetEventValue(event, kSlice, &value);
    SettledEvent back{.position = event.position};  // it is in the key
    ASSERT_TRUE(ParseEventValue(value, kSlice, &back)) << name;
    EXPECT_EQ(event, back) << name;
  }
}

TEST(SettledRows, EveryTruncationAndExtensionIsRefused) {
  for (const auto& [name, event] : Events()) {
    std::string value;
    SetEventValue(event, kSlice, &value);
    SettledEvent back;
    // A text token has no length of its own: the checksum of its block guards its end.
    const size_t least = value.size() - (name == "add with a text token" ? event.token.bytes().size() - 1 : 0);
    for (size_t size = 0; size < least; size++) {
      EXPECT_FALSE(ParseEventValue(value.substr(0, size), kSlice, &back)) << name << ": " << size;
    }
    if (event.token.form != TokenForm::kText) {
      EXPECT_FALSE(ParseEventValue(value + "x", kSlice, &back)) << name;
    }
  }
  Checkpoint checkpoint;
  EXPECT_FALSE(ParseCheckpointValue(std::string("\x01\x00\x02\x02\x00", 5), &checkpoint));
  EXPECT_FALSE(ParseCheckpointValue("", &checkpoint));
}

TEST(SettledRows, AnotherVersionOrUnknownFlagsAreRefused) {
  Checkpoint checkpoint;
  EXPECT_TRUE(ParseCheckpointValue(std::string("\x01\x00\x02\x02", 4), &checkpoint));
  EXPECT_FALSE(ParseCheckpointValue(std::string("\x02\x00\x02\x02", 4), &checkpoint));
  EXPECT_FALSE(ParseCheckpointValue(std::string("\x01\x04\x02\x02", 4), &checkpoint));
  EXPECT_FALSE(ParseCheckpointValue(std::string("\x01\x00\x82\x00\x02", 5), &checkpoint)) << "a long spelling of 2";
  EXPECT_FALSE(ParseCheckpointValue(std::string("\x01\x01\x02\x02\x00", 5), &checkpoint)) << "an expiry that is none";
  SettledEvent event;
  std::string value;
  SetEventValue(Add(), kSlice, &value);
  for (const auto& [at, byte] : {std::pair<size_t, char>{0, 2}, {1, 0x38}, {2, 0x3d}}) {
    std::string changed = value;
    changed[at] = byte;
    EXPECT_FALSE(ParseEventValue(changed, kSlice, &event)) << at;
  }
  const std::string rest = value.substr(1, value.size() - 17), largest = std::string(1, 1) + std::string(9, '\xff');
  EXPECT_FALSE(ParseTokenValue(largest + '\x02' + rest, kSlice, &event)) << "a position beyond 64 bits";
  EXPECT_FALSE(ParseTokenValue(largest + '\x01' + value.substr(1), kSlice, &event)) << "with the token";
  EXPECT_FALSE(ParseTokenValue(largest + '\x01' + rest, kSlice, &event)) << "that says a token follows";
  SetTokenValue(Add(), kSlice, &value);
  EXPECT_FALSE(ParseTokenValue(value + '\0', kSlice, &event));
  EXPECT_TRUE(ParseTokenValue(value, kSlice, &event));
  SettledEvent without_text = Add();
  without_text.token = {};
  EXPECT_EQ(event, without_text);
  EXPECT_FALSE(ParseNameValue(""));
  EXPECT_FALSE(ParseNameValue("\x01\x01"));
}

TEST(SettledRows, KeysOfAnotherShapeAreRefused) {
  CounterRef counter;
  NamespaceId ns = 0;
  std::string_view part;
  Position position = 0;
  TokenPrint print;
  Interval interval{};
  int64_t start = 0;
  const std::string prefix(12, 'p'), zero(1, '\0'), eight(8, '\0');
  EXPECT_TRUE(ParseCounterKey(prefix + "n", &counter));
  EXPECT_FALSE(ParseCounterKey(prefix, &counter));
  EXPECT_FALSE(ParseCounterKey(prefix + std::string(1025, 'n'), &counter));
  EXPECT_FALSE(ParseCounterKey(prefix + "n" + zero, &counter));
  EXPECT_TRUE(ParseEventKey(prefix + "n" + zero + eight, &part, &position));
  EXPECT_FALSE(ParseEventKey(prefix + "n1" + eight, &part, &position));
  EXPECT_FALSE(ParseEventKey(prefix + zero + eight, &part, &position));
  EXPECT_FALSE(ParseEventKey("short", &part, &position));
  EXPECT_FALSE(ParseNameKey("1234", &ns, &part));
  EXPECT_FALSE(ParseTokenKey("123456789012345", &print));
  EXPECT_TRUE(ParseSumKey(prefix + "n" + zero + '\x03' + eight, &part, &interval, &start));
  EXPECT_FALSE(ParseSumKey(prefix + "n" + zero + '\x04' + eight, &part, &interval, &start));
  EXPECT_FALSE(ParseSumKey(prefix + "n" + zero + zero + eight, &part, &interval, &start));
  EXPECT_FALSE(ParseSumKey("short", &part, &interval, &start));
}

RC_GTEST_PROP(SettledRows, KeysSortAsTheirPartsDo, ()) {
  struct Parts {
    NamespaceId ns;
    uint64_t hash;
    std::string name;
    Position position;
    int64_t start;
    auto operator<=>(const Parts&) const = default;
  };
  const auto draw = [] {
    return Parts{*rc::gen::inRange<NamespaceId>(0, 3), *rc::gen::element<uint64_t>(0, 1, 1ull << 63),
                 *rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab ~")))),
                 *rc::gen::arbitrary<Position>(), *rc::gen::arbitrary<int64_t>()};
  };
  const Parts a = draw(), b = draw();
  const auto ref = [](const Parts& p) { return CounterRef{.ns = p.ns, .hash = p.hash, .name = p.name}; };
  std::string ka, kb;
  SetEventKey(ref(a), a.position, &ka);
  SetEventKey(ref(b), b.position, &kb);
  RC_ASSERT((ka <=> kb) == (std::tie(a.ns, a.hash, a.name, a.position) <=> std::tie(b.ns, b.hash, b.name, b.position)));
  SetSumKey(ref(a), Interval::kDay, a.start, &ka);
  SetSumKey(ref(b), Interval::kDay, b.start, &kb);
  RC_ASSERT((ka <=> kb) == (std::tie(a.ns, a.hash, a.name, a.start) <=> std::tie(b.ns, b.hash, b.name, b.start)));
}

RC_GTEST_PROP(SettledRows, AnyValueComesBack, (int64_t a, int64_t b, uint64_t c, int64_t d)) {
  std::string value;
  SumValue sum{.sum = static_cast<__int128>(a) * b, .events = c}, sum_back;
  SetSumValue(sum, &value);
  RC_ASSERT(ParseSumValue(value, &sum_back));
  RC_ASSERT(sum == sum_back);
  Checkpoint checkpoint{.value = a, .position = c, .expiry_ms = b, .last_write_us = d}, checkpoint_back;
  SetCheckpointValue(checkpoint, &value);
  RC_ASSERT(ParseCheckpointValue(value, &checkpoint_back));
  RC_ASSERT(checkpoint == checkpoint_back);
  SettledEvent event{
      .events = static_cast<uint32_t>(c), .delta = a, .applied = b, .value = d, .event_us = a, .last_write_us = a};
  event.commit_us = kSlice + static_cast<int64_t>(c >> 20);
  event.content = c;
  SettledEvent event_back;
  SetEventValue(event, kSlice, &value);
  RC_ASSERT(ParseEventValue(value, kSlice, &event_back));
  RC_ASSERT(event == event_back);
}

RC_GTEST_PROP(SettledRows, AnyBytesAreDecodedOrRefused, (const std::string& bytes)) {
  const std::string value = "\x01" + bytes;
  SettledEvent event;
  Checkpoint checkpoint;
  SumValue sum;
  std::string again;
  if (ParseEventValue(value, kSlice, &event)) {
    RC_ASSERT(event.token.bytes().size() <= 128u);
  }
  if (ParseCheckpointValue(value, &checkpoint)) {
    SetCheckpointValue(checkpoint, &again);
    RC_ASSERT(again == value);
  }
  if (ParseSumValue(value, &sum)) {
    SetSumValue(sum, &again);
    RC_ASSERT(again == value);
  }
  if (ParseTokenValue(value, kSlice, &event)) {
    RC_ASSERT(event.token.empty());
  }
}

TEST(CurrentSeal, HoldsForItsOneSpellingAlone) {
  const CurrentSeal seal{.manifest = "MANIFEST-000012",
                         .files = {{"000010.sst", {77, 1}}, {"MANIFEST-000012", {4711, 0x00abcdef}}}};
  const std::string text = SealCurrent(seal);
  EXPECT_EQ(UnsealCurrent(text), seal);
  for (size_t i = 0; i < text.size(); i++) {
    EXPECT_EQ(UnsealCurrent(text.substr(0, i)), std::nullopt) << i;
    for (int bit = 0; bit < 8; bit++) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_EQ(UnsealCurrent(changed), std::nullopt) << i;
    }
  }
  EXPECT_EQ(UnsealCurrent(text + "\n"), std::nullopt);
  EXPECT_EQ(UnsealCurrent("MANIFEST-000012\n"), std::nullopt);
  EXPECT_EQ(UnsealCurrent(SealCurrent({.manifest = "MANIFEST-000012"})), std::nullopt);
  EXPECT_EQ(UnsealCurrent(SealCurrent({.manifest = "CURRENT", .files = {{"CURRENT", {1, 2}}}})), std::nullopt);
}

}  // namespace
}  // namespace quipu::store
