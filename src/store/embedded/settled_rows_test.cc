#include "store/embedded/settled_rows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "rt/real.h"
#include "store/embedded/rocks_disk.h"
#include "store/embedded/settled_events.h"

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

std::string RowOf(std::initializer_list<SettledEvent> events) {
  EventsRow row;
  row.Begin(kSlice);
  for (const SettledEvent& event : events) row.Add(event);
  std::string value;
  row.Finish(&value);
  return value;
}
std::string TokenValueOf(const SettledEvent& event) {
  char bytes[kTokenEventBytesMax];
  std::string value;
  SetTokenValue(event.position, {bytes, PutTokenEvent(event, kSlice, bytes)}, &value);
  return value;
}

// Three adds that follow each other, and one that does not.
std::vector<SettledEvent> History() {
  SettledEvent first = Add(), second = Add(), third = Add(), fourth = Add();
  first.existed = false;
  first.value = 5;
  second.position = 1003;
  second.value = 10;
  second.commit_us += 40;
  second.token = PackToken("order-4711");
  third.position = 900'000;
  third.value = 15;
  third.commit_us -= 7;
  third.token = PackToken("01890c24-8fff-7122-b170-b60814e6ee06");
  fourth.position = 900'001;
  fourth.value = -1;
  for (SettledEvent* e : {&second, &third, &fourth}) {
    e->existed = true;
    e->content = 0;
    e->event_us = e->last_write_us = e->commit_us;
  }
  return {first, second, third, fourth};
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
    value = RowOf({event});
    row(fmt::format("event: {}", name));
  }
  const std::vector<SettledEvent> history = History();
  SetEventKey(kVisits, history.back().position, &key);
  value = RowOf({history[0], history[1], history[2], history[3]});
  row("four events");
  SetNameKey(1, "visits", &key);
  SetNameValue(&value);
  row("name");
  SetTokenKey({.hi = 0x0011223344556677, .lo = 0x8899aabbccddeeff}, &key);
  for (const auto& [name, event] : Events()) {
    if (event.events != 1 || (event.token != Add().token && !event.token.empty())) continue;
    value = TokenValueOf(event);
    row(fmt::format("token: {}", name));
  }
  SetSumsKey(kVisits, IntervalStart(Interval::kDay, kSlice), &key);
  SetSumsValue({{{.minute = 0, .sum = -7, .events = 300}, {.minute = 1439, .sum = 1, .events = 1}}}, &value);
  row("sums");
  SetSumsKey(kVisits, -IntervalWidth(Interval::kDay), &key);
  SetSumsValue({{{.minute = 60, .sum = static_cast<__int128>(kMax) * 4, .events = 4}}}, &value);
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

bool Parses(std::string_view value, Position last) {
  std::vector<SettledEvent> events;
  return ParseEventsValue(value, kSlice, last, &events);
}

