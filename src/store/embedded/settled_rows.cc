#include "store/embedded/settled_rows.h"

#include "model/name.h"
#include "store/embedded/settled_bytes.h"

namespace quipu::store {
namespace {

// Checkpoint flags.
constexpr uint8_t kHasExpiry = 1, kHasLastWrite = 2;

// Keys are made in one piece and copied once.
constexpr size_t kCounterKeyMax = 12 + kCounterNameBytesMax;

char* PutCounterKey(char* p, const CounterRef& counter) {
  QUIPU_ASSERT(counter.name.size() <= kCounterNameBytesMax, "a name of {} bytes", counter.name.size());
  p = PutBig(p, counter.ns);
  p = PutBig(p, counter.hash);
  return p + counter.name.copy(p, counter.name.size());
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

void SetSumsKey(const CounterRef& counter, int64_t day_us, std::string* key) {
  char bytes[kCounterKeyMax + kSumsKeySuffix];
  char* p = PutCounterKey(bytes, counter);
  *p++ = '\0';
  Assign(key, bytes, PutBig(p, static_cast<uint64_t>(day_us) ^ (1ull << 63)));
}

bool ParseSumsKey(std::string_view key, std::string_view* counter_key, int64_t* day_us) {
  CounterRef counter;
  if (key.size() < kSumsKeySuffix) return false;
  const size_t end = key.size() - kSumsKeySuffix;
  *counter_key = key.substr(0, end);
  *day_us = static_cast<int64_t>(GetBig<uint64_t>(key.data() + end + 1) ^ (1ull << 63));
  return key[end] == '\0' && *day_us % IntervalWidth(Interval::kDay) == 0 && ParseCounterKey(*counter_key, &counter);
}

void SetCheckpointValue(const Checkpoint& c, std::string* value) {
  const bool has_last_write = c.last_write_us != kNoTime;
  char bytes[2 + 4 * kVarintBytesMax];
  bytes[0] = kRowVersion;
  bytes[1] = static_cast<char>((c.expiry_ms != 0 ? kHasExpiry : 0) | (has_last_write ? kHasLastWrite : 0));
  char* p = PutVarint(PutSigned(bytes + 2, c.value), c.position);
  if (c.expiry_ms != 0) p = PutSigned(p, c.expiry_ms);
  if (has_last_write) p = PutSigned(p, c.last_write_us);
  Assign(value, bytes, p);
}

bool ParseCheckpointValue(std::string_view value, Checkpoint* c) {
  Reader in(value);
  if (in.Byte() != kRowVersion) return false;
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

void SetSumsValue(std::span<const MinuteSum> minutes, std::string* value) {
  constexpr size_t kSumBytesMax = 19;
  value->assign(1, kRowVersion);
  int next = 0;
  for (const MinuteSum& m : minutes) {
    QUIPU_ASSERT(m.minute >= next && m.minute < kMinutesOfDay, "minute {} where {} comes next", m.minute, next);
    char bytes[2 + kSumBytesMax + kVarintBytesMax];
    char* p = PutVarint(bytes, static_cast<uint64_t>(m.minute - next));
    p = PutVarint128(p, (static_cast<uint128>(m.sum) << 1) ^ static_cast<uint128>(m.sum >> 127));
    value->append(bytes, static_cast<size_t>(PutVarint(p, m.events) - bytes));
    next = m.minute + 1;
  }
}

bool ParseSumsValue(std::string_view value, std::vector<MinuteSum>* minutes) {
  minutes->clear();
  Reader in(value);
  if (in.Byte() != kRowVersion) return false;
  uint64_t next = 0;
  do {
    const uint64_t gap = in.Varint();
    if (!in.ok() || gap >= kMinutesOfDay - next) return false;
    const auto minute = static_cast<uint16_t>(next + gap);
    const auto zigzag = in.Varint<uint128>();
    const __int128 sum = static_cast<__int128>(zigzag >> 1) ^ -static_cast<__int128>(zigzag & 1);
    minutes->push_back({.minute = minute, .sum = sum, .events = in.Varint()});
    next = minute + 1u;
  } while (in.ok() && !in.done() && next < kMinutesOfDay);
  return in.done();
}

void SetNameValue(std::string* value) { value->assign(1, kRowVersion); }
bool ParseNameValue(std::string_view value) { return value.size() == 1 && value.front() == kRowVersion; }

void SetMetaValue(std::string_view bytes, std::string* value) {
  value->assign(1, kRowVersion);
  value->append(bytes);
}
bool ParseMetaValue(std::string_view value, std::string_view* bytes) {
  if (value.empty() || value.front() != kRowVersion) return false;
  *bytes = value.substr(1);
  return true;
}

}  // namespace quipu::store
