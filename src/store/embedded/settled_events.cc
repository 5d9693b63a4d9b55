#include "store/embedded/settled_events.h"

#include <optional>

#include "model/token.h"
#include "store/embedded/settled_bytes.h"

namespace quipu::store {
namespace {

// First byte of flags: kind (3 bits), outcome (2 bits), then these.
constexpr uint8_t kExists = 0x20, kHasExpiry = 0x40, kAppliedDiffers = 0x80;
// Second byte of flags: what follows at the end (3 bits), then these.
constexpr uint8_t kHasValue = 0x08, kHasEventTime = 0x10, kHasContent = 0x20, kExisted = 0x40, kOtherLastWrite = 0x80;
// What follows at the end: a token of a TokenForm, or the number of adds without a token that are one event.
constexpr uint8_t kManyAdds = static_cast<uint8_t>(TokenForm::kUlid) + 1;

// Packed tokens of time begin with 48 bits of milliseconds, which lie near the commit.
constexpr size_t kTokenTimeBytes = 6, kTokenTailBytes = 10;
constexpr uint64_t kTokenTimeMask = (1ull << 48) - 1;
bool BeginsWithTime(TokenForm form, char tail) {
  constexpr int kVersion7 = 7;
  return form == TokenForm::kUlid || (form == TokenForm::kUuid && static_cast<uint8_t>(tail) >> 4 == kVersion7);
}
uint64_t TokenTimeOf(Micros commit_us) { return static_cast<uint64_t>(commit_us / 1000) & kTokenTimeMask; }

constexpr size_t kEventBytesMax = kTokenEventBytesMax + 1 + kTokenBytesMax;

// Modulo 2^64, so that any two times have a difference.
int64_t Less(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b)); }
int64_t Plus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

// All of an event but its position and what follows at the end.
char* PutEvent(const SettledEvent& e, uint8_t end, const EventBefore& before, char* p) {
  const bool differs = e.applied != e.delta;
  const bool has_value = e.value != Plus(before.value, e.applied);
  const bool has_event_time = e.event_us != kNoTime;
  const bool other_last_write = e.last_write_us != e.event_us;
  const auto outcome_bits = static_cast<uint8_t>(static_cast<uint8_t>(e.outcome) << 3);
  *p++ = static_cast<char>(static_cast<uint8_t>(e.kind) | outcome_bits | (e.exists ? kExists : 0) |
                           (e.expiry_ms != 0 ? kHasExpiry : 0) | (differs ? kAppliedDiffers : 0));
  *p++ = static_cast<char>(end | (has_value ? kHasValue : 0) | (has_event_time ? kHasEventTime : 0) |
                           (e.content != 0 ? kHasContent : 0) | (e.existed ? kExisted : 0) |
                           (other_last_write ? kOtherLastWrite : 0));
  p = PutSigned(p, e.delta);
  if (differs) p = PutSigned(p, e.applied);
  if (has_value) p = PutSigned(p, e.value);
  if (e.expiry_ms != 0) p = PutSigned(p, e.expiry_ms);
  p = PutSigned(p, Less(e.commit_us, before.commit_us));
  if (has_event_time) p = PutSigned(p, Less(e.commit_us, e.event_us));
  if (other_last_write) p = PutSigned(p, Less(e.commit_us, e.last_write_us));
  if (e.content != 0) p = PutFixed(p, __builtin_bswap64(e.content));
  return p;
}

// What follows at the end, or nothing.
std::optional<uint8_t> ParseEvent(Reader* in, const EventBefore& before, SettledEvent* e) {
  const uint8_t first = in->Byte();
  const uint8_t second = in->Byte();
  const int kind = first & 7, outcome = (first >> 3) & 3;
  const uint8_t end = second & 7;
  if (kind > static_cast<int>(OpKind::kCheckVersion) || outcome > static_cast<int>(Outcome::kRefused) ||
      end > kManyAdds) {
    return std::nullopt;
  }
  e->kind = static_cast<OpKind>(kind);
  e->outcome = static_cast<Outcome>(outcome);
  e->exists = (first & kExists) != 0;
  e->existed = (second & kExisted) != 0;
  e->delta = in->ZigZagVarint();
  e->applied = (first & kAppliedDiffers) != 0 ? in->ZigZagVarint() : e->delta;
  e->value = (second & kHasValue) != 0 ? in->ZigZagVarint() : Plus(before.value, e->applied);
  e->expiry_ms = (first & kHasExpiry) != 0 ? in->ZigZagVarint() : 0;
  e->commit_us = Plus(before.commit_us, in->ZigZagVarint());
  e->event_us = (second & kHasEventTime) != 0 ? Less(e->commit_us, in->ZigZagVarint()) : kNoTime;
  e->last_write_us = (second & kOtherLastWrite) != 0 ? Less(e->commit_us, in->ZigZagVarint()) : e->event_us;
  e->content = (second & kHasContent) != 0 ? in->Big64() : 0;
  e->events = 1;
  e->token = {};
  // One spelling for each event.
  if ((first & kAppliedDiffers) != 0 && e->applied == e->delta) return std::nullopt;
  if ((second & kHasValue) != 0 && e->value == Plus(before.value, e->applied)) return std::nullopt;
  if ((first & kHasExpiry) != 0 && e->expiry_ms == 0) return std::nullopt;
  if ((second & kHasEventTime) != 0 && e->event_us == kNoTime) return std::nullopt;
  if ((second & kOtherLastWrite) != 0 && e->last_write_us == e->event_us) return std::nullopt;
  if ((second & kHasContent) != 0 && e->content == 0) return std::nullopt;
  return end;
}

