#include "store/embedded/settled_rows.h"

#include <bit>

#include "base/varint.h"
#include "model/name.h"
#include "model/token.h"

namespace quipu::store {
namespace {

constexpr char kVersion = 1;

// Checkpoint flags.
constexpr uint8_t kHasExpiry = 1, kHasLastWrite = 2;
// First byte of event flags: kind (3 bits), outcome (2 bits), then these.
constexpr uint8_t kExists = 0x20, kEventHasExpiry = 0x40, kAppliedDiffers = 0x80;
// Second byte of event flags: token form (3 bits), then these.
constexpr uint8_t kManyEvents = 0x08, kHasEventTime = 0x10, kHasContent = 0x20, kExisted = 0x40, kOtherLastWrite = 0x80;

template <class T>
char* PutBig(char* p, T v) {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
  return PutFixed(p, v);
}
template <class T>
T GetBig(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return sizeof(T) == 4 ? static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(v)))
                        : static_cast<T>(__builtin_bswap64(v));
}

using uint128 = unsigned __int128;
char* PutVarint128(char* p, uint128 v) {
  for (; v >= 0x80; v >>= 7) *p++ = static_cast<char>(static_cast<uint8_t>(v) | 0x80);
  *p++ = static_cast<char>(v);
  return p;
}

// Takes parts off the front; once one is missing or malformed, ok() stays false and zeros come out.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  uint8_t Byte() {
    if (bytes_.empty()) return Fail<uint8_t>();
    const auto b = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return b;
  }
  // The shortest spelling only.
  template <class U = uint64_t>
  U Varint() {
    constexpr int kBits = sizeof(U) * 8;
    U v = 0;
    for (int shift = 0; shift < kBits; shift += 7) {
      const uint8_t b = Byte();
      if (shift > 0 && b == 0) return Fail<U>();
      if (kBits - shift < 7 && (b >> (kBits - shift)) != 0) return Fail<U>();
      v |= static_cast<U>(b & 0x7f) << shift;
      if (b < 0x80) return ok_ ? v : 0;
    }
    return Fail<U>();
  }
  int64_t ZigZagVarint() { return UnZigZag(Varint()); }
  std::string_view Bytes(size_t n) {
    if (bytes_.size() < n) return Fail<std::string_view>();
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  std::string_view Rest() { return Bytes(bytes_.size()); }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  template <class T>
  T Fail() {
    ok_ = false;
    bytes_ = {};
    return T();
  }
  std::string_view bytes_;
  bool ok_ = true;
};

// Keys are made in one piece and copied once.
constexpr size_t kCounterKeyMax = 12 + kCounterNameBytesMax;

char* PutCounterKey(char* p, const CounterRef& counter) {
  QUIPU_ASSERT(counter.name.size() <= kCounterNameBytesMax, "a name of {} bytes", counter.name.size());
  p = PutBig(p, counter.ns);
  p = PutBig(p, counter.hash);
  return p + counter.name.copy(p, counter.name.size());
}

void Assign(std::string* out, const char* begin, const char* end) {
  out->assign(begin, static_cast<size_t>(end - begin));
}

}  // namespace

void SetCounterKey(const CounterRef& counter, std::string* key) {
  char bytes[kCounterKeyMax];
  Assign(key, bytes, PutCounterKey(bytes, counter));
}

bool ParseCounterKey(std::string_view key, CounterRef* counter) {
  if (key.size() <= 12 || key.size() > 12 + kCounterNameBytesMax) return false;
  *counter = {.ns = GetBig<uint32_t>(key.data()), .hash = GetBig<uint64_t>(key.data() + 4), .name = key.substr(12)};
  return counter->name.find('\0') == std::string_view::npos;
}

void SetEventKey(const CounterRef& counter, Position position, std::string* key) {
  char bytes[kCounterKeyMax + kEventKeySuffix];
  char* p = PutCounterKey(bytes, counter);
  *p++ = '\0';
  Assign(key, bytes, PutBig(p, position));
}

