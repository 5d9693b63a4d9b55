#include "store/embedded/record.h"

#include <utility>

#include "base/varint.h"
#include "model/name.h"

namespace quipu::store {
namespace {

// First byte: type in the low 3 bits, for kCounter the op kind in the next 3. Second byte of kCounter: flags.
enum Flag : uint8_t {
  kExisted = 1,
  kExists = 2,
  kHasExpiry = 4,
  kOwnEventTime = 8,  // else the frame's commit time
  kUncommon = 16,     // a byte of further flags follows
  kHasContent = 32,   // an 8-byte digest follows; else the digest is 0 or follows from the plain add
  kSummed = 64,       // fixed-width events, applied, value
  kHasToken = 128,
};
// The further flags: the outcome in the low 2 bits, then:
enum MoreFlag : uint8_t {
  kExpired = 4,
  kHasAsked = 8,       // the asked delta, where it is not the applied one
  kHasLastWrite = 16,  // where it is not the event time
};

// The kinds that reach the journal, in three bits.
constexpr uint8_t KindBits(OpKind kind) { return static_cast<uint8_t>(kind); }
static_assert(static_cast<int>(OpKind::kExpire) < 8);

// Times differ modulo 2^64: an event may claim any.
int64_t Difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
int64_t Sum(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }

char* PutBytes(char* p, std::string_view s) {
  p = PutVarint(p, s.size());
  return p + s.copy(p, s.size());
}

const char* GetBytes(const char* p, const char* end, std::string_view* s, size_t max) {
  uint64_t n;
  if (!(p = GetVarint(p, end, &n)) || n > max || n > static_cast<uint64_t>(end - p)) return nullptr;
  *s = {p, static_cast<size_t>(n)};
  return p + n;
}

// Offsets ascend: each is written as what it lies behind the one before.
char* PutMarks(char* p, const std::vector<SourceMark>& marks, size_t max) {
  QUIPU_ASSERT(marks.size() <= max, "{} marks, {} fit", marks.size(), max);
  p = PutVarint(p, marks.size());
  uint64_t before = 0;
  for (const SourceMark& mark : marks) {
    QUIPU_ASSERT(mark.offset > before, "a mark at {} behind one at {}", mark.offset, before);
    p = PutVarint(p, mark.offset - std::exchange(before, mark.offset));
    p = PutFixed(p, mark.fingerprint.hi);
    p = PutFixed(p, mark.fingerprint.lo);
    p = PutVarint(p, mark.taken);
    p = PutVarint(p, mark.refused);
  }
  return p;
}

const char* GetMarks(const char* p, const char* end, size_t max, uint64_t offset_max, std::vector<SourceMark>* marks) {
  uint64_t n;
  if (!(p = GetVarint(p, end, &n)) || n > max) return nullptr;
  marks->resize(n);
  uint64_t before = 0;
  for (SourceMark& mark : *marks) {
    uint64_t further;
    if (!(p = GetVarint(p, end, &further)) || further == 0 || further > offset_max - before || end - p < 16) {
      return nullptr;
    }
    mark.offset = before += further;
    mark.fingerprint = {GetFixed<uint64_t>(p), GetFixed<uint64_t>(p + 8)};
    if (!(p = GetVarint(p + 16, end, &mark.taken)) || !(p = GetVarint(p, end, &mark.refused))) return nullptr;
  }
  return p;
}

}  // namespace

size_t EncodeCounter(const CounterRecord& r, Micros frame_us, char* out, SumSlots* slots) {
  char* p = out;
  bool own_write = r.last_write_us != kNoTime && r.last_write_us != (r.event_us == kNoTime ? frame_us : r.event_us);
  auto more = static_cast<uint8_t>(static_cast<uint8_t>(r.outcome) | (r.expired ? kExpired : 0) |
                                   (r.delta != r.applied ? kHasAsked : 0) | (own_write ? kHasLastWrite : 0));
  bool uncommon = more != 0;
  bool summed = r.kind == OpKind::kAdd && r.token_form == TokenForm::kNone && !uncommon;
  bool own_time = r.event_us != kNoTime && r.event_us != frame_us;
  QUIPU_ASSERT(r.events == 1 || (summed && r.events > 0), "{} events in a record that is no sum", r.events);
  uint8_t flags =
      static_cast<uint8_t>((r.existed ? kExisted : 0) | (r.exists ? kExists : 0) | (r.expiry_ms ? kHasExpiry : 0) |
                           (own_time ? kOwnEventTime : 0) | (uncommon ? kUncommon : 0) | (r.content ? kHasContent : 0) |
                           (summed ? kSummed : 0) | (r.token_form != TokenForm::kNone ? kHasToken : 0));
  *p++ = static_cast<char>(static_cast<uint8_t>(RecordType::kCounter) | KindBits(r.kind) << 3);
  *p++ = static_cast<char>(flags);
  p = PutVarint(p, r.ns);
  p = PutBytes(p, r.name);
  if (summed) {
    if (slots) slots->events_at = static_cast<size_t>(p - out);
    p = PutFixed(p, r.events);
    if (slots) slots->applied_at = static_cast<size_t>(p - out);
    p = PutFixed(p, r.applied);
    if (slots) slots->value_at = static_cast<size_t>(p - out);
    p = PutFixed(p, r.value);
  } else {
    p = PutSigned(p, r.applied);
    p = PutSigned(p, r.value);
  }
  if (uncommon) {
    *p++ = static_cast<char>(more);
    if (more & kHasAsked) p = PutSigned(p, r.delta);
    if (more & kHasLastWrite) p = PutSigned(p, Difference(r.last_write_us, frame_us));
  }
  if (r.expiry_ms) p = PutVarint(p, static_cast<uint64_t>(r.expiry_ms));
  if (own_time) p = PutSigned(p, Difference(r.event_us, frame_us));
  if (r.token_form != TokenForm::kNone) {
    *p++ = static_cast<char>(r.token_form);
    if (r.token_form == TokenForm::kText) {
      p = PutBytes(p, r.token);
    } else {
      std::memcpy(p, r.token.data(), 16);
      p += 16;
    }
  }
  if (r.content) p = PutFixed(p, r.content);
  return static_cast<size_t>(p - out);
}

size_t EncodeNamespace(const NamespaceRecord& r, char* out) {
  QUIPU_ASSERT(r.settings_json.size() <= kSettingsBytesMax, "settings of {} bytes", r.settings_json.size());
  char* p = out;
  *p++ = static_cast<char>(RecordType::kNamespace);
  p = PutVarint(p, r.id);
  p = PutVarint(p, r.version);
  *p++ = r.deleted ? 1 : 0;
  p = PutSigned(p, r.tokens_known_since_us);
  p = PutBytes(p, r.name);
  p = PutBytes(p, r.settings_json);
  return static_cast<size_t>(p - out);
}

size_t EncodeSource(const SourceRecord& r, char* out) {
  char* p = out;
  *p++ = static_cast<char>(RecordType::kSource);
  for (const auto* pair : {r.id, r.anchor, r.fingerprint}) {
    p = PutFixed(p, pair[0]);
    p = PutFixed(p, pair[1]);
  }
  p = PutVarint(p, r.offset);
  p = PutVarint(p, r.taken);
  p = PutVarint(p, r.refused);
  p = PutSigned(p, r.updated_us);
  p = PutBytes(p, r.label);
  p = PutMarks(p, r.marks, kSourceMarksMax);
  p = PutMarks(p, r.ends, kSourceEndsMax);
  return static_cast<size_t>(p - out);
}

SourceRecord ToRecord(const SourceState& state) {
  return {.id = {state.id.hi, state.id.lo},
          .anchor = {state.anchor.hi, state.anchor.lo},
          .fingerprint = {state.fingerprint.hi, state.fingerprint.lo},
          .offset = state.offset,
          .taken = state.taken,
          .refused = state.refused,
          .updated_us = state.updated_us,
          .label = state.label,
          .marks = state.marks,
          .ends = state.ends};
}

SourceState ToState(const SourceRecord& r) {
  return {.id = {r.id[0], r.id[1]},
          .anchor = {r.anchor[0], r.anchor[1]},
          .offset = r.offset,
          .fingerprint = {r.fingerprint[0], r.fingerprint[1]},
          .taken = r.taken,
          .refused = r.refused,
          .label = std::string(r.label),
          .updated_us = r.updated_us,
          .marks = r.marks,
          .ends = r.ends};
}

size_t EncodeStep(const StepRecord& r, char* out) {
  char* p = out;
  *p++ = static_cast<char>(RecordType::kStep);
  p = PutFixed(p, r.id[0]);
  p = PutFixed(p, r.id[1]);
  p = PutVarint(p, r.parts.size());
  for (const StepRecord::Part& part : r.parts) {
    p = PutVarint(p, part.shard);
    p = PutVarint(p, part.position);
  }
  return static_cast<size_t>(p - out);
}

namespace {

bool DecodeCounter(const char** pp, const char* end, Micros frame_us, uint8_t first, CounterRecord* r) {
  const char* p = *pp;
  if (p >= end) return false;
  auto flags = static_cast<uint8_t>(*p++);
  *r = CounterRecord{};
  uint8_t kind = first >> 3;
  if (kind > static_cast<uint8_t>(OpKind::kExpire) || kind == static_cast<uint8_t>(OpKind::kGet)) return false;
  r->kind = static_cast<OpKind>(kind);
  r->existed = flags & kExisted;
  r->exists = flags & kExists;
  uint64_t u;
  if (!(p = GetVarint(p, end, &u)) || u > kNamespaceIdMax) return false;
  r->ns = static_cast<NamespaceId>(u);
  if (!(p = GetBytes(p, end, &r->name, kCounterNameBytesMax)) || r->name.empty()) return false;
  if (flags & kSummed) {
    if (end - p < 20) return false;
    r->events = GetFixed<uint32_t>(p);
    r->applied = GetFixed<int64_t>(p + 4);
    r->value = GetFixed<int64_t>(p + 12);
    p += 20;
    if (r->events == 0 || r->kind != OpKind::kAdd || (flags & (kUncommon | kHasToken))) return false;
  } else {
    if (!(p = GetSigned(p, end, &r->applied)) || !(p = GetSigned(p, end, &r->value))) return false;
  }
  r->delta = r->applied;
  if (flags & kUncommon) {
    if (p >= end) return false;
    auto b = static_cast<uint8_t>(*p++);
    if (b == 0 || (b & 3) > static_cast<uint8_t>(Outcome::kRefused) || b >= 2 * kHasLastWrite) return false;
    r->outcome = static_cast<Outcome>(b & 3);
    r->expired = b & kExpired;
    if ((b & kHasAsked) && (!(p = GetSigned(p, end, &r->delta)) || r->delta == r->applied)) return false;
    if (b & kHasLastWrite) {
      int64_t d;
      if (!(p = GetSigned(p, end, &d))) return false;
      r->last_write_us = Sum(frame_us, d);
      if (r->last_write_us == kNoTime) return false;
    }
  } else if (!(flags & (kSummed | kHasToken)) && r->kind == OpKind::kAdd) {
    return false;  // it would be a sum
  }
  if (flags & kHasExpiry) {
    if (!(p = GetVarint(p, end, &u)) || u == 0 || u > static_cast<uint64_t>(INT64_MAX)) return false;
    r->expiry_ms = static_cast<int64_t>(u);
  }
  r->event_us = frame_us;
  if (flags & kOwnEventTime) {
    int64_t d;
    if (!(p = GetSigned(p, end, &d))) return false;
    r->event_us = Sum(frame_us, d);
    if (d == 0 || r->event_us == kNoTime) return false;
  }
  if (r->last_write_us == r->event_us) return false;
  if (r->last_write_us == kNoTime) r->last_write_us = r->event_us;
  if (flags & kHasToken) {
    if (p >= end) return false;
    auto form = static_cast<uint8_t>(*p++);
    if (form < 1 || form > 4) return false;
    r->token_form = static_cast<TokenForm>(form);
    if (r->token_form == TokenForm::kText) {
      if (!(p = GetBytes(p, end, &r->token, kTokenBytesMax)) || r->token.empty()) return false;
    } else {
      if (end - p < 16) return false;
      r->token = {p, 16};
      p += 16;
    }
  }
  if (flags & kHasContent) {
    if (end - p < 8) return false;
    r->content = GetFixed<uint64_t>(p);
    if (r->content == 0) return false;
    p += 8;
  }
  *pp = p;
  return true;
}

}  // namespace

bool DecodeRecord(const char** pp, const char* end, Micros frame_us, Record* out) {
  const char* p = *pp;
  if (p >= end) return false;
  auto first = static_cast<uint8_t>(*p++);
  uint64_t u;
  switch (first & 7) {
    case static_cast<uint8_t>(RecordType::kCounter):
      out->type = RecordType::kCounter;
      if (!DecodeCounter(&p, end, frame_us, first, &out->counter)) return false;
      break;
    case static_cast<uint8_t>(RecordType::kNamespace):
      out->type = RecordType::kNamespace;
      if (first != static_cast<uint8_t>(RecordType::kNamespace)) return false;
      if (!(p = GetVarint(p, end, &u)) || u > kNamespaceIdMax) return false;
      out->ns.id = static_cast<NamespaceId>(u);
      if (!(p = GetVarint(p, end, &out->ns.version)) || p >= end) return false;
      if (static_cast<uint8_t>(*p) > 1) return false;
      out->ns.deleted = *p++ != 0;
      if (!(p = GetSigned(p, end, &out->ns.tokens_known_since_us))) return false;
      if (!(p = GetBytes(p, end, &out->ns.name, kNamespaceNameBytesMax))) return false;
      if (!(p = GetBytes(p, end, &out->ns.settings_json, kSettingsBytesMax))) return false;
      break;
    case static_cast<uint8_t>(RecordType::kSource):
      out->type = RecordType::kSource;
      if (first != static_cast<uint8_t>(RecordType::kSource) || end - p < 48) return false;
      for (auto* pair : {out->source.id, out->source.anchor, out->source.fingerprint}) {
        pair[0] = GetFixed<uint64_t>(p);
        pair[1] = GetFixed<uint64_t>(p + 8);
        p += 16;
      }
      if (!(p = GetVarint(p, end, &out->source.offset)) || out->source.offset > kSourceOffsetMax) return false;
      if (!(p = GetVarint(p, end, &out->source.taken)) || !(p = GetVarint(p, end, &out->source.refused))) return false;
      if (!(p = GetSigned(p, end, &out->source.updated_us))) return false;
      if (!(p = GetBytes(p, end, &out->source.label, kSourceLabelBytesMax))) return false;
      if (!(p = GetMarks(p, end, kSourceMarksMax, out->source.offset, &out->source.marks))) return false;
      if (!(p = GetMarks(p, end, kSourceEndsMax, out->source.offset, &out->source.ends))) return false;
      break;
    case static_cast<uint8_t>(RecordType::kStep):
      out->type = RecordType::kStep;
      if (first != static_cast<uint8_t>(RecordType::kStep) || end - p < 16) return false;
      out->step.id[0] = GetFixed<uint64_t>(p);
      out->step.id[1] = GetFixed<uint64_t>(p + 8);
      p += 16;
      if (!(p = GetVarint(p, end, &u)) || u < 1 || u > kStepPartsMax) return false;
      out->step.parts.resize(u);
      for (StepRecord::Part& part : out->step.parts) {
        if (!(p = GetVarint(p, end, &u)) || u >= kStepPartsMax) return false;
        part.shard = static_cast<uint32_t>(u);
        if (!(p = GetVarint(p, end, &part.position))) return false;
      }
      break;
    default:
      return false;
  }
  *pp = p;
  return true;
}

std::string_view NameOfCounterRecord(const char* record) {
  uint64_t ns;
  const char* const end = record + kRecordBytesMax;
  const char* p = GetVarint(record + 2, end, &ns);
  std::string_view name;
  p = GetBytes(p, end, &name, kCounterNameBytesMax);
  QUIPU_ASSERT(p != nullptr, "a record without a name");
  return name;
}

}  // namespace quipu::store
