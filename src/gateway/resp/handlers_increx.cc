#include "gateway/resp/expiry.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

using store::Condition;
using store::ExpireRule;

struct Options {
  std::optional<std::string_view> by;
  bool by_float = false;
  std::optional<std::string_view> floor;
  std::optional<std::string_view> ceiling;
  bool saturate = false;
  std::optional<ExpiryUnit> unit;
  std::string_view time;
  bool persist = false;
  bool only_new_expiry = false;
  Condition condition = Condition::kNone;
};

// Options in any order, each once; false is a syntax error.
bool ParseOptions(Args args, Options* o) {
  for (size_t i = 2; i < args.size(); ++i) {
    std::string_view word = args[i];
    bool more = i + 1 < args.size();
    bool by_float = EqualsIgnoreCase(word, "BYFLOAT");
    std::optional<ExpiryUnit> unit = ParseExpiryUnit(word);
    if ((by_float || EqualsIgnoreCase(word, "BYINT")) && more && !o->by) {
      o->by = args[++i];
      o->by_float = by_float;
    } else if (EqualsIgnoreCase(word, "LBOUND") && more && !o->floor) {
      o->floor = args[++i];
    } else if (EqualsIgnoreCase(word, "UBOUND") && more && !o->ceiling) {
      o->ceiling = args[++i];
    } else if (EqualsIgnoreCase(word, "SATURATE") && !o->saturate) {
      o->saturate = true;
    } else if (unit && more && !o->unit && !o->persist) {
      o->unit = unit;
      o->time = args[++i];
    } else if (EqualsIgnoreCase(word, "PERSIST") && !o->unit && !o->persist && !o->only_new_expiry) {
      o->persist = true;
    } else if (EqualsIgnoreCase(word, "ENX") && !o->only_new_expiry && !o->persist) {
      o->only_new_expiry = true;
    } else if (EqualsIgnoreCase(word, "NX") && o->condition == Condition::kNone) {
      o->condition = Condition::kIfMissing;
    } else if (EqualsIgnoreCase(word, "XX") && o->condition == Condition::kNone) {
      o->condition = Condition::kIfExists;
    } else {
      return false;
    }
  }
  return true;
}

// [value after, applied]; XX on a missing counter: [null, 0].
void FormatIncrEx(Connection& c, const Slot& slot, const store::Op* op) {
  if (op->code == Code::kOverflow) {
    constexpr std::string_view kText = "ERR applied increment would overflow";
    c.server().CountError(kText);
    return c.out().Error(kText);
  }
  if (op->code != Code::kOk) return c.FailOp(op->code);
  bool only_existing = slot.extra != 0;
  c.out().Array(2);
  if (only_existing && !op->existed)
    c.out().Null();
  else
    c.out().Integer(op->value);
  c.out().Integer(op->applied);
}

}  // namespace

void IncrEx(Connection& c, Args args) {
  Options o;
  if (!ParseOptions(args, &o)) return c.Fail(text::kSyntax);
  if (o.only_new_expiry && !o.unit) return c.Fail("ERR ENX flag requires an expiration");
  if (o.by_float) return c.Fail(text::kNotInteger);
  int64_t delta = 1;
  int64_t floor = std::numeric_limits<int64_t>::min();
  int64_t ceiling = std::numeric_limits<int64_t>::max();
  if (o.by && !ParseInt64(*o.by, &delta)) return c.Fail("ERR Increment is not an integer or out of range");
  if (o.floor && !ParseInt64(*o.floor, &floor)) return c.Fail("ERR LBOUND is not an integer or out of range");
  if (o.ceiling && !ParseInt64(*o.ceiling, &ceiling)) return c.Fail("ERR UBOUND is not an integer or out of range");
  if (floor > ceiling) return c.Fail("ERR LBOUND can't be greater than UBOUND");
  std::optional<int64_t> at;
  if (o.unit) {
    int64_t time = 0;
    if (!ParseInt64(o.time, &time)) return c.Fail(text::kNotInteger);
    at = ExpiryAtMs(*o.unit, time, c.loop().WallMicros() / 1000);
    if (time <= 0 || !at) return c.Fail("ERR invalid expire time in 'increx' command");
  }
  store::Op* op = c.AddOp(store::OpKind::kAdd, args[1]);
  if (op == nullptr) return;
  op->delta = delta;
  op->bounded = true;
  op->floor = floor;
  op->ceiling = ceiling;
  op->saturate = o.saturate;
  op->condition = o.condition;
  if (at) {
    op->expire_rule = o.only_new_expiry ? ExpireRule::kSetIfNone : ExpireRule::kSet;
    op->expire_at_ms = *at;
  } else if (o.persist) {
    op->expire_rule = ExpireRule::kClear;
  }
  c.AddSlot(FormatIncrEx, 1, o.condition == Condition::kIfExists ? 1 : 0);
}

}  // namespace quipu::resp