char* PutToken(const TokenBytes& token, Micros commit_us, char* p) {
  const std::string_view bytes = token.bytes();
  if (token.form == TokenForm::kText) {
    *p++ = static_cast<char>(bytes.size());
    return p + bytes.copy(p, bytes.size());
  }
  p += bytes.copy(p, kTokenTailBytes, kTokenTimeBytes);
  if (!BeginsWithTime(token.form, bytes[kTokenTimeBytes])) return p + bytes.copy(p, kTokenTimeBytes);
  const uint64_t time = GetBig<uint64_t>(bytes.data()) >> 16;
  const uint64_t age = (TokenTimeOf(commit_us) - time) & kTokenTimeMask;
  // As a signed number of 48 bits: a clock may be a little ahead.
  return PutSigned(p, static_cast<int64_t>(age << 16) >> 16);
}

bool ParseToken(Reader* in, TokenForm form, Micros commit_us, TokenBytes* token) {
  if (form == TokenForm::kText) {
    const size_t size = in->Byte();
    *token = StoredToken(form, in->Bytes(size));
    return in->ok() && size > 0 && size <= kTokenBytesMax;
  }
  const std::string_view tail = in->Bytes(kTokenTailBytes);
  if (!in->ok()) return false;
  std::array<char, kTokenTimeBytes + kTokenTailBytes> bytes;
  if (BeginsWithTime(form, tail[0])) {
    const int64_t age = in->ZigZagVarint();
    if (age != static_cast<int64_t>(static_cast<uint64_t>(age) << 16) >> 16) return false;
    const uint64_t time = (TokenTimeOf(commit_us) - static_cast<uint64_t>(age)) & kTokenTimeMask;
    PutBig(bytes.data(), time << 16);
  } else {
    in->Bytes(kTokenTimeBytes).copy(bytes.data(), kTokenTimeBytes);
  }
  tail.copy(bytes.data() + kTokenTimeBytes, kTokenTailBytes);
  *token = StoredToken(form, {bytes.data(), bytes.size()});
  return in->ok();
}

}  // namespace

void EventsRow::Begin(Micros slice_start) {
  entries_.clear();
  before_ = {.commit_us = slice_start, .value = 0};
  size_ = 0;
}

void EventsRow::Add(const SettledEvent& event) {
  QUIPU_ASSERT(size_ == 0 || event.position > last_, "position {} after {}", event.position, last_);
  QUIPU_ASSERT(event.events == 1 || event.token.empty(), "{} adds under one token", event.events);
  char bytes[kVarintBytesMax + kEventBytesMax];
  char* p = bytes;
  if (size_ == 0) {
    first_ = event.position;
  } else {
    p = PutVarint(p, event.position - last_);
  }
  const bool many = event.events != 1;
  p = PutEvent(event, many ? kManyAdds : static_cast<uint8_t>(event.token.form), before_, p);
  if (many) p = PutVarint(p, event.events);
  if (!event.token.empty()) p = PutToken(event.token, event.commit_us, p);
  entries_.append(bytes, static_cast<size_t>(p - bytes));
  before_ = {.commit_us = event.commit_us, .value = event.value};
  last_ = event.position;
  ++size_;
}

void EventsRow::Finish(std::string* value) const {
  QUIPU_ASSERT(size_ > 0, "a row of no events");
  char bytes[1 + kVarintBytesMax];
  bytes[0] = kRowVersion;
  Assign(value, bytes, PutVarint(bytes + 1, last_ - first_));
  value->append(entries_);
}

bool ParseEventsValue(std::string_view value, Micros slice_start, Position last, std::vector<SettledEvent>* events) {
  events->clear();
  Reader in(value);
  if (in.Byte() != kRowVersion) return false;
  const uint64_t span = in.Varint();
  if (!in.ok() || span > last) return false;
  EventBefore before{.commit_us = slice_start, .value = 0};
  Position position = last - span;
  do {
    if (!events->empty()) {
      const uint64_t gap = in.Varint();
      if (gap == 0 || gap > last - position) return false;
      position += gap;
    }
    SettledEvent& e = events->emplace_back();
    e.position = position;
    const auto end = ParseEvent(&in, before, &e);
    if (!end) return false;
    if (*end == kManyAdds) {
      const uint64_t adds = in.Varint();
      if (adds == 1 || adds > std::numeric_limits<uint32_t>::max()) return false;
      e.events = static_cast<uint32_t>(adds);
    } else if (*end != static_cast<uint8_t>(TokenForm::kNone) &&
               !ParseToken(&in, static_cast<TokenForm>(*end), e.commit_us, &e.token)) {
      return false;
    }
    before = {.commit_us = e.commit_us, .value = e.value};
  } while (in.ok() && !in.done() && events->size() < kEventsInRowMax);
  return in.done() && position == last;
}

char* PutTokenEvent(const SettledEvent& event, Micros slice_start, char* p) {
  return PutEvent(event, static_cast<uint8_t>(TokenForm::kNone), {.commit_us = slice_start, .value = 0}, p);
}

void SetTokenValue(Position position, std::string_view event_bytes, std::string* value) {
  char bytes[1 + kVarintBytesMax];
  bytes[0] = kRowVersion;
  Assign(value, bytes, PutVarint(bytes + 1, position));
  value->append(event_bytes);
}

bool ParseTokenValue(std::string_view value, Micros slice_start, SettledEvent* event) {
  Reader in(value);
  if (in.Byte() != kRowVersion) return false;
  event->position = in.Varint();
  const auto end = ParseEvent(&in, {.commit_us = slice_start, .value = 0}, event);
  return end == static_cast<uint8_t>(TokenForm::kNone) && in.done();
}

}  // namespace quipu::store