bool ParseEventKey(std::string_view key, std::string_view* counter_key, Position* position) {
  CounterRef counter;
  if (key.size() < kEventKeySuffix) return false;
  const size_t end = key.size() - kEventKeySuffix;
  *counter_key = key.substr(0, end);
  *position = GetBig<uint64_t>(key.data() + end + 1);
  return key[end] == '\0' && ParseCounterKey(*counter_key, &counter);
}

void SetNameKey(NamespaceId ns, std::string_view name, std::string* key) {
  char bytes[sizeof ns];
  Assign(key, bytes, PutBig(bytes, ns));
  key->append(name);
}

bool ParseNameKey(std::string_view key, NamespaceId* ns, std::string_view* name) {
  if (key.size() <= 4 || key.size() > 4 + kCounterNameBytesMax) return false;
  *ns = GetBig<uint32_t>(key.data());
  *name = key.substr(4);
  return true;
}

void SetTokenKey(const TokenPrint& print, std::string* key) {
  char bytes[16];
  Assign(key, bytes, PutBig(PutBig(bytes, print.hi), print.lo));
}

bool ParseTokenKey(std::string_view key, TokenPrint* print) {
  if (key.size() != 16) return false;
  *print = {.hi = GetBig<uint64_t>(key.data()), .lo = GetBig<uint64_t>(key.data() + 8)};
  return true;
}

void SetSumKey(const CounterRef& counter, Interval interval, int64_t start_us, std::string* key) {
  char bytes[kCounterKeyMax + kSumKeySuffix];
  char* p = PutCounterKey(bytes, counter);
  *p++ = '\0';
  *p++ = static_cast<char>(interval);
  Assign(key, bytes, PutBig(p, static_cast<uint64_t>(start_us) ^ (1ull << 63)));
}

bool ParseSumKey(std::string_view key, std::string_view* counter_key, Interval* interval, int64_t* start_us) {
  CounterRef counter;
  if (key.size() < kSumKeySuffix) return false;
  const size_t end = key.size() - kSumKeySuffix;
  *counter_key = key.substr(0, end);
  const auto number = static_cast<uint8_t>(key[end + 1]);
  if (number < static_cast<uint8_t>(Interval::kMinute) || number > static_cast<uint8_t>(Interval::kDay)) return false;
  *interval = static_cast<Interval>(number);
  *start_us = static_cast<int64_t>(GetBig<uint64_t>(key.data() + end + 2) ^ (1ull << 63));
  return key[end] == '\0' && ParseCounterKey(*counter_key, &counter);
}

void SetCheckpointValue(const Checkpoint& c, std::string* value) {
  const bool has_last_write = c.last_write_us != kNoTime;
  char bytes[2 + 4 * kVarintBytesMax];
  bytes[0] = kVersion;
  bytes[1] = static_cast<char>((c.expiry_ms != 0 ? kHasExpiry : 0) | (has_last_write ? kHasLastWrite : 0));
  char* p = PutVarint(PutSigned(bytes + 2, c.value), c.position);
  if (c.expiry_ms != 0) p = PutSigned(p, c.expiry_ms);
  if (has_last_write) p = PutSigned(p, c.last_write_us);
  Assign(value, bytes, p);
}

bool ParseCheckpointValue(std::string_view value, Checkpoint* c) {
  Reader in(value);
  if (in.Byte() != kVersion) return false;
  const uint8_t flags = in.Byte();
  if ((flags & ~(kHasExpiry | kHasLastWrite)) != 0) return false;
  c->value = in.ZigZagVarint();
  c->position = in.Varint();
  c->expiry_ms = (flags & kHasExpiry) != 0 ? in.ZigZagVarint() : 0;
  c->last_write_us = (flags & kHasLastWrite) != 0 ? in.ZigZagVarint() : kNoTime;
  if ((flags & kHasExpiry) != 0 && c->expiry_ms == 0) return false;
  if ((flags & kHasLastWrite) != 0 && c->last_write_us == kNoTime) return false;
  return in.done();
}

