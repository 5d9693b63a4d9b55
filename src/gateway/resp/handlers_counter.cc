#include <fmt/core.h>

#include <limits>

#include "gateway/resp/expiry.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

using store::Condition;
using store::ExpireRule;
using store::GroupRole;
using store::OpKind;

void Add(Connection& c, std::string_view key, int64_t delta) {
  store::Op* op = c.AddOp(OpKind::kAdd, key);
  if (op == nullptr) return;
  op->delta = delta;
  c.AddSlot(FormatValue);
}

void FailExpireTime(Connection& c) {
  c.Fail(fmt::format("ERR invalid expire time in '{}' command", c.command()->name));
}

int64_t NowMs(Connection& c) { return c.loop().WallMicros() / 1000; }

// SET's kinds of reply: +OK or null; with GET the value before.
void FormatSet(Connection& c, const Slot&, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  if (op->outcome == store::Outcome::kRefused)
    c.out().Null();
  else
    c.out().Simple("OK");
}

void SetWithExpiry(Connection& c, Args args, ExpiryUnit unit) {
  int64_t time = 0;
  int64_t value = 0;
  if (!ParseInt64(args[2], &time) || !ParseInt64(args[3], &value)) return c.Fail(text::kNotInteger);
  std::optional<int64_t> at = ExpiryAtMs(unit, time, NowMs(c));
  if (time <= 0 || !at) return FailExpireTime(c);
  store::Op* op = c.AddOp(OpKind::kSet, args[1]);
  if (op == nullptr) return;
  op->delta = value;
  op->expire_rule = ExpireRule::kSet;
  op->expire_at_ms = *at;
  c.AddSlot(FormatOk);
}

void FormatDeleted(Connection& c, const Slot& slot, const store::Op* ops) {
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code == Code::kTooLarge) return FailLargeGroup(c);
  }
  FormatExisted(c, slot, ops);
}

// GETEX with a time that is none: as in Redis an error only where there is a counter.
void FailBadTime(Connection& c, std::string_view key, bool is_integer) {
  if (c.AddOp(OpKind::kGet, key) == nullptr) return;
  c.AddSlot(
      [](Connection& to, const Slot& slot, const store::Op* op) {
        if (op->code != Code::kOk || !op->exists) return FormatBulk(to, slot, op);
        const std::string_view text =
            slot.extra != 0 ? "ERR invalid expire time in 'getex' command" : text::kNotInteger;
        to.server().CountError(text);
        to.out().Error(text);
      },
      1, is_integer ? 1 : 0);
}

void CountExisting(Connection& c, Args args, OpKind kind, GroupRole role) {
  for (std::string_view key : args.subspan(1)) {
    store::Op* op = c.AddOp(kind, key);
    if (op == nullptr) return;
    op->group = role;
    if (kind == OpKind::kDelete) op->condition = Condition::kIfExists;  // a missing one leaves no event
  }
  c.AddSlot(kind == OpKind::kDelete ? FormatDeleted : FormatExisted, args.size() - 1);
}

bool TooManyOps(Connection& c, size_t ops) {
  if (ops <= kCommandOpsMax) return false;
  c.Fail(fmt::format("ERR {} keys in one command, at most {} are allowed", ops, kCommandOpsMax));
  return true;
}

}  // namespace

void Incr(Connection& c, Args args) { Add(c, args[1], 1); }
void Decr(Connection& c, Args args) { Add(c, args[1], -1); }

void IncrBy(Connection& c, Args args) {
  int64_t delta = 0;
  if (!ParseInt64(args[2], &delta)) return c.Fail(text::kNotInteger);
  Add(c, args[1], delta);
}

void DecrBy(Connection& c, Args args) {
  int64_t delta = 0;
  if (!ParseInt64(args[2], &delta)) return c.Fail(text::kNotInteger);
  if (delta == std::numeric_limits<int64_t>::min()) return c.Fail(text::kDecrementOverflow);
  Add(c, args[1], -delta);
}

void IncrByFloat(Connection& c, Args) { c.Fail(text::kNotInteger); }

void Get(Connection& c, Args args) {
  if (c.AddOp(OpKind::kGet, args[1]) != nullptr) c.AddSlot(FormatBulk);
}

void MGet(Connection& c, Args args) {
  if (TooManyOps(c, args.size() - 1)) return;
  for (std::string_view key : args.subspan(1)) {
    if (c.AddOp(OpKind::kGet, key) == nullptr) return;
  }
  c.AddSlot(FormatBulks, args.size() - 1);
}

