// Grouped counters: field f of hash k is the counter k[f].
#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/glob.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"
#include "model/name.h"

namespace quipu::resp {
namespace {

using store::Condition;
using store::CounterEntry;
using store::GroupRole;
using store::OpKind;

constexpr size_t kFieldsMax = 100'000;    // in one reply
constexpr size_t kScanCountMax = 10'000;  // fields a page, however many COUNT asks for

enum class Parts : uint8_t { kCount, kFields, kValues, kBoth };

// A read of the group `key`, whose fields will be in the newest listing of the work; false after an error reply.
bool AddGroupRead(Connection& c, std::string_view key) {
  store::Op* op = c.AddOp(OpKind::kGet, key);
  if (op == nullptr) return false;
  op->group = GroupRole::kWhole;
  op->listing = &c.work().listings.emplace_back().entries;
  return true;
}

void FormatGroup(Connection& c, const Slot& slot, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  const std::vector<CounterEntry>& fields = *op->listing;
  auto parts = static_cast<Parts>(slot.extra);
  ReplyBuffer& out = c.out();
  if (parts != Parts::kCount && fields.size() > kFieldsMax) {
    return out.Error(
        fmt::format("ERR the group has {} fields, at most {} in one reply, use HSCAN", fields.size(), kFieldsMax));
  }
  switch (parts) {
    case Parts::kCount:
      return out.Integer(static_cast<int64_t>(fields.size()));
    case Parts::kFields:
    case Parts::kValues:
      out.Array(fields.size());
      break;
    case Parts::kBoth:
      out.Map(fields.size());
      break;
  }
  for (const CounterEntry& field : fields) {
    if (parts != Parts::kValues) out.Bulk(SplitGrouped(field.name).field);
    if (parts != Parts::kFields) out.BulkInteger(field.value);
  }
}

template <Parts kParts>
void ReadGroup(Connection& c, Args args) {
  if (AddGroupRead(c, args[1])) c.AddSlot(FormatGroup, 1, static_cast<uint64_t>(kParts));
}

// A page ends only between different hashes, so the cursor, the first hash that it does not hold, says exactly what has
// been seen, whatever else comes or goes. As in Redis, any number is a cursor.
void FormatScan(Connection& c, const Slot& slot, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  const GroupListing& listing = c.work().listings[slot.extra];
  std::vector<std::pair<uint64_t, const CounterEntry*>> rest;
  for (const CounterEntry& field : listing.entries) {
    uint64_t hash = HashCounter(op->ns, field.name);
    if (hash >= listing.cursor) rest.emplace_back(hash, &field);
  }
  std::sort(rest.begin(), rest.end());
  size_t end = std::min(listing.count, rest.size());
  while (end > 0 && end < rest.size() && rest[end].first == rest[end - 1].first) ++end;
  uint64_t next = end < rest.size() ? rest[end].first : 0;
  rest.resize(end);
  std::erase_if(rest,
                [&](const auto& field) { return !GlobMatch(listing.pattern, SplitGrouped(field.second->name).field); });
  ReplyBuffer& out = c.out();
  out.Array(2);
  out.Bulk(fmt::format("{}", next));
  out.Array(rest.size() * 2);
  for (const auto& [hash, field] : rest) {
    out.Bulk(SplitGrouped(field->name).field);
    out.BulkInteger(field->value);
  }
}

// The same reply for a field's value after HINCRBY and so on comes from formats.h; these count the new ones.
void FormatCreated(Connection& c, const Slot& slot, const store::Op* ops) {
  int64_t created = 0;
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code != Code::kOk) return c.FailOp(ops[i].code);
    created += ops[i].existed ? 0 : 1;
  }
  c.out().Integer(created);
}

bool TooManyFields(Connection& c, size_t fields) {
  if (fields <= kCommandOpsMax) return false;
  c.Fail(fmt::format("ERR {} fields in one command, at most {} are allowed", fields, kCommandOpsMax));
  return true;
}

void SetFields(Connection& c, Args args, Slot::Format format) {
  if (args.size() % 2 != 0) return c.FailArity(*c.command());
  if (TooManyFields(c, args.size() / 2 - 1)) return;
  for (size_t i = 2; i < args.size(); i += 2) {
    int64_t value = 0;
    if (!ParseInt64(args[i + 1], &value)) return c.Fail(text::kNotInteger);
    store::Op* op = c.AddFieldOp(OpKind::kSet, args[1], args[i]);
    if (op == nullptr) return;
    op->delta = value;
    op->joined = i > 2;
  }
  c.AddSlot(format, args.size() / 2 - 1);
}

}  // namespace

