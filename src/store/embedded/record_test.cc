#include "store/embedded/record.h"

#include "store/embedded/golden_testing.h"
#include "store/embedded/record_testing.h"

namespace quipu::store {
namespace {

constexpr Micros kFrame = 1'750'000'000'000'000;

Record Counter(const CounterRecord& c) { return {.type = RecordType::kCounter, .counter = c}; }

CounterRecord Plain() {
  return {.name = "visits", .delta = 5, .applied = 5, .value = 105, .event_us = kFrame, .last_write_us = kFrame};
}

CounterRecord WithToken(std::string_view text) {
  static TokenBytes packed;
  packed = PackToken(text);
  CounterRecord r = Plain();
  r.existed = true;
  r.token_form = packed.form;
  r.token = packed.bytes();
  return r;
}

std::string Golden() {
  std::string out;
  auto add = [&](std::string_view name, const Record& r) {
    out += fmt::format("{}\n  {}\n", name, Hex(Encode(r, kFrame)));
  };
  add("the first add", Counter(Plain()));
  CounterRecord r = Plain();
  r.existed = true;
  r.ns = 1000;
  r.events = 70'000;
  r.applied = r.delta = 70'000;
  r.value = -1;
  r.expiry_ms = 1'750'000'060'000;
  add("70000 adds in one, of a counter that expires", Counter(r));
  add("add with a UUID", Counter(WithToken("01890c24-905b-7122-b170-b60814e6ee06")));
  add("add with a ULID", Counter(WithToken("01ARZ3NDEKTSV4RRFFQ69G5FAV")));
  add("add with 32 hex digits", Counter(WithToken("4bf92f3577b34da6a3ce929d0e0e4736")));
  add("add with a text token", Counter(WithToken("order-4711")));
  r = WithToken("order-4711");
  r.event_us = kFrame - 250;
  r.last_write_us = kFrame - 250;
  add("add whose event is 250 us older than its commit", Counter(r));
  r.last_write_us = kFrame - 100;
  add("add that comes late to a counter", Counter(r));
  r = WithToken("order-4711");
  r.outcome = Outcome::kSaturated;
  r.delta = 1000;
  r.content = 0x1122334455667788;
  add("add of 1000 that was cut to 5", Counter(r));
  r.outcome = Outcome::kRefused;
  r.applied = 0;
  add("add of 1000 that was refused", Counter(r));
  r = Plain();
  r.kind = OpKind::kSet;
  r.existed = true;
  r.delta = r.value = INT64_MIN;
  r.applied = INT64_MAX;
  add("set to the least value", Counter(r));
  r = Plain();
  r.kind = OpKind::kClear;
  r.existed = true;
  r.delta = r.applied = -105;
  r.value = 0;
  add("clear", Counter(r));
  r.kind = OpKind::kDelete;
  r.exists = false;
  add("delete", Counter(r));
  r.expired = true;
  add("delete because the expiry had come", Counter(r));
  r = Plain();
  r.kind = OpKind::kExpire;
  r.existed = true;
  r.delta = r.applied = 0;
  r.expiry_ms = 1;
  add("expire", Counter(r));
  add("namespace", {.type = RecordType::kNamespace,
                    .ns = {.id = 7,
                           .version = 300,
                           .deleted = true,
                           .tokens_known_since_us = kFrame,
                           .name = "ads",
                           .settings_json = R"({"durability":"sync"})"}});
  add("source", {.type = RecordType::kSource,
                 .source = {.id = {1, 2},
                            .anchor = {3, 4},
                            .fingerprint = {5, 6},
                            .offset = 1u << 20,
                            .taken = 9000,
                            .refused = 3,
                            .updated_us = kFrame,
                            .label = "access.log",
                            .marks = {{.offset = 80, .fingerprint = {7, 8}, .taken = 1, .refused = 0},
                                      {.offset = 1000, .fingerprint = {9, 10}, .taken = 7, .refused = 1}},
                            .ends = {{.offset = 700'000, .fingerprint = {11, 12}, .taken = 6000, .refused = 2}}}});
  add("step", {.type = RecordType::kStep,
               .step = {.id = {0x1122334455667788, 9},
                        .parts = {{.shard = 0, .position = 1000}, {.shard = 3, .position = 77}}}});
  return out;
}

TEST(Record, BytesOnDiskAreThoseOfTheGoldenFile) { EXPECT_EQ(ReadSource("test/golden/journal_records.txt"), Golden()); }

TEST(Record, GoldenBytesDecodeToOneSpelling) {
  std::string golden = Golden();
  size_t records = 0;
  for (size_t at = 0; (at = golden.find("\n  ", at)) != std::string::npos; ++at) {
    std::string bytes;
    for (size_t i = at + 3; golden[i] != '\n'; i += 2)
      bytes += static_cast<char>(std::stoi(golden.substr(i, 2), nullptr, 16));
    EXPECT_TRUE(DecodesCanonically(bytes, kFrame)) << Hex(bytes);
    ++records;
    // Cut anywhere it is no record: nothing is read beyond the end given.
    for (size_t n = 0; n < bytes.size(); ++n) {
      std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      const char* p = cut.data();
      Record r;
      EXPECT_FALSE(DecodeRecord(&p, cut.data() + n, kFrame, &r)) << n << " bytes of " << Hex(bytes);
      EXPECT_EQ(p, cut.data());
    }
  }
  EXPECT_EQ(records, 18u);
}

TEST(Record, SumSlotsNameTheFieldsThatAreAddedToInPlace) {
  std::string out(kRecordBytesMax, '\0');
  SumSlots slots;
  size_t n = EncodeCounter(Plain(), kFrame, out.data(), &slots);
  uint32_t events = 3;
  int64_t applied = 12, value = 112;
  std::memcpy(out.data() + slots.events_at, &events, 4);
  std::memcpy(out.data() + slots.applied_at, &applied, 8);
  std::memcpy(out.data() + slots.value_at, &value, 8);
  const char* p = out.data();
  Record r;
  ASSERT_TRUE(DecodeRecord(&p, out.data() + n, kFrame, &r));
  EXPECT_EQ(r.counter.events, 3u);
  EXPECT_EQ(r.counter.applied, 12);
  EXPECT_EQ(r.counter.delta, 12);
  EXPECT_EQ(r.counter.value, 112);
}

TEST(Record, AnAddWithAUuidTakes45BytesAnd20OfAName) {
  CounterRecord r = WithToken("01890c24-905b-7122-b170-b60814e6ee06");
  std::string name(20, 'n');
  r.name = name;
  EXPECT_LE(Encode(Counter(r), kFrame).size(), 45u);
}

TEST(Record, TheLargestOfEachTypeFitsItsBound) {
  std::string name(1024, 'n'), token(128, 't'), settings(kSettingsBytesMax, 's'), label(255, 'l'), ns(63, 'x');
  CounterRecord r = Plain();
  r.kind = OpKind::kSet;
  r.ns = kNamespaceIdMax;
  r.name = name;
  r.token_form = TokenForm::kText;
  r.token = token;
  r.content = ~0ull;
  r.expiry_ms = INT64_MAX;
  r.delta = INT64_MIN;
  r.applied = INT64_MAX;
  r.value = INT64_MIN;
  r.event_us = INT64_MAX;
  r.last_write_us = INT64_MIN + 1;
  EXPECT_LE(Encode(Counter(r), INT64_MIN + 1).size(), kRecordBytesMax);
  EXPECT_LE(Encode({.type = RecordType::kNamespace,
                    .ns = {.id = kNamespaceIdMax,
                           .version = ~0ull,
                           .tokens_known_since_us = INT64_MIN,
                           .name = ns,
                           .settings_json = settings}},
                   0)
                .size(),
            kRecordBytesMax);
}

TEST(Record, TheLargestSourceFitsItsBound) {
  const std::string label(kSourceLabelBytesMax, 'l');
  SourceRecord r{.id = {~0ull, ~0ull},
                 .anchor = {~0ull, ~0ull},
                 .fingerprint = {~0ull, ~0ull},
                 .offset = kSourceOffsetMax,
                 .taken = ~0ull,
                 .refused = ~0ull,
                 .updated_us = INT64_MIN,
                 .label = label,
                 .marks = {},
                 .ends = {}};
  for (size_t i = 1; i <= kSourceMarksMax; ++i) {
    const SourceMark mark{
        .offset = kSourceOffsetMax / kSourceMarksMax * i, .fingerprint = {1, 2}, .taken = ~0ull, .refused = ~0ull};
    r.marks.push_back(mark);
    if (i <= kSourceEndsMax) r.ends.push_back(mark);
  }
  EXPECT_LE(Encode({.type = RecordType::kSource, .source = r}, 0).size(), kSourceRecordBytesMax);
}

TEST(Record, AMarkBeyondItsSourceIsNoRecord) {
  const auto source = [](uint64_t mark) {
    return Encode({.type = RecordType::kSource,
                   .source = {.id = {1, 2},
                              .anchor = {3, 4},
                              .fingerprint = {5, 6},
                              .offset = 100,
                              .marks = {{.offset = mark, .fingerprint = {7, 8}, .taken = 0, .refused = 0}},
                              .ends = {}}},
                  kFrame);
  };
  EXPECT_TRUE(DecodesCanonically(source(100), kFrame));
  EXPECT_FALSE(DecodesCanonically(source(101), kFrame));
}

TEST(Record, TokenTextIsWhatTheClientSent) {
  for (std::string_view text : {"01890c24-905b-7122-b170-b60814e6ee06", "01ARZ3NDEKTSV4RRFFQ69G5FAV",
                                "4bf92f3577b34da6a3ce929d0e0e4736", "order-4711", "x"}) {
    CounterRecord r = WithToken(text);
    EXPECT_EQ(TokenText(TokenOf(r)), text);
  }
  EXPECT_EQ(TokenText(TokenOf(Plain())), "");
}

// Each line is a record that Encode does not write: a change of one byte of a golden one, at the place given.
TEST(Record, RefusesWhatEncodeDoesNotWrite) {
  struct Case {
    std::string_view what;
    CounterRecord record;
    size_t at;
    int byte;
  };
  CounterRecord saturated = Plain();
  saturated.outcome = Outcome::kSaturated;
  const Case cases[] = {
      {"no record type", Plain(), 0, 0},
      {"record type 5", Plain(), 0, 5},
      {"a read", Plain(), 0, 1 | 1 << 3},
      {"a kind of op that is none", Plain(), 0, 1 | 6 << 3},
      {"a sum that is no add", Plain(), 0, 1 | 3 << 3},
      {"a sum with a token", Plain(), 1, 2 | 64 | 128},
      {"a sum with further flags", Plain(), 1, 2 | 64 | 16},
      {"an add without a token that is no sum", Plain(), 1, 2},
      {"a name without bytes", Plain(), 3, 0},
      {"a name longer than the record", Plain(), 3, 100},
      {"a sum of no events", Plain(), 10, 0},
      {"further flags that are none", saturated, 13, 0},
      {"an outcome that is none", saturated, 13, 3},
      {"a further flag that is unknown", saturated, 13, 1 | 32},
  };
  for (const Case& c : cases) {
    std::string bytes = Encode(Counter(c.record), kFrame);
    ASSERT_TRUE(DecodesCanonically(bytes, kFrame)) << c.what;
    bytes[c.at] = static_cast<char>(c.byte);
    bytes.append(64, '\1');  // enough for whatever is missing now
    EXPECT_FALSE(DecodesCanonically(bytes, kFrame)) << c.what << ": " << Hex(bytes);
  }
}

TEST(Record, RefusesASecondSpelling) {
  auto decodes = [](std::string_view hex) {
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    bytes.append(64, '\1');
    return DecodesCanonically(bytes, kFrame);
  };
  EXPECT_TRUE(
      decodes("0182000161"
              "0202"
              "010178"));  // counter a, +1 to 1, token x
  EXPECT_FALSE(
      decodes("0182000161"
              "0202"
              "000178"))
      << "a token of form 0";
  EXPECT_FALSE(
      decodes("0182000161"
              "0202"
              "050178"))
      << "a token of form 5";
  EXPECT_FALSE(
      decodes("0182000161"
              "0202"
              "0100"))
      << "a token without text";
  EXPECT_FALSE(
      decodes("01a2000161"
              "0202"
              "010178"
              "0000000000000000"))
      << "a digest that is 0";
  EXPECT_FALSE(
      decodes("0192000161"
              "0202"
              "1000"
              "010178"))
      << "a last write that is the event's time";
  EXPECT_FALSE(
      decodes("018a000161"
              "0202"
              "00"
              "010178"))
      << "an event time that is the frame's";
  EXPECT_FALSE(
      decodes("0192000161"
              "0202"
              "0802"
              "010178"))
      << "an amount asked that is the one applied";
  EXPECT_FALSE(
      decodes("0186000161"
              "0202"
              "00"
              "010178"))
      << "an expiry that is none";
}

}  // namespace
}  // namespace quipu::store
