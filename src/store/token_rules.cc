#include "store/token_rules.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "store/decide.h"

namespace quipu::store {
namespace {

constexpr uint8_t kSaturateBit = 1, kBoundedBit = 2, kRemoveBit = 4;
constexpr size_t kContentBytes = 4 + 4 * 8;

template <class T>
char* Put(char* at, T v) {
  memcpy(at, &v, sizeof v);
  return at + sizeof v;
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

  char bytes[kContentBytes];
  char* at = Put(bytes, static_cast<uint8_t>(op.kind));
  at = Put(at, static_cast<uint8_t>(op.condition));
  at = Put(at, static_cast<uint8_t>(op.expire_rule));
  at = Put(at, flags);
  at = Put(at, is_add || op.kind == OpKind::kSet ? op.delta : int64_t{0});
  at = Put(at, bounded ? op.floor : int64_t{0});
  at = Put(at, bounded ? op.ceiling : int64_t{0});
  at = Put(at, SetsTime(op.expire_rule) ? op.expire_at_ms : int64_t{0});
  QUIPU_DASSERT(at == bytes + kContentBytes, "{} bytes", at - bytes);
  uint64_t digest = XXH3_64bits(bytes, kContentBytes);
  return digest != 0 ? digest : 1;
}

}  // namespace quipu::store