namespace {

// Room for an event's value: version, position, flags, at most eight numbers, digest and token.
constexpr size_t kEventBytesMax = 1 + 10 + 2 + 8 * 10 + 8 + kTokenBytesMax;

// All of an event's value but its version and its token.
char* PutEvent(const SettledEvent& e, TokenForm form, Micros slice_start, char* p) {
  const bool differs = e.applied != e.delta;
  const bool has_event_time = e.event_us != kNoTime;
  const bool other_last_write = e.last_write_us != e.event_us;
  const auto outcome_bits = static_cast<uint8_t>(static_cast<uint8_t>(e.outcome) << 3);
  *p++ = static_cast<char>(static_cast<uint8_t>(e.kind) | outcome_bits | (e.exists ? kExists : 0) |
                           (e.expiry_ms != 0 ? kEventHasExpiry : 0) | (differs ? kAppliedDiffers : 0));
  *p++ = static_cast<char>(static_cast<uint8_t>(form) | (e.events != 1 ? kManyEvents : 0) |
                           (has_event_time ? kHasEventTime : 0) | (e.content != 0 ? kHasContent : 0) |
                           (e.existed ? kExisted : 0) | (other_last_write ? kOtherLastWrite : 0));
  p = PutSigned(p, e.delta);
  if (differs) p = PutSigned(p, e.applied);
  p = PutSigned(p, e.value);
  if (e.expiry_ms != 0) p = PutSigned(p, e.expiry_ms);
  p = PutVarint(p, static_cast<uint64_t>(e.commit_us - slice_start));
  // Modulo 2^64, so that any two times have a difference.
  if (has_event_time) {
    p = PutSigned(p, static_cast<int64_t>(static_cast<uint64_t>(e.commit_us) - static_cast<uint64_t>(e.event_us)));
  }
  if (other_last_write) {
    p = PutSigned(p, static_cast<int64_t>(static_cast<uint64_t>(e.commit_us) - static_cast<uint64_t>(e.last_write_us)));
  }
  if (e.events != 1) p = PutVarint(p, e.events);
  if (e.content != 0) p = PutFixed(p, __builtin_bswap64(e.content));
  return p;
}

// The form of the token that follows, or nothing.
std::optional<TokenForm> ParseEvent(Reader* in, Micros slice_start, SettledEvent* e) {
  const uint8_t first = in->Byte();
  const uint8_t second = in->Byte();
  const int kind = first & 7, outcome = (first >> 3) & 3, form = second & 7;
  if (kind > static_cast<int>(OpKind::kCheckVersion) || outcome > static_cast<int>(Outcome::kRefused))
    return std::nullopt;
  if (form > static_cast<int>(TokenForm::kUlid)) return std::nullopt;
  e->kind = static_cast<OpKind>(kind);
  e->outcome = static_cast<Outcome>(outcome);
  e->exists = (first & kExists) != 0;
  e->delta = in->ZigZagVarint();
  e->applied = (first & kAppliedDiffers) != 0 ? in->ZigZagVarint() : e->delta;
  e->value = in->ZigZagVarint();
  e->expiry_ms = (first & kEventHasExpiry) != 0 ? in->ZigZagVarint() : 0;
  e->commit_us = static_cast<int64_t>(static_cast<uint64_t>(slice_start) + in->Varint());
  e->event_us = kNoTime;
  if ((second & kHasEventTime) != 0) {
    e->event_us = static_cast<int64_t>(static_cast<uint64_t>(e->commit_us) - static_cast<uint64_t>(in->ZigZagVarint()));
    if (e->event_us == kNoTime) return std::nullopt;
  }
  e->existed = (second & kExisted) != 0;
  e->last_write_us = e->event_us;
  if ((second & kOtherLastWrite) != 0) {
    e->last_write_us =
        static_cast<int64_t>(static_cast<uint64_t>(e->commit_us) - static_cast<uint64_t>(in->ZigZagVarint()));
    if (e->last_write_us == e->event_us) return std::nullopt;
  }
  const uint64_t events = (second & kManyEvents) != 0 ? in->Varint() : 1;
  if (events > std::numeric_limits<uint32_t>::max() || ((second & kManyEvents) != 0 && events == 1))
    return std::nullopt;
  e->events = static_cast<uint32_t>(events);
  e->content = 0;
  if ((second & kHasContent) != 0) {
    const std::string_view bytes = in->Bytes(8);
    if (!in->ok()) return std::nullopt;
    e->content = GetBig<uint64_t>(bytes.data());
    if (e->content == 0) return std::nullopt;
  }
  e->token = {};
  return static_cast<TokenForm>(form);
}

}  // namespace

