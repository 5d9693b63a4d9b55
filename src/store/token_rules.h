// When a token protects, and what makes two requests with it the same one. Shared by every engine.
//
// A token claims a time: its own (UUIDv7, ULID), else the generation_time of the request, else the receipt. A request
// is taken until the horizon has passed over the time that it claims, known or not. A token is kept until the horizon
// and the skew have passed over its commit, and over its own time where that is later: a given time may have been ahead
// of the commit by the skew, and is not kept itself. So every request that is taken meets what is known of its token.
// Hence the two questions:
//   may this request be decided?    CheckTokenTime, before anything is looked up.
//   does this kept token count?     IsTokenKept; a token that is not kept any more is as good as never seen.
//
// Units     Microseconds since 1970 UTC.
// Errors    kTokenExpired, kTokenInFuture.
#pragma once
#include <algorithm>

#include "model/namespace.h"
#include "model/token.h"
#include "store/op.h"

namespace quipu::store {

// What the request says about its token's age; now_us if it says nothing. Cost: 20 to 35 ns for UUIDv7 and ULID.
inline Micros ClaimedTokenTime(const Op& op, Micros now_us) {
  Micros own = TokenOwnTime(op.token);
  if (own != kNoTime) return own;
  return op.token_time_us != kNoTime ? op.token_time_us : now_us;
}

// Tokens of the namespace whose commit is not before this are known.
inline Micros TokenFloor(const Namespace& ns, Micros now_us) {
  const Micros kept_us = (ns.settings.token_horizon_ms + ns.settings.token_skew_ms) * 1000;
  return std::max(now_us - kept_us, ns.tokens_known_since_us);
}

// kOk, kTokenExpired, kTokenInFuture. own_us is the token's own time, claimed_us what ClaimedTokenTime says of it.
// A given time may have been ahead of the first receipt by the skew: it must lie that much behind the moment from which
// the namespace's tokens are known.
inline Code CheckTokenTime(const Namespace& ns, Micros own_us, Micros claimed_us, Micros now_us) {
  Micros skew_us = ns.settings.token_skew_ms * 1000;
  bool given = own_us == kNoTime && claimed_us < now_us;
  if (claimed_us < now_us - ns.settings.token_horizon_ms * 1000) return Code::kTokenExpired;
  // Not by a sum: kNoTime means that all are known.
  if (ns.tokens_known_since_us != kNoTime && claimed_us < ns.tokens_known_since_us + (given ? skew_us : 0)) {
    return Code::kTokenExpired;
  }
  if (claimed_us > now_us + skew_us) return Code::kTokenInFuture;
  return Code::kOk;
}

// What the first sight of a token leaves to be judged by: the later of its own time (kNoTime: none) and its commit.
constexpr Micros TokenKeptFrom(Micros own_us, Micros commit_us) { return std::max(own_us, commit_us); }
inline bool IsTokenKept(const Namespace& ns, Micros kept_from_us, Micros now_us) {
  return kept_from_us >= TokenFloor(ns, now_us);
}
inline Micros TokenExpires(const Namespace& ns, Micros kept_from_us) {
  return kept_from_us + (ns.settings.token_horizon_ms + ns.settings.token_skew_ms) * 1000;
}

// The namespace's tokens_known_since_us once `next` is in force. A longer horizon or skew cannot bring back what the
// shorter one gave up, and a namespace that did not keep tokens knows none: without this a retry would count twice
// after the change.
Micros TokensKnownSince(const Namespace& before, const NamespaceSettings& next, Micros now_us);

// Event time of a mutation: given, else the token's, else the server's.
inline Micros EventTime(const Op& op, Micros claimed_us) {
  return op.event_time_us != kNoTime ? op.event_time_us : claimed_us;
}

// kOk, kEventTooOld, kEventInFuture: beyond what can be stored.
constexpr Code CheckEventTime(Micros event_us) {
  if (event_us < -kEventUsMax) return Code::kEventTooOld;
  return event_us > kEventUsMax ? Code::kEventInFuture : Code::kOk;
}

// Stands for what a mutation asks: kind, delta, bounds, saturate, condition, expiry, remove; not for any time of token
// or event. Fields that the op does not use do not count. Never 0. On disk with tokens: never changes. Cost: about 5
// ns.
uint64_t ContentDigest(const Op& op);
// The same of an add with nothing but its delta.
uint64_t PlainAddDigest(int64_t delta);

}  // namespace quipu::store
