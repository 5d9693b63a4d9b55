// Any record survives encoding, and any bytes are a record with one spelling or none.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "store/decide.h"
#include "store/embedded/record_testing.h"

namespace quipu::store {
namespace {

// What a record's views point to.
struct Backing {
  std::string name, token, text;
};

int64_t AnyInt() {
  return *rc::gen::oneOf(rc::gen::arbitrary<int64_t>(), rc::gen::just(INT64_MIN), rc::gen::just(INT64_MAX),
                         rc::gen::inRange<int64_t>(-3, 4),
                         rc::gen::map(rc::gen::inRange(0, 63), [](int bit) { return int64_t{1} << bit; }));
}
Micros AnyTime() {
  int64_t t = AnyInt();
  return t == kNoTime ? t + 1 : t;
}
std::string AnyText(size_t min, size_t max) {
  size_t n = *rc::gen::weightedOneOf<size_t>(
      {{4, rc::gen::inRange<size_t>(min, 30)}, {1, rc::gen::inRange<size_t>(min, max + 1)}, {1, rc::gen::just(max)}});
  return *rc::gen::container<std::string>(n, rc::gen::arbitrary<char>());
}

CounterRecord AnyCounter(Micros frame_us, Backing* backing) {
  CounterRecord r;
  r.kind =
      *rc::gen::element(OpKind::kAdd, OpKind::kAdd, OpKind::kClear, OpKind::kSet, OpKind::kDelete, OpKind::kExpire);
  r.outcome = *rc::gen::element(Outcome::kApplied, Outcome::kApplied, Outcome::kSaturated, Outcome::kRefused);
  r.existed = *rc::gen::arbitrary<bool>();
  r.exists = *rc::gen::arbitrary<bool>();
  r.expired = *rc::gen::weightedElement<bool>({{4, false}, {1, true}});
  r.ns = *rc::gen::inRange<NamespaceId>(0, kNamespaceIdMax + 1);
  backing->name = AnyText(1, 1024);
  r.name = backing->name;
  r.applied = AnyInt();
  r.delta = *rc::gen::arbitrary<bool>() ? r.applied : AnyInt();
  r.value = AnyInt();
  r.expiry_ms = *rc::gen::arbitrary<bool>() ? 0 : *rc::gen::inRange<int64_t>(1, INT64_MAX);
  r.event_us = *rc::gen::arbitrary<bool>() ? frame_us : AnyTime();
  r.last_write_us = *rc::gen::arbitrary<bool>() ? r.event_us : AnyTime();
  r.token_form =
      *rc::gen::element(TokenForm::kNone, TokenForm::kText, TokenForm::kUuid, TokenForm::kHex32, TokenForm::kUlid);
  backing->token = r.token_form == TokenForm::kText ? AnyText(1, 128)
                                                    : *rc::gen::container<std::string>(16, rc::gen::arbitrary<char>());
  if (r.token_form != TokenForm::kNone) r.token = backing->token;
  r.content = *rc::gen::arbitrary<bool>() ? 0 : *rc::gen::arbitrary<uint64_t>();
  bool sum = r.kind == OpKind::kAdd && r.token_form == TokenForm::kNone && r.outcome == Outcome::kApplied &&
             !r.expired && r.delta == r.applied && r.last_write_us == r.event_us;
  if (sum) r.events = *rc::gen::inRange<uint32_t>(1, UINT32_MAX);
  return r;
}

constexpr uint64_t kMarkOffsetMax = uint64_t{1} << 40;

std::vector<SourceMark> AnyMarks(size_t max) {
  std::vector<SourceMark> marks(*rc::gen::inRange<size_t>(0, max + 1));
  uint64_t offset = 0;
  for (SourceMark& mark : marks) {
    offset += *rc::gen::inRange<uint64_t>(1, kMarkOffsetMax / kSourceMarksMax);
    mark = {.offset = offset,
            .fingerprint = {*rc::gen::arbitrary<uint64_t>(), *rc::gen::arbitrary<uint64_t>()},
            .taken = *rc::gen::arbitrary<uint64_t>(),
            .refused = *rc::gen::arbitrary<uint64_t>()};
  }
  return marks;
}

Record AnyRecord(Micros frame_us, Backing* backing) {
  Record r;
  r.type = *rc::gen::weightedElement<RecordType>(
      {{8, RecordType::kCounter}, {1, RecordType::kNamespace}, {1, RecordType::kSource}, {1, RecordType::kStep}});
  backing->text = AnyText(0, 255);
  backing->name = AnyText(0, 63);
  switch (r.type) {
    case RecordType::kCounter:
      r.counter = AnyCounter(frame_us, backing);
      break;
    case RecordType::kNamespace:
      r.ns = {.id = *rc::gen::inRange<NamespaceId>(0, kNamespaceIdMax + 1),
              .version = *rc::gen::arbitrary<uint64_t>(),
              .deleted = *rc::gen::arbitrary<bool>(),
              .tokens_known_since_us = AnyInt(),
              .name = backing->name,
              .settings_json = backing->text};
      break;
    case RecordType::kSource:
      for (auto* pair : {r.source.id, r.source.anchor, r.source.fingerprint}) {
        pair[0] = *rc::gen::arbitrary<uint64_t>();
        pair[1] = *rc::gen::arbitrary<uint64_t>();
      }
      r.source.taken = *rc::gen::arbitrary<uint64_t>();
      r.source.refused = *rc::gen::arbitrary<uint64_t>();
      r.source.marks = AnyMarks(kSourceMarksMax);
      r.source.ends = AnyMarks(kSourceEndsMax);
      r.source.offset = *rc::gen::inRange<uint64_t>(kMarkOffsetMax, kSourceOffsetMax);
      r.source.updated_us = AnyInt();
      r.source.label = backing->text;
      break;
    case RecordType::kStep:
      r.step.id[0] = *rc::gen::arbitrary<uint64_t>();
      r.step.id[1] = *rc::gen::arbitrary<uint64_t>();
      r.step.parts.resize(*rc::gen::inRange<size_t>(2, kStepPartsMax + 1));
      for (StepRecord::Part& part : r.step.parts) {
        part = {.shard = *rc::gen::inRange<uint32_t>(0, kStepPartsMax), .position = *rc::gen::arbitrary<uint64_t>()};
      }
      break;
  }
  return r;
}

void ExpectSame(const CounterRecord& a, const CounterRecord& b) {
  RC_ASSERT(a.kind == b.kind);
  RC_ASSERT(a.outcome == b.outcome);
  RC_ASSERT(a.existed == b.existed);
  RC_ASSERT(a.exists == b.exists);
  RC_ASSERT(a.expired == b.expired);
  RC_ASSERT(a.events == b.events);
  RC_ASSERT(a.ns == b.ns);
  RC_ASSERT(a.name == b.name);
  RC_ASSERT(a.delta == b.delta);
  RC_ASSERT(a.applied == b.applied);
  RC_ASSERT(a.value == b.value);
  RC_ASSERT(a.expiry_ms == b.expiry_ms);
  RC_ASSERT(a.event_us == b.event_us);
  RC_ASSERT(a.last_write_us == b.last_write_us);
  RC_ASSERT(a.content == b.content);
  RC_ASSERT(a.token_form == b.token_form);
  RC_ASSERT(a.token == b.token);
}

RC_GTEST_PROP(RecordProp, EveryFieldOfACounterRecordComesBack, ()) {
  Micros frame_us = AnyTime();
  Backing backing;
  CounterRecord r = AnyCounter(frame_us, &backing);
  std::string bytes = Encode({.type = RecordType::kCounter, .counter = r}, frame_us);
  const char* p = bytes.data();
  Record out;
  RC_ASSERT(DecodeRecord(&p, bytes.data() + bytes.size(), frame_us, &out));
  RC_ASSERT(p == bytes.data() + bytes.size());
  RC_ASSERT(out.type == RecordType::kCounter);
  ExpectSame(r, out.counter);
}

RC_GTEST_PROP(RecordProp, OtherRecordsComeBackByteByByteAndARecordEndsWhereTheNextBegins, ()) {
  Micros frame_us = AnyTime();
  std::string bytes;
  std::vector<std::string> parts;
  for (int i = 0; i < 3; ++i) {
    Backing backing;
    parts.push_back(Encode(AnyRecord(frame_us, &backing), frame_us));
    bytes += parts.back();
  }
  const char* p = bytes.data();
  for (const std::string& part : parts) {
    Record out;
    RC_ASSERT(DecodeRecord(&p, bytes.data() + bytes.size(), frame_us, &out));
    RC_ASSERT(Encode(out, frame_us) == part);
  }
  RC_ASSERT(p == bytes.data() + bytes.size());
}

// The buffer is exactly as large as the bytes: under AddressSanitizer a byte read beyond them ends the test.
RC_GTEST_PROP(RecordProp, ChangedAndCutBytesAreARecordOfOneSpellingOrNone, ()) {
  Micros frame_us = AnyTime();
  Backing backing;
  std::string bytes = Encode(AnyRecord(frame_us, &backing), frame_us);
  for (int changes = *rc::gen::inRange(0, 4); changes > 0; --changes)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  std::vector<char> exact(bytes.begin(),
                          bytes.begin() + *rc::gen::inRange<ptrdiff_t>(0, static_cast<ptrdiff_t>(bytes.size()) + 1));
  DecodesCanonically({exact.data(), exact.size()}, frame_us);
}

RC_GTEST_PROP(RecordProp, AnyBytesAreARecordOfOneSpellingOrNone, ()) {
  auto bytes = *rc::gen::container<std::vector<char>>(rc::gen::arbitrary<char>());
  if (!bytes.empty() && *rc::gen::arbitrary<bool>()) bytes[0] = static_cast<char>(*rc::gen::inRange(1, 48));
  DecodesCanonically({bytes.data(), bytes.size()}, 0);
}

RC_GTEST_PROP(Record, OfACounterNeverExceedsItsBound, ()) {
  const Micros frame_us = AnyTime();
  Backing backing;
  CounterRecord r = AnyCounter(frame_us, &backing);
  r.expiry_ms = std::min(r.expiry_ms, kExpiryMsMax);
  if (r.token_form == TokenForm::kNone) r.content = 0;
  char out[kRecordBytesMax];
  const size_t token_bytes = r.token_form == TokenForm::kText ? r.token.size() : r.token.empty() ? 0 : 1;
  RC_ASSERT(EncodeCounter(r, frame_us, out) <= CounterRecordBound(r.name.size(), token_bytes));
}

TEST(RecordBound, IsReachedByTheLargestRecord) {
  const std::string name(1024, 'n'), token(128, 't');
  CounterRecord r{.kind = OpKind::kSet, .outcome = Outcome::kSaturated, .ns = kNamespaceIdMax, .name = name};
  r.delta = INT64_MAX;
  r.applied = r.value = INT64_MIN;
  r.expiry_ms = kExpiryMsMax;
  r.event_us = r.last_write_us = INT64_MIN + 2;
  r.content = 1;
  r.token_form = TokenForm::kText;
  r.token = token;
  char out[kRecordBytesMax];
  // The last write is told apart from the event time here, so that both are written out.
  r.last_write_us = INT64_MIN + 1;
  EXPECT_EQ(EncodeCounter(r, 0, out), CounterRecordBound(name.size(), token.size()));
}

}  // namespace
}  // namespace quipu::store