void Set(Connection& c, Args args) {
  Condition condition = Condition::kNone;
  ExpireRule rule = ExpireRule::kClear;
  std::optional<ExpiryUnit> unit;
  std::string_view time_text;
  bool get = false;
  bool keep = false;
  for (size_t i = 3; i < args.size(); ++i) {
    std::string_view word = args[i];
    std::optional<ExpiryUnit> found = ParseExpiryUnit(word);
    if (EqualsIgnoreCase(word, "NX") && condition != Condition::kIfExists) {
      condition = Condition::kIfMissing;
    } else if (EqualsIgnoreCase(word, "XX") && condition != Condition::kIfMissing) {
      condition = Condition::kIfExists;
    } else if (EqualsIgnoreCase(word, "GET")) {
      get = true;
    } else if (EqualsIgnoreCase(word, "KEEPTTL") && !unit) {
      keep = true;
    } else if (found && unit.value_or(*found) == *found && !keep && i + 1 < args.size()) {
      unit = found;
      time_text = args[++i];
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  int64_t at = 0;
  int64_t time = 0;
  if (unit) {
    if (!ParseInt64(time_text, &time)) return c.Fail(text::kNotInteger);
    std::optional<int64_t> at_ms = ExpiryAtMs(*unit, time, NowMs(c));
    if (time <= 0 || !at_ms) return FailExpireTime(c);
    rule = ExpireRule::kSet;
    at = *at_ms;
  } else if (keep) {
    rule = ExpireRule::kKeep;
  }
  int64_t value = 0;
  if (!ParseInt64(args[2], &value)) return c.Fail(text::kNotInteger);
  store::Op* op = c.AddOp(OpKind::kSet, args[1]);
  if (op == nullptr) return;
  op->delta = value;
  op->condition = condition;
  op->expire_rule = rule;
  op->expire_at_ms = at;
  c.AddSlot(get ? FormatOldBulk : FormatSet);
}

void SetNx(Connection& c, Args args) {
  int64_t value = 0;
  if (!ParseInt64(args[2], &value)) return c.Fail(text::kNotInteger);
  store::Op* op = c.AddOp(OpKind::kSet, args[1]);
  if (op == nullptr) return;
  op->delta = value;
  op->condition = Condition::kIfMissing;
  op->expire_rule = ExpireRule::kClear;
  c.AddSlot(FormatHappened);
}

void SetEx(Connection& c, Args args) { SetWithExpiry(c, args, ExpiryUnit::kSeconds); }
void PSetEx(Connection& c, Args args) { SetWithExpiry(c, args, ExpiryUnit::kMillis); }

void MSet(Connection& c, Args args) {
  if (args.size() % 2 == 0) return c.FailArity(*c.command());
  if (TooManyOps(c, args.size() / 2)) return;
  for (size_t i = 1; i < args.size(); i += 2) {
    int64_t value = 0;
    if (!ParseInt64(args[i + 1], &value)) return c.Fail(text::kNotInteger);
    store::Op* op = c.AddOp(OpKind::kSet, args[i]);
    if (op == nullptr) return;
    op->delta = value;
    op->expire_rule = ExpireRule::kClear;
    op->joined = i > 1;
  }
  c.AddSlot(FormatOk, args.size() / 2);
}

void GetSet(Connection& c, Args args) {
  int64_t value = 0;
  if (!ParseInt64(args[2], &value)) return c.Fail(text::kNotInteger);
  store::Op* op = c.AddOp(OpKind::kSet, args[1]);
  if (op == nullptr) return;
  op->delta = value;
  op->expire_rule = ExpireRule::kClear;
  c.AddSlot(FormatOldBulk);
}

void GetDel(Connection& c, Args args) {
  store::Op* op = c.AddOp(OpKind::kDelete, args[1]);
  if (op == nullptr) return;
  op->condition = Condition::kIfExists;
  c.AddSlot(FormatOldBulk);
}

void GetEx(Connection& c, Args args) {
  std::optional<ExpiryUnit> unit;
  std::string_view time_text;
  bool persist = false;
  for (size_t i = 2; i < args.size(); ++i) {
    std::optional<ExpiryUnit> found = ParseExpiryUnit(args[i]);
    if (EqualsIgnoreCase(args[i], "PERSIST") && !unit) {
      persist = true;
    } else if (found && unit.value_or(*found) == *found && !persist && i + 1 < args.size()) {
      unit = found;
      time_text = args[++i];
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  std::optional<int64_t> at;
  int64_t time = 0;
  if (unit) {
    const bool is_integer = ParseInt64(time_text, &time);
    if (is_integer) at = ExpiryAtMs(*unit, time, NowMs(c));
    if (time <= 0 || !at) return FailBadTime(c, args[1], is_integer);
  }
  store::Op* op = c.AddOp(unit || persist ? OpKind::kExpire : OpKind::kGet, args[1]);
  if (op == nullptr) return;
  op->expire_rule = persist ? ExpireRule::kClear : unit ? ExpireRule::kSet : ExpireRule::kKeep;
  if (at) op->expire_at_ms = *at;
  c.AddSlot(FormatOldBulk);
}

void Del(Connection& c, Args args) {
  if (!TooManyOps(c, args.size() - 1)) CountExisting(c, args, OpKind::kDelete, GroupRole::kWhole);
}

void Exists(Connection& c, Args args) {
  if (!TooManyOps(c, args.size() - 1)) CountExisting(c, args, OpKind::kGet, GroupRole::kElseGroup);
}

void ObjectEncoding(Connection& c, Args args) {
  if (c.AddOp(OpKind::kGet, args[2]) == nullptr) return;
  c.AddSlot([](Connection& to, const Slot&, const store::Op* op) {
    if (op->code != Code::kOk) return to.FailOp(op->code);
    if (op->exists)
      to.out().Bulk("int");
    else
      to.out().Null();
  });
}

void MemoryUsage(Connection& c, Args args) {
  if (c.AddOp(OpKind::kGet, args[2]) == nullptr) return;
  c.AddSlot([](Connection& to, const Slot&, const store::Op* op) {
    constexpr int64_t kBytesOfCounter = 64;  // one line of the hot table, and the name beside it
    if (op->code != Code::kOk) return to.FailOp(op->code);
    if (op->exists)
      to.out().Integer(kBytesOfCounter + static_cast<int64_t>(op->name.size()));
    else
      to.out().Null();
  });
}

}  // namespace quipu::resp
