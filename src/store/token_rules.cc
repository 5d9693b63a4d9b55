#include "store/token_rules.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"
#include "store/decide.h"

namespace quipu::store {
namespace {

constexpr uint8_t kSaturateBit = 1, kBoundedBit = 2, kRemoveBit = 4;
constexpr size_t kContentBytes = 4 + 4 * 8;

// What of a mutation counts, in the order of the bytes that are hashed.
struct Content {
  OpKind kind = OpKind::kAdd;
  Condition condition = Condition::kNone;
  ExpireRule expire_rule = ExpireRule::kKeep;
  uint8_t flags = 0;
  int64_t delta = 0;
  int64_t floor = 0;
  int64_t ceiling = 0;
  int64_t expire_at_ms = 0;
};

uint64_t Digest(const Content& c) {
  char bytes[kContentBytes];
  char* at = PutFixed(bytes, static_cast<uint8_t>(c.kind));
  at = PutFixed(at, static_cast<uint8_t>(c.condition));
  at = PutFixed(at, static_cast<uint8_t>(c.expire_rule));
  at = PutFixed(at, c.flags);
  at = PutFixed(at, c.delta);
  at = PutFixed(at, c.floor);
  at = PutFixed(at, c.ceiling);
  at = PutFixed(at, c.expire_at_ms);
  QUIPU_DASSERT(at == bytes + kContentBytes, "{} bytes", at - bytes);
  uint64_t digest = XXH3_64bits(bytes, kContentBytes);
  return digest != 0 ? digest : 1;
}

bool SetsTime(ExpireRule rule) { return rule != ExpireRule::kKeep && rule != ExpireRule::kClear; }

}  // namespace

Micros TokensKnownSince(const Namespace& before, const NamespaceSettings& next, Micros now_us) {
  if (before.settings.durability == Durability::kMemory) {
    return next.durability == Durability::kMemory ? before.tokens_known_since_us : now_us;
  }
  const NamespaceSettings& now = before.settings;
  const bool keeps_longer = next.token_horizon_ms + next.token_skew_ms > now.token_horizon_ms + now.token_skew_ms;
  if (next.token_horizon_ms <= now.token_horizon_ms && !keeps_longer) return before.tokens_known_since_us;
  return TokenFloor(before, now_us);
}

uint64_t ContentDigest(const Op& op) {
  QUIPU_DASSERT(IsMutation(op.kind), "kind={}", static_cast<int>(op.kind));
  bool is_add = op.kind == OpKind::kAdd;
  bool bounded = is_add && op.bounded;
  uint8_t flags = 0;
  if (is_add && op.saturate) flags |= kSaturateBit;
  if (bounded) flags |= kBoundedBit;
  if (op.kind == OpKind::kClear && op.remove) flags |= kRemoveBit;
  return Digest({.kind = op.kind,
                 .condition = op.condition,
                 .expire_rule = op.expire_rule,
                 .flags = flags,
                 .delta = is_add || op.kind == OpKind::kSet ? op.delta : 0,
                 .floor = bounded ? op.floor : 0,
                 .ceiling = bounded ? op.ceiling : 0,
                 .expire_at_ms = SetsTime(op.expire_rule) ? op.expire_at_ms : 0});
}

uint64_t PlainAddDigest(int64_t delta) { return Digest({.delta = delta}); }

}  // namespace quipu::store