void SetEventValue(const SettledEvent& e, Micros slice_start, std::string* value) {
  char bytes[kEventBytesMax];
  bytes[0] = kVersion;
  char* p = PutEvent(e, e.token.form, slice_start, bytes + 1);
  const std::string_view token = e.token.bytes();
  p += token.copy(p, token.size());
  Assign(value, bytes, p);
}

bool ParseEventValue(std::string_view value, Micros slice_start, SettledEvent* e) {
  Reader in(value);
  if (in.Byte() != kVersion) return false;
  const auto form = ParseEvent(&in, slice_start, e);
  if (!form) return false;
  const std::string_view token = *form == TokenForm::kNone   ? std::string_view()
                                 : *form == TokenForm::kText ? in.Rest()
                                                             : in.Bytes(e->token.packed.size());
  if (!in.done()) return false;
  if (*form == TokenForm::kText && (token.empty() || token.size() > kTokenBytesMax)) return false;
  e->token = StoredToken(*form, token);
  return true;
}

void SetTokenValue(const SettledEvent& event, Micros slice_start, std::string* value) {
  char bytes[kEventBytesMax];
  bytes[0] = kVersion;
  char* p = PutVarint(bytes + 1, event.position);
  p = PutEvent(event, TokenForm::kNone, slice_start, p);
  Assign(value, bytes, p);
}

bool ParseTokenValue(std::string_view value, Micros slice_start, SettledEvent* event) {
  Reader in(value);
  if (in.Byte() != kVersion) return false;
  event->position = in.Varint();
  return ParseEvent(&in, slice_start, event) == TokenForm::kNone && in.done();
}

void SetSumValue(const SumValue& sum, std::string* value) {
  char bytes[1 + 19 + kVarintBytesMax];
  bytes[0] = kVersion;
  char* p = PutVarint128(bytes + 1, (static_cast<uint128>(sum.sum) << 1) ^ static_cast<uint128>(sum.sum >> 127));
  Assign(value, bytes, PutVarint(p, sum.events));
}

bool ParseSumValue(std::string_view value, SumValue* sum) {
  Reader in(value);
  if (in.Byte() != kVersion) return false;
  const auto zigzag = in.Varint<uint128>();
  sum->sum = static_cast<__int128>(zigzag >> 1) ^ -static_cast<__int128>(zigzag & 1);
  sum->events = in.Varint();
  return in.done();
}

void SetNameValue(std::string* value) { value->assign(1, kVersion); }
bool ParseNameValue(std::string_view value) { return value.size() == 1 && value.front() == kVersion; }

void SetMetaValue(std::string_view bytes, std::string* value) {
  value->assign(1, kVersion);
  value->append(bytes);
}
bool ParseMetaValue(std::string_view value, std::string_view* bytes) {
  if (value.empty() || value.front() != kVersion) return false;
  *bytes = value.substr(1);
  return true;
}

}  // namespace quipu::store