TEST(SettledRows, EventsComeBackAsTheyWere) {
  std::vector<SettledEvent> back;
  for (const auto& [name, event] : Events()) {
    const std::string value = RowOf({event});
    ASSERT_TRUE(ParseEventsValue(value, kSlice, event.position, &back)) << name;
    EXPECT_EQ(back, std::vector{event}) << name;
  }
  const std::vector<SettledEvent> history = History();
  const std::string value = RowOf({history[0], history[1], history[2], history[3]});
  ASSERT_TRUE(ParseEventsValue(value, kSlice, history.back().position, &back));
  EXPECT_EQ(back, history);
  EXPECT_FALSE(Parses(value, history.back().position - 900'000)) << "a first position below 0";
}

TEST(SettledRows, EveryTruncationAndExtensionIsRefused) {
  const auto refuse = [](std::string_view name, const std::string& value, Position last) {
    EXPECT_TRUE(Parses(value, last)) << name;
    for (size_t size = 0; size < value.size(); size++)
      EXPECT_FALSE(Parses(value.substr(0, size), last)) << name << size;
    EXPECT_FALSE(Parses(value + "x", last)) << name;
  };
  for (const auto& [name, event] : Events()) refuse(name, RowOf({event}), event.position);
  const std::vector<SettledEvent> history = History();
  refuse("four events", RowOf({history[0], history[1], history[2], history[3]}), history[3].position);
  EventsRow full;
  full.Begin(kSlice);
  for (Position i = 1; i <= kEventsInRowMax; ++i) full.Add({.position = i, .commit_us = kSlice});
  std::string value;
  full.Finish(&value);
  EXPECT_TRUE(Parses(value, kEventsInRowMax));
  full.Add({.position = kEventsInRowMax + 1, .commit_us = kSlice});
  full.Finish(&value);
  EXPECT_FALSE(Parses(value, kEventsInRowMax + 1)) << "an event too many";
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
  const std::string row = RowOf({Add()});
  // Version, kind and outcome, what follows at the end.
  for (const auto& [at, byte] : {std::pair<size_t, char>{0, 2}, {2, 0x38}, {3, 0x3e}}) {
    std::string changed = row;
    changed[at] = byte;
    EXPECT_FALSE(Parses(changed, Add().position)) << at;
  }
  SettledEvent event;
  std::string value = TokenValueOf(Add());
  const std::string rest = value.substr(3), largest = std::string(1, 1) + std::string(9, '\xff');
  EXPECT_TRUE(ParseTokenValue(largest + '\x01' + rest, kSlice, &event));
  EXPECT_FALSE(ParseTokenValue(largest + '\x02' + rest, kSlice, &event)) << "a position beyond 64 bits";
  EXPECT_FALSE(ParseTokenValue(largest + '\x01' + row.substr(2), kSlice, &event)) << "with the token";
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
  int64_t day = 0;
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
  const std::string epoch = '\x80' + std::string(7, '\0');
  EXPECT_TRUE(ParseSumsKey(prefix + "n" + zero + epoch, &part, &day));
  EXPECT_FALSE(ParseSumsKey(prefix + "n" + zero + std::string(7, '\0') + '\x01', &part, &day)) << "not at midnight";
  EXPECT_FALSE(ParseSumsKey(prefix + "n1" + epoch, &part, &day));
  EXPECT_FALSE(ParseSumsKey("short", &part, &day));
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
                 *rc::gen::arbitrary<Position>(), *rc::gen::inRange<int64_t>(-4, 4) * IntervalWidth(Interval::kDay)};
  };
  const Parts a = draw(), b = draw();
  const auto ref = [](const Parts& p) { return CounterRef{.ns = p.ns, .hash = p.hash, .name = p.name}; };
  std::string ka, kb;
  SetEventKey(ref(a), a.position, &ka);
  SetEventKey(ref(b), b.position, &kb);
  RC_ASSERT((ka <=> kb) == (std::tie(a.ns, a.hash, a.name, a.position) <=> std::tie(b.ns, b.hash, b.name, b.position)));
  SetSumsKey(ref(a), a.start, &ka);
  SetSumsKey(ref(b), b.start, &kb);
  RC_ASSERT((ka <=> kb) == (std::tie(a.ns, a.hash, a.name, a.start) <=> std::tie(b.ns, b.hash, b.name, b.start)));
}

RC_GTEST_PROP(SettledRows, AnyValueComesBack, (int64_t a, int64_t b, uint64_t c, int64_t d)) {
  std::string value;
  const std::vector<MinuteSum> sums = {
      {.minute = static_cast<uint16_t>(c % 700), .sum = static_cast<__int128>(a) * b, .events = c},
      {.minute = static_cast<uint16_t>(700 + c % 740), .sum = d, .events = 1}};
  std::vector<MinuteSum> sums_back;
  SetSumsValue(sums, &value);
  RC_ASSERT(ParseSumsValue(value, &sums_back));
  RC_ASSERT(sums == sums_back);
  Checkpoint checkpoint{.value = a, .position = c, .expiry_ms = b, .last_write_us = d}, checkpoint_back;
  SetCheckpointValue(checkpoint, &value);
  RC_ASSERT(ParseCheckpointValue(value, &checkpoint_back));
  RC_ASSERT(checkpoint == checkpoint_back);
  SettledEvent event{
      .events = static_cast<uint32_t>(c), .delta = a, .applied = b, .value = d, .event_us = a, .last_write_us = a};
  event.commit_us = kSlice + static_cast<int64_t>(c >> 20);
  event.content = c;
  if (event.events == 1) event.token = PackToken("01890c24-905b-7122-b170-b60814e6ee06");
  SettledEvent after = event;
  after.position = 7;
  after.value = b;
  after.commit_us = a;
  std::vector<SettledEvent> back;
  value = RowOf({event, after});
  RC_ASSERT(ParseEventsValue(value, kSlice, after.position, &back));
  RC_ASSERT(back == (std::vector{event, after}));
}

RC_GTEST_PROP(SettledRows, AnyBytesAreDecodedOrRefused, (const std::string& bytes)) {
  const std::string value = "\x01" + bytes;
  SettledEvent event;
  std::vector<SettledEvent> events;
  Checkpoint checkpoint;
  std::vector<MinuteSum> sums;
  std::string again;
  if (ParseEventsValue(value, kSlice, 1000, &events)) {
    EventsRow row;
    row.Begin(kSlice);
    for (const SettledEvent& e : events) row.Add(e);
    row.Finish(&again);
    RC_ASSERT(again == value);
  }
  if (ParseCheckpointValue(value, &checkpoint)) {
    SetCheckpointValue(checkpoint, &again);
    RC_ASSERT(again == value);
  }
  if (ParseSumsValue(value, &sums)) {
    SetSumsValue(sums, &again);
    RC_ASSERT(again == value);
  }
  if (ParseTokenValue(value, kSlice, &event)) {
    RC_ASSERT(TokenValueOf(event) == value);
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
