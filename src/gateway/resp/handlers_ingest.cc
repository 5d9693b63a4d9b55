// The importer's two commands: how far a source has been taken, and a step of it.
#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"
#include "model/name.h"

namespace quipu::resp {
namespace {

using store::Op;

constexpr size_t kFixedArgs = 8;  // command, id, anchor, fingerprint, from, to, label, count
constexpr size_t kLabelBytesMax = 255;

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

std::string NameError(std::string_view key) {
  return fmt::format("ERR invalid counter name: {}", CheckCounterName(key).message());
}

struct Item {
  std::string_view key;
  int64_t delta = 0;
  Micros at = kNoTime;
};

// The item's error text; empty if it is good.
std::string ParseItem(Args three, Item* item) {
  int64_t at_ms = 0;
  item->key = three[0];
  if (!IsCounterName(item->key)) return NameError(item->key);
  if (!ParseInt64(three[1], &item->delta)) return std::string(text::kNotInteger);
  if (!ParseInt64(three[2], &at_ms)) return "ERR event time is not an integer or out of range";
  if (at_ms >= 0 && __builtin_mul_overflow(at_ms, int64_t{1000}, &item->at)) return "ERR event time is out of range";
  return {};
}

void FormatIngested(Connection& c, const Slot& slot, const Op* ops) {
  const store::Batch& batch = c.decided_batch();
  if (batch.code == Code::kConditionNotMet) return WriteIngested(c.out(), false, batch.source_offset, {});
  if (batch.code != Code::kOk) return c.FailOp(batch.code);
  std::vector<Refusal> refused;
  size_t op = 0;
  Args args = c.args();
  for (size_t i = 0; i * 3 + kFixedArgs < args.size(); ++i) {
    Item item;
    std::string bad = ParseItem(args.subspan(kFixedArgs + i * 3, 3), &item);
    if (bad.empty()) {
      QUIPU_ASSERT(op < slot.count, "{} ops for item {}", slot.count, i);
      Code code = ops[op++].code;
      if (code != Code::kOk) bad = ErrorText(code);
    }
    if (!bad.empty()) refused.push_back({.index = i, .text = std::move(bad)});
  }
  WriteIngested(c.out(), true, batch.source_offset, refused);
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
        out.Array(5);
        out.Bulk(fmt::format("{:016x}{:016x}", source.id.hi, source.id.lo));
        out.Integer(static_cast<int64_t>(source.offset));
        out.Bulk(fmt::format("{:016x}{:016x}", source.fingerprint.hi, source.fingerprint.lo));
        out.Bulk(source.label);
        out.Integer(source.updated_us / 1000);
      }
    });
  });
}

void QuipuIngest(Connection& c, Args args) {
  store::SourceStep step;
  if (!ParseHex128(args[1], &step.id.hi, &step.id.lo)) return c.Fail("ERR id is not 32 hexadecimal digits");
  if (!ParseHex128(args[2], &step.anchor.hi, &step.anchor.lo)) return c.Fail("ERR anchor is not 32 hexadecimal digits");
  if (!ParseHex128(args[3], &step.fingerprint.hi, &step.fingerprint.lo)) {
    return c.Fail("ERR fingerprint is not 32 hexadecimal digits");
  }
  uint64_t count = 0;
  if (!ParseUint64(args[4], &step.from) || !ParseUint64(args[5], &step.to) || !ParseUint64(args[7], &count)) {
    return c.Fail(text::kNotInteger);
  }
  if (step.to < step.from) return c.Fail(fmt::format("ERR to is {}, before from, which is {}", step.to, step.from));
  step.label = args[6];
  if (step.label.size() > kLabelBytesMax) {
    return c.Fail(fmt::format("ERR label has {} bytes, at most {} are allowed", step.label.size(), kLabelBytesMax));
  }
  if (count > kCommandOpsMax) {
    return c.Fail(fmt::format("ERR count is {}, at most {} are allowed", count, kCommandOpsMax));
  }
  if (args.size() - kFixedArgs != count * 3) return c.FailArity(*c.command());
  Work& work = c.work();
  work.source = step;
  work.has_source = true;
  size_t ops = 0;
  for (size_t i = 0; i < count; ++i) {
    Item item;
    if (!ParseItem(args.subspan(kFixedArgs + i * 3, 3), &item).empty()) continue;
    Op* op = c.AddOp(store::OpKind::kAdd, item.key);
    op->delta = item.delta;
    op->event_time_us = item.at;
    ++ops;
  }
  c.AddSlot(FormatIngested, ops);
}

}  // namespace quipu::resp
