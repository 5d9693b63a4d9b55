#include <fmt/core.h>

#include "gateway/resp/expiry.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

using store::ExpireRule;
using store::GroupRole;
using store::OpKind;

void FormatMutated(Connection& c, const Slot& slot, const store::Op* op) {
  if (op->code == Code::kTooLarge) return FailLargeGroup(c);
  FormatHappened(c, slot, op);
}

// The rule of the options NX, XX, GT, LT; false after an error reply.
bool ParseRule(Connection& c, Args words, ExpireRule* rule) {
  bool nx = false, xx = false, gt = false, lt = false;
  for (std::string_view word : words) {
    if (EqualsIgnoreCase(word, "NX"))
      nx = true;
    else if (EqualsIgnoreCase(word, "XX"))
      xx = true;
    else if (EqualsIgnoreCase(word, "GT"))
      gt = true;
    else if (EqualsIgnoreCase(word, "LT"))
      lt = true;
    else {
      c.Fail(fmt::format("ERR Unsupported option {}", word.substr(0, 128)));
      return false;
    }
  }
  if (nx && (xx || gt || lt)) {
    c.Fail(text::kExpireNxConflict);
    return false;
  }
  if (gt && lt) {
    c.Fail(text::kExpireGtLtConflict);
    return false;
  }
  // XX with GT is GT: no expiry counts as infinitely late.
  if (nx)
    *rule = ExpireRule::kSetIfNone;
  else if (gt)
    *rule = ExpireRule::kSetIfLater;
  else if (lt)
    *rule = xx ? ExpireRule::kSetIfAnyEarlier : ExpireRule::kSetIfEarlier;
  else
    *rule = xx ? ExpireRule::kSetIfAny : ExpireRule::kSet;
  return true;
}

void SetExpiry(Connection& c, Args args, ExpiryUnit unit) {
  ExpireRule rule = ExpireRule::kSet;
  if (!ParseRule(c, args.subspan(3), &rule)) return;
  int64_t time = 0;
  if (!ParseInt64(args[2], &time)) return c.Fail(text::kNotInteger);
  std::optional<int64_t> at = ExpiryAtMs(unit, time, c.loop().WallMicros() / 1000);
  if (!at) return c.Fail(fmt::format("ERR invalid expire time in '{}' command", c.command()->name));
  store::Op* op = c.AddOp(OpKind::kExpire, args[1]);
  if (op == nullptr) return;
  op->expire_rule = rule;
  op->expire_at_ms = *at;
  op->group = GroupRole::kWhole;
  c.AddSlot(FormatMutated);
}

constexpr int64_t kNoKey = -2;
constexpr int64_t kNoExpiry = -1;

template <bool kRelative, bool kMillis>
void FormatExpiry(Connection& c, const Slot&, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  if (!op->exists) return c.out().Integer(kNoKey);
  if (op->expiry_ms == 0) return c.out().Integer(kNoExpiry);
  int64_t ms = op->expiry_ms;
  if (kRelative) ms = std::max<int64_t>(ms - c.loop().WallMicros() / 1000, 0);
  c.out().Integer(kMillis ? ms : (ms + 500) / 1000);
}

void ShowExpiry(Connection& c, Args args, Slot::Format format) {
  store::Op* op = c.AddOp(OpKind::kGet, args[1]);
  if (op == nullptr) return;
  op->group = GroupRole::kElseGroup;
  c.AddSlot(format);
}

}  // namespace

void Expire(Connection& c, Args args) { SetExpiry(c, args, ExpiryUnit::kSeconds); }
void PExpire(Connection& c, Args args) { SetExpiry(c, args, ExpiryUnit::kMillis); }
void ExpireAt(Connection& c, Args args) { SetExpiry(c, args, ExpiryUnit::kUnixSeconds); }
void PExpireAt(Connection& c, Args args) { SetExpiry(c, args, ExpiryUnit::kUnixMillis); }

void Persist(Connection& c, Args args) {
  store::Op* op = c.AddOp(OpKind::kExpire, args[1]);
  if (op == nullptr) return;
  op->expire_rule = ExpireRule::kClear;
  op->group = GroupRole::kWhole;
  c.AddSlot(FormatMutated);
}

void Ttl(Connection& c, Args args) { ShowExpiry(c, args, FormatExpiry<true, false>); }
void PTtl(Connection& c, Args args) { ShowExpiry(c, args, FormatExpiry<true, true>); }
void ExpireTime(Connection& c, Args args) { ShowExpiry(c, args, FormatExpiry<false, false>); }
void PExpireTime(Connection& c, Args args) { ShowExpiry(c, args, FormatExpiry<false, true>); }

}  // namespace quipu::resp
