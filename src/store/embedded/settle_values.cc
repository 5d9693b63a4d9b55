// What a record means, and the small named values in the settled store: shared by settling, recovery and check.
#include <xxhash.h>

#include "base/plant.h"
#include "base/varint.h"
#include "store/embedded/settler.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

char* PutBig32(char* p, uint32_t v) { return PutFixed(p, __builtin_bswap32(v)); }
char* PutBig64(char* p, uint64_t v) { return PutFixed(p, __builtin_bswap64(v)); }

}  // namespace

TokenResult ResultOf(const CounterRecord& r, Position position, Micros own_us, Micros commit_us) {
  TokenResult t;
  t.kind = r.kind;
  t.outcome = r.outcome;
  t.existed = r.existed;
  t.exists = r.exists;
  t.delta = r.kind == OpKind::kAdd || r.kind == OpKind::kSet ? r.delta : 0;
  t.value = r.value;
  t.applied = r.applied;
  t.expiry_ms = r.expiry_ms;
  t.event_us = r.event_us;
  t.last_write_us = r.last_write_us;
  t.kept_from_us = TokenKeptFrom(own_us, commit_us);
  t.position = position;
  t.content = r.content;
  if (t.content == 0 && r.token_form != TokenForm::kNone) {
    t.content = PlainAddDigest(r.delta);  // it is not stored
  }
  return t;
}

SettledEvent EventOf(const CounterRecord& r, Position position, Micros commit_us) {
  return {.position = position,
          .kind = r.kind,
          .outcome = r.outcome,
          .existed = r.existed,
          .exists = r.exists,
          .events = r.events,
          .delta = r.kind == OpKind::kAdd || r.kind == OpKind::kSet ? r.delta : 0,
          .applied = r.applied,
          .value = r.value,
          .expiry_ms = r.expiry_ms,
          .event_us = r.event_us,
          .last_write_us = r.last_write_us,
          .commit_us = commit_us,
          .content = r.content,
          .token = TokenOf(r)};
}

bool BeginsStep(std::string_view payload, Micros frame_us, StepRecord* step) {
  const char* p = payload.data();
  Record r;
  if (payload.empty() || (payload[0] & 7) != static_cast<int>(RecordType::kStep) ||
      !DecodeRecord(&p, payload.data() + payload.size(), frame_us, &r)) {
    return false;
  }
  *step = r.step;
  return true;
}

TokenPrint MakeTokenPrint(uint64_t seed, uint64_t counter_hash, NamespaceId ns, std::string_view name,
                          const TokenBytes& token) {
  // The namespace is no part of the seed: for short inputs XXH3 adds the seed to the bytes, so that "c16" in namespace
  // 1 and "c17" in namespace 2 would be one counter here.
  uint64_t counter = XXH3_64bits_withSeed(name.data(), name.size(), seed) ^ ns * 0x9E3779B97F4A7C15ull ^ counter_hash;
  if (QUIPU_PLANTED(126)) counter = seed;
  XXH128_hash_t h;
  if (token.form == TokenForm::kText) {
    h = XXH3_128bits_withSeed(token.text.data(), token.text.size(), counter);
  } else {
    // The form at the end is a control character: no text ends so.
    char bytes[17];
    std::memcpy(bytes, token.packed.data(), 16);
    bytes[16] = static_cast<char>(token.form);
    h = XXH3_128bits_withSeed(bytes, sizeof bytes, counter);
  }
  return {.hi = h.high64, .lo = h.low64};
}

std::string PositionKey(std::string_view generation, uint32_t shard) {
  return fmt::format("{}{}/{:08x}", kPositionPrefix, generation, shard);
}

std::string EncodeSettledPosition(const SettledPosition& p) {
  char buffer[3 * kVarintBytesMax];
  char* end = PutVarint(buffer, p.position);
  end = PutSigned(end, p.commit_us);
  end = PutSigned(end, p.newest_own_us);
  return std::string(buffer, static_cast<size_t>(end - buffer));
}

bool DecodeSettledPosition(std::string_view bytes, SettledPosition* p) {
  const char* end = bytes.data() + bytes.size();
  const char* at = GetVarint(bytes.data(), end, &p->position);
  if (!at || !(at = GetSigned(at, end, &p->commit_us)) || !(at = GetSigned(at, end, &p->newest_own_us))) return false;
  return at == end;
}

std::string CountKey(uint32_t shard, NamespaceId ns) {
  char buffer[8];
  PutBig32(PutBig32(buffer, shard), ns);
  return std::string(kCountPrefix) + std::string(buffer, sizeof buffer);
}
bool DecodeCountKey(std::string_view key, uint32_t* shard, NamespaceId* ns) {
  if (key.size() != kCountPrefix.size() + 8 || !key.starts_with(kCountPrefix)) return false;
  *shard = __builtin_bswap32(GetFixed<uint32_t>(key.data() + kCountPrefix.size()));
  *ns = __builtin_bswap32(GetFixed<uint32_t>(key.data() + kCountPrefix.size() + 4));
  return *ns <= kNamespaceIdMax;
}
std::string NamespaceKey(NamespaceId ns) {
  char buffer[4];
  PutBig32(buffer, ns);
  return std::string(kNamespacePrefix) + std::string(buffer, sizeof buffer);
}
std::string SourceKey(uint64_t hi, uint64_t lo) {
  char buffer[16];
  PutBig64(PutBig64(buffer, hi), lo);
  return std::string(kSourcePrefix) + std::string(buffer, sizeof buffer);
}
std::string ExpiryKey(int64_t expiry_ms, NamespaceId ns, uint64_t hash) {
  char buffer[20];
  PutBig64(PutBig32(PutBig64(buffer, static_cast<uint64_t>(expiry_ms)), ns), hash);
  return std::string(kExpiryPrefix) + std::string(buffer, sizeof buffer);
}
bool DecodeExpiryKey(std::string_view key, int64_t* expiry_ms, NamespaceId* ns, uint64_t* hash) {
  if (key.size() != kExpiryPrefix.size() + 20 || !key.starts_with(kExpiryPrefix)) return false;
  const char* p = key.data() + kExpiryPrefix.size();
  *expiry_ms = static_cast<int64_t>(__builtin_bswap64(GetFixed<uint64_t>(p)));
  *ns = __builtin_bswap32(GetFixed<uint32_t>(p + 8));
  *hash = __builtin_bswap64(GetFixed<uint64_t>(p + 12));
  return *expiry_ms > 0 && *ns <= kNamespaceIdMax;
}

}  // namespace quipu::store