void HIncrBy(Connection& c, Args args) {
  int64_t delta = 0;
  if (!ParseInt64(args[3], &delta)) return c.Fail(text::kNotInteger);
  store::Op* op = c.AddFieldOp(OpKind::kAdd, args[1], args[2]);
  if (op == nullptr) return;
  op->delta = delta;
  c.AddSlot(FormatValue);
}

void HGet(Connection& c, Args args) {
  if (c.AddFieldOp(OpKind::kGet, args[1], args[2]) != nullptr) c.AddSlot(FormatBulk);
}

void HMGet(Connection& c, Args args) {
  if (TooManyFields(c, args.size() - 2)) return;
  for (std::string_view field : args.subspan(2)) {
    if (c.AddFieldOp(OpKind::kGet, args[1], field) == nullptr) return;
  }
  c.AddSlot(FormatBulks, args.size() - 2);
}

void HSet(Connection& c, Args args) { SetFields(c, args, FormatCreated); }
void HMSet(Connection& c, Args args) { SetFields(c, args, FormatOk); }

void HSetNx(Connection& c, Args args) {
  int64_t value = 0;
  if (!ParseInt64(args[3], &value)) return c.Fail(text::kNotInteger);
  store::Op* op = c.AddFieldOp(OpKind::kSet, args[1], args[2]);
  if (op == nullptr) return;
  op->delta = value;
  op->condition = Condition::kIfMissing;
  c.AddSlot(FormatHappened);
}

void HDel(Connection& c, Args args) {
  if (TooManyFields(c, args.size() - 2)) return;
  for (std::string_view field : args.subspan(2)) {
    store::Op* op = c.AddFieldOp(OpKind::kDelete, args[1], field);
    if (op == nullptr) return;
    op->condition = Condition::kIfExists;
  }
  c.AddSlot(FormatExisted, args.size() - 2);
}

void HExists(Connection& c, Args args) {
  if (c.AddFieldOp(OpKind::kGet, args[1], args[2]) != nullptr) c.AddSlot(FormatExisted);
}

void HLen(Connection& c, Args args) { ReadGroup<Parts::kCount>(c, args); }
void HKeys(Connection& c, Args args) { ReadGroup<Parts::kFields>(c, args); }
void HVals(Connection& c, Args args) { ReadGroup<Parts::kValues>(c, args); }
void HGetAll(Connection& c, Args args) { ReadGroup<Parts::kBoth>(c, args); }

void HScan(Connection& c, Args args) {
  uint64_t cursor = 0;
  std::string_view pattern = "*";
  int64_t count = 10;
  if (!ParseCursor(args[2], &cursor)) return c.Fail(text::kInvalidCursor);
  for (size_t i = 3; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return c.Fail(text::kSyntax);
    if (EqualsIgnoreCase(args[i], "COUNT")) {
      if (!ParseInt64(args[i + 1], &count)) return c.Fail(text::kNotInteger);
      if (count < 1) return c.Fail(text::kSyntax);
    } else if (EqualsIgnoreCase(args[i], "MATCH")) {
      pattern = args[i + 1];
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  if (!AddGroupRead(c, args[1])) return;
  GroupListing& listing = c.work().listings.back();
  listing.cursor = cursor;
  listing.count = std::min(static_cast<size_t>(count), kScanCountMax);
  listing.pattern = c.work().arena.Concat({pattern});
  c.AddSlot(FormatScan, 1, c.work().listings.size() - 1);
}

// A counter is a string, also where a group of that name exists.
void Type(Connection& c, Args args) {
  if (c.AddOp(OpKind::kGet, args[1]) == nullptr) return;
  c.AddOp(OpKind::kGet, args[1])->group = GroupRole::kElseGroup;
  c.AddSlot(
      [](Connection& to, const Slot&, const store::Op* ops) {
        if (ops[1].code != Code::kOk) return to.FailOp(ops[1].code);
        to.out().Simple(ops[0].exists ? "string" : ops[1].exists ? "hash" : "none");
      },
      2);
}

}  // namespace quipu::resp
