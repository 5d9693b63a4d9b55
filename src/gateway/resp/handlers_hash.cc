// Grouped counters: field f of hash k is the counter k[f].
#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/glob.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"
#include "model/name.h"

namespace quipu::resp {
namespace {

using store::ExpireRule;
using store::OpKind;

constexpr size_t kFieldsMax = 100'000;

enum class Parts : uint8_t { kCount, kFields, kValues, kBoth };

struct Field {
  std::string_view name;
  int64_t value = 0;
};

void WriteGroup(ReplyBuffer& out, Parts parts, std::span<const Field> fields) {
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
  for (const Field& field : fields) {
    if (parts != Parts::kValues) out.Bulk(field.name);
    if (parts != Parts::kFields) out.BulkInteger(field.value);
  }
}

// In a transaction: from the reads of all names that may be fields by now.
void FormatGroup(Connection& c, const Slot& slot, const store::Op* ops) {
  std::vector<Field> fields;
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code != Code::kOk) return c.FailOp(ops[i].code);
    if (ops[i].exists) fields.push_back({.name = SplitGrouped(ops[i].name).field, .value = ops[i].value});
  }
  WriteGroup(c.out(), static_cast<Parts>(slot.extra), fields);
}

// Reads every field that the listing found and every one that commands before this one touched.
void ReadGroupInTransaction(Connection& c, std::string_view group, Parts parts) {
  Transaction& t = c.transaction();
  Work& work = c.work();
  std::vector<std::string_view> names;
  for (const std::string& name : t.queue[t.current].names) names.push_back(work.arena.Concat({name}));
  for (const store::Op& op : work.ops) {
    if (op.ns == c.ns() && SplitGrouped(op.name).group == group) names.push_back(op.name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (work.ops.size() + names.size() > store::kBatchOpsMax) {
    return c.Fail(fmt::format("ERR the transaction needs more than {} counters", store::kBatchOpsMax));
  }
  if (names.empty()) return WriteGroup(c.reply(), parts, {});
  for (std::string_view name : names) c.AddOp(OpKind::kGet, name);
  c.AddSlot(FormatGroup, names.size(), static_cast<uint64_t>(parts));
}

template <Parts kParts>
void GroupListed(Connection& c, Args args);

template <Parts kParts>
void ReadGroup(Connection& c, Args args) {
  if (c.transaction().running()) return ReadGroupInTransaction(c, args[1], kParts);
  std::string prefix = fmt::format("{}[", args[1]);
  if (!IsCounterName(prefix)) {
    return c.Fail(fmt::format("ERR invalid counter name: {}", CheckCounterName(prefix).message()));
  }
  store::ScanOp& scan = c.NewScan();
  scan.order = store::ScanOp::Order::kName;
  scan.prefix = std::move(prefix);
  scan.limit = kFieldsMax;
  c.StartScan(GroupListed<kParts>);
}

template <Parts kParts>
void GroupListed(Connection& c, Args args) {
  store::ScanOp& scan = c.scan();
  if (!scan.status.ok()) return c.Fail(ErrorText(scan.status));
  if (scan.more) return c.Fail(fmt::format("ERR the group has more than {} fields, use SCAN", scan.limit));
  std::vector<Field> fields;
  for (const store::CounterEntry& entry : scan.entries) {
    GroupedName name = SplitGrouped(entry.name);
    if (name.group != args[1]) continue;
    if (c.transaction().prefetching())
      c.transaction().queue[c.transaction().current].names.push_back(entry.name);
    else
      fields.push_back({.name = name.field, .value = entry.value});
  }
  if (!c.transaction().prefetching()) WriteGroup(c.reply(), kParts, fields);
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

void FormatType(Connection& c, const Slot& slot, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  bool is_group = slot.extra != 0;
  c.out().Simple(op->exists ? "string" : is_group ? "hash" : "none");
}

bool TooManyFields(Connection& c, size_t fields) {
  if (fields <= store::kBatchOpsMax) return false;
  c.Fail(fmt::format("ERR {} fields in one command, at most {} are allowed", fields, store::kBatchOpsMax));
  return true;
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

void HSet(Connection& c, Args args) {
  if (args.size() % 2 != 0) return c.FailArity(*c.command());
  if (TooManyFields(c, args.size() / 2 - 1)) return;
  for (size_t i = 2; i < args.size(); i += 2) {
    int64_t value = 0;
    if (!ParseInt64(args[i + 1], &value)) return c.Fail(text::kNotInteger);
    store::Op* op = c.AddFieldOp(OpKind::kSet, args[1], args[i]);
    if (op == nullptr) return;
    op->delta = value;
    op->expire_rule = ExpireRule::kClear;
  }
  c.AddSlot(FormatCreated, args.size() / 2 - 1);
}

void HDel(Connection& c, Args args) {
  if (TooManyFields(c, args.size() - 2)) return;
  for (std::string_view field : args.subspan(2)) {
    if (c.AddFieldOp(OpKind::kDelete, args[1], field) == nullptr) return;
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
  if (!ParseUint64(args[2], &cursor)) return c.Fail(text::kInvalidCursor);
  for (size_t i = 3; i < args.size(); i += 2) {
    int64_t count = 0;
    if (i + 1 == args.size()) return c.Fail(text::kSyntax);
    if (EqualsIgnoreCase(args[i], "COUNT")) {
      if (!ParseInt64(args[i + 1], &count)) return c.Fail(text::kNotInteger);
      if (count < 1) return c.Fail(text::kSyntax);
    } else if (!EqualsIgnoreCase(args[i], "MATCH")) {
      return c.Fail(text::kSyntax);
    }
  }
  // The whole group comes in one page, so the only cursor that we give out is 0.
  if (cursor != 0) return c.Fail(text::kInvalidCursor);
  std::string prefix = fmt::format("{}[", args[1]);
  if (!IsCounterName(prefix)) {
    return c.Fail(fmt::format("ERR invalid counter name: {}", CheckCounterName(prefix).message()));
  }
  store::ScanOp& scan = c.NewScan();
  scan.order = store::ScanOp::Order::kName;
  scan.prefix = std::move(prefix);
  scan.limit = kFieldsMax;
  c.StartScan([](Connection& to, Args words) {
    if (!to.scan().status.ok()) return to.Fail(ErrorText(to.scan().status));
    std::string_view pattern;
    for (size_t i = 3; i < words.size(); i += 2) {
      if (EqualsIgnoreCase(words[i], "MATCH")) pattern = words[i + 1];
    }
    std::vector<Field> fields;
    for (const store::CounterEntry& entry : to.scan().entries) {
      GroupedName name = SplitGrouped(entry.name);
      if (name.group != words[1] || (!pattern.empty() && !GlobMatch(pattern, name.field))) continue;
      fields.push_back({.name = name.field, .value = entry.value});
    }
    ReplyBuffer& out = to.reply();
    out.Array(2);
    out.Bulk("0");
    out.Array(fields.size() * 2);
    for (const Field& field : fields) {
      out.Bulk(field.name);
      out.BulkInteger(field.value);
    }
  });
}

// A counter is a string, also where a group of that name exists.
void Type(Connection& c, Args args) {
  Transaction& t = c.transaction();
  if (t.running()) {
    if (c.AddOp(OpKind::kGet, args[1]) == nullptr) return;
    return c.AddSlot(FormatType, 1, t.queue[t.current].names.empty() ? 0 : 1);
  }
  if (!IsCounterName(args[1])) {
    return c.Fail(fmt::format("ERR invalid counter name: {}", CheckCounterName(args[1]).message()));
  }
  store::ScanOp& scan = c.NewScan();
  scan.order = store::ScanOp::Order::kName;
  scan.prefix = fmt::format("{}[", args[1]);
  scan.limit = 1;
  c.StartScan([](Connection& to, Args words) {
    if (!to.scan().status.ok()) return to.Fail(ErrorText(to.scan().status));
    bool is_group = false;
    for (const store::CounterEntry& entry : to.scan().entries) is_group |= SplitGrouped(entry.name).group == words[1];
    Transaction& transaction = to.transaction();
    if (transaction.prefetching()) {
      if (is_group) transaction.queue[transaction.current].names.emplace_back(words[1]);
      return;
    }
    if (to.AddOp(OpKind::kGet, words[1]) == nullptr) return;
    to.AddSlot(FormatType, 1, is_group ? 1 : 0);
  });
}

}  // namespace quipu::resp
