// The importer's two commands: how far a source has been taken, and a step of it.
#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"
#include "model/name.h"

namespace quipu::resp {
namespace {

using store::Op;

// command, id, anchor, fingerprint, from, to, label, reader, refused, number of marks; then the marks; then the number
// of items and the items.
constexpr size_t kFixedArgs = 10;
constexpr size_t kMarkArgs = 4;  // offset, fingerprint, taken, refused
constexpr size_t kItemArgs = 4;  // key, delta, time, records
constexpr uint64_t kItemRecordsMax = UINT32_MAX;

constexpr std::string_view kArity = "arity";

std::string HexOf(const store::SourceId& id) { return fmt::format("{:016x}{:016x}", id.hi, id.lo); }

struct Refusal {
  size_t index;
  std::string text;
};

// The items that never became an op are known by their index; the others follow in order.
void WriteIngested(ReplyBuffer& out, bool applied, uint64_t offset, const std::vector<Refusal>& refused) {
  out.Array(4);
  out.Bulk(applied ? "APPLIED" : "ELSEWHERE");
  out.Integer(static_cast<int64_t>(offset));
  out.Integer(static_cast<int64_t>(refused.size()));
  out.Array(refused.size());
  for (const Refusal& refusal : refused) {
    out.Array(2);
    out.Integer(static_cast<int64_t>(refusal.index));
    out.Bulk(refusal.text);
  }
}

// offset, fingerprint, taken, refused of each, in one array.
void WriteMarks(ReplyBuffer& out, const std::vector<store::SourceMark>& marks) {
  out.Array(marks.size() * kMarkArgs);
  for (const store::SourceMark& mark : marks) {
    out.Integer(static_cast<int64_t>(mark.offset));
    out.Bulk(HexOf(mark.fingerprint));
    out.Integer(static_cast<int64_t>(mark.taken));
    out.Integer(static_cast<int64_t>(mark.refused));
  }
}

std::string NameError(std::string_view key) {
  return fmt::format("ERR invalid counter name: {}", CheckCounterName(key).message());
}

struct Item {
  std::string_view key;
  int64_t delta = 0;
  Micros at = kNoTime;
};

Args ItemOf(Args items, size_t i) { return items.subspan(i * kItemArgs, kItemArgs); }

// Where the items begin.
size_t ItemsAt(size_t marks) { return kFixedArgs + marks * kMarkArgs + 1; }

// The item's error text; empty if it is good.
std::string ParseItem(Args four, Item* item) {
  int64_t at_ms = 0;
  item->key = four[0];
  if (!IsCounterName(item->key)) return NameError(item->key);
  if (!ParseInt64(four[1], &item->delta)) return std::string(text::kNotInteger);
  if (!ParseInt64(four[2], &at_ms)) return "ERR event time is not an integer or out of range";
  if (at_ms > kEventMsMax) return EventTimeError("of the item", at_ms);
  if (at_ms >= 0) item->at = at_ms * 1000;
  return {};
}

void FormatIngested(Connection& c, const Slot& slot, const Op* ops) {
  const store::Batch& batch = c.decided_batch();
  if (batch.code == Code::kConditionNotMet && slot.count > 0) {
    // An error that may pass has undone the step: none of its lines is used up.
    if (const Code own = ops[batch.failed_index].code; own != Code::kConditionNotMet) return c.FailOp(own);
  }
  if (batch.code == Code::kConditionNotMet) return WriteIngested(c.out(), false, batch.source_offset, {});
  if (batch.code == Code::kQuotaExceeded) return c.out().Error(text::kSourcesQuota);
  if (batch.code != Code::kOk) return c.FailOp(batch.code);
  std::vector<Refusal> refused;
  size_t op = 0;
  const Args items = c.args().subspan(ItemsAt(slot.extra));
  for (size_t i = 0; i * kItemArgs < items.size(); ++i) {
    Item item;
    std::string bad = ParseItem(ItemOf(items, i), &item);
    if (bad.empty()) {
      QUIPU_ASSERT(op < slot.count, "{} ops for item {}", slot.count, i);
      Code code = ops[op++].code;
      if (code != Code::kOk) bad = ErrorText(code);
    }
    if (!bad.empty()) refused.push_back({.index = i, .text = std::move(bad)});
  }
  WriteIngested(c.out(), true, batch.source_offset, refused);
}

// The step without its items; empty, or the error.
std::string ParseStep(Args args, Work* work) {
  store::SourceStep& step = work->source = {};
  if (!ParseHex128(args[1], &step.id.hi, &step.id.lo)) return "ERR id is not 32 hexadecimal digits";
  if (!ParseHex128(args[2], &step.anchor.hi, &step.anchor.lo)) return "ERR anchor is not 32 hexadecimal digits";
  if (!ParseHex128(args[3], &step.fingerprint.hi, &step.fingerprint.lo)) {
    return "ERR fingerprint is not 32 hexadecimal digits";
  }
  uint64_t marks = 0;
  if (!ParseUint64(args[4], &step.from) || !ParseUint64(args[5], &step.to) || !ParseUint64(args[8], &step.refused) ||
      !ParseUint64(args[9], &marks)) {
    return std::string(text::kNotInteger);
  }
  step.label = args[6];
  if (args[7] != "NEW" && args[7] != "SAME") return "ERR reader is neither NEW nor SAME";
  step.reader = args[7] == "NEW" ? store::SourceReader::kNew : store::SourceReader::kSame;
  if (marks > store::kSourceMarksMax) {
    return fmt::format("ERR marks are {}, at most {} are allowed", marks, store::kSourceMarksMax);
  }
  if (args.size() < ItemsAt(marks)) return std::string(kArity);
  work->marks.clear();
  for (size_t i = 0; i < marks; ++i) {
    const Args four = args.subspan(kFixedArgs + i * kMarkArgs, kMarkArgs);
    store::SourceMark& mark = work->marks.emplace_back();
    if (!ParseHex128(four[1], &mark.fingerprint.hi, &mark.fingerprint.lo)) {
      return "ERR fingerprint of a mark is not 32 hexadecimal digits";
    }
    if (!ParseUint64(four[0], &mark.offset) || !ParseUint64(four[2], &mark.taken) ||
        !ParseUint64(four[3], &mark.refused)) {
      return std::string(text::kNotInteger);
    }
  }
  step.marks = work->marks;
  const Status status = store::CheckSourceStep(step);
  return status.ok() ? "" : fmt::format("ERR {}", status.message());
}

}  // namespace

void QuipuSources(Connection& c, Args args) {
  store::SourceId anchor;
  if (!ParseHex128(args[1], &anchor.hi, &anchor.lo)) return c.Fail("ERR anchor is not 32 hexadecimal digits");
  c.BeginCall();
  c.store().FindSources(anchor, [&c](Result<std::vector<store::SourceState>> found) {
    c.EndCall([&] {
      if (!found.ok()) return c.Fail(ErrorText(found.status()));
      ReplyBuffer& out = c.reply();
      out.Array(found->size());
      for (const store::SourceState& source : *found) {
        out.Array(9);
        out.Bulk(HexOf(source.id));
        out.Integer(static_cast<int64_t>(source.offset));
        out.Bulk(HexOf(source.fingerprint));
        out.Bulk(source.label);
        out.Integer(source.updated_us / 1000);
        out.Integer(static_cast<int64_t>(source.taken));
        out.Integer(static_cast<int64_t>(source.refused));
        WriteMarks(out, source.marks);
        WriteMarks(out, source.ends);
      }
    });
  });
}

void QuipuIngest(Connection& c, Args args) {
  Work& work = c.work();
  if (std::string bad = ParseStep(args, &work); !bad.empty()) {
    return bad == kArity ? c.FailArity(*c.command()) : c.Fail(bad);
  }
  const size_t items_at = ItemsAt(work.marks.size());
  uint64_t count = 0;
  if (!ParseUint64(args[items_at - 1], &count)) return c.Fail(text::kNotInteger);
  if (count > kCommandOpsMax) {
    return c.Fail(fmt::format("ERR count is {}, at most {} are allowed", count, kCommandOpsMax));
  }
  const Args items = args.subspan(items_at);
  if (items.size() != count * kItemArgs) return c.FailArity(*c.command());
  work.records.clear();
  size_t ops = 0;
  for (size_t i = 0; i < count; ++i) {
    Item item;
    uint64_t records = 0;
    const Args four = ItemOf(items, i);
    if (!ParseUint64(four[3], &records) || records > kItemRecordsMax) {
      return c.Fail(fmt::format("ERR records of an item are {:.20}, they must be 0 to {}", four[3], kItemRecordsMax));
    }
    if (!ParseItem(four, &item).empty()) {
      work.source.refused += records;
      continue;
    }
    Op* op = c.AddOp(store::OpKind::kAdd, item.key);
    op->delta = item.delta;
    op->event_time_us = item.at;
    work.records.push_back(static_cast<uint32_t>(records));
    ++ops;
  }
  work.source.records = work.records;
  work.has_source = true;
  c.AddSlot(FormatIngested, ops, work.marks.size());
}

}  // namespace quipu::resp
