#include <fmt/core.h>

#include "gateway/resp/errors.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/kind_names.h"
#include "gateway/resp/number.h"
#include "model/token.h"

namespace quipu::resp {
namespace {

using store::Op;
using store::OpKind;
using store::Outcome;

std::string_view StatusName(const Op& op) {
  if (op.replayed) return "REPLAYED";
  if (op.outcome != Outcome::kApplied) return OutcomeName(op.outcome);
  return op.token.empty() || op.is_protected ? "APPLIED" : "UNPROTECTED";
}

void FormatAdd(Connection& c, const Slot&, const Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  c.out().Array(op->bounded ? 3 : 2);
  c.out().Integer(op->value);
  c.out().Bulk(StatusName(*op));
  if (op->bounded) c.out().Integer(op->applied);
}

// Milliseconds since 1970 as a time of ours; the error text if it is none.
std::string ParseMillis(std::string_view field, std::string_view text, Micros* us) {
  int64_t ms = 0;
  if (!ParseInt64(text, &ms)) return std::string(text::kNotInteger);
  if (ms < -kEventMsMax || ms > kEventMsMax) return EventTimeError(field, ms);
  *us = ms * 1000;
  return {};
}

// TOKEN t and GEN ms at args[*i]; true if the word was one of them. *bad holds the error text, if any.
bool ParseTokenOption(Args args, size_t* i, std::string_view* token, Micros* generated, std::string* bad) {
  bool more = *i + 1 < args.size();
  if (EqualsIgnoreCase(args[*i], "TOKEN") && more && token->empty()) {
    *token = args[++*i];
    if (Status status = CheckToken(*token); !status.ok()) *bad = ErrorText(status);
    return true;
  }
  if (EqualsIgnoreCase(args[*i], "GEN") && more && *generated == kNoTime) {
    *bad = ParseMillis("GEN", args[++*i], generated);
    return true;
  }
  return false;
}

}  // namespace

void QuipuAdd(Connection& c, Args args) {
  int64_t delta = 0;
  if (!ParseInt64(args[2], &delta)) return c.Fail(text::kNotInteger);
  std::string_view token;
  Micros generated = kNoTime;
  Micros at = kNoTime;
  bool has_floor = false, has_ceiling = false, saturate = false;
  int64_t floor = std::numeric_limits<int64_t>::min();
  int64_t ceiling = std::numeric_limits<int64_t>::max();
  std::string bad;
  for (size_t i = 3; i < args.size(); ++i) {
    bool more = i + 1 < args.size();
    if (ParseTokenOption(args, &i, &token, &generated, &bad)) {
      if (!bad.empty()) return c.Fail(bad);
    } else if (EqualsIgnoreCase(args[i], "AT") && more && at == kNoTime) {
      if (bad = ParseMillis("AT", args[++i], &at); !bad.empty()) return c.Fail(bad);
    } else if (EqualsIgnoreCase(args[i], "LBOUND") && more && !has_floor) {
      has_floor = true;
      if (!ParseInt64(args[++i], &floor)) return c.Fail("ERR LBOUND is not an integer or out of range");
    } else if (EqualsIgnoreCase(args[i], "UBOUND") && more && !has_ceiling) {
      has_ceiling = true;
      if (!ParseInt64(args[++i], &ceiling)) return c.Fail("ERR UBOUND is not an integer or out of range");
    } else if (EqualsIgnoreCase(args[i], "SATURATE") && !saturate) {
      saturate = true;
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  if (generated != kNoTime && token.empty()) return c.Fail(text::kSyntax);
  if (floor > ceiling) return c.Fail("ERR LBOUND can't be greater than UBOUND");
  Op* op = c.AddOp(OpKind::kAdd, args[1]);
  if (op == nullptr) return;
  op->delta = delta;
  op->token = token;
  op->token_time_us = generated != kNoTime ? generated : at;
  op->event_time_us = at;
  op->bounded = has_floor || has_ceiling || saturate;
  op->floor = floor;
  op->ceiling = ceiling;
  op->saturate = saturate;
  c.AddSlot(FormatAdd);
}

void QuipuGet(Connection& c, Args args) {
  for (size_t i = 2; i < args.size(); ++i) {
    int64_t bound = 0;
    if (EqualsIgnoreCase(args[i], "MAXSTALE") && i + 1 < args.size()) {
      if (!ParseInt64(args[++i], &bound) || bound < 0) return c.Fail(text::kNotInteger);
    } else if (!EqualsIgnoreCase(args[i], "EXACT")) {
      return c.Fail(text::kSyntax);
    }
  }
  if (c.AddOp(OpKind::kGet, args[1]) == nullptr) return;
  c.AddSlot([](Connection& to, const Slot&, const Op* op) {
    if (op->code != Code::kOk) return to.FailOp(op->code);
    CountRead(to, op->exists);
    ReplyBuffer& out = to.out();
    out.Map(6);
    out.Bulk("count");
    out.Integer(op->value);
    out.Bulk("as_of");
    out.Integer(to.loop().WallMicros() / 1000);
    out.Bulk("lag_ms");
    out.Integer(0);
    out.Bulk("exact");
    out.Boolean(true);
    out.Bulk("last_write_time");
    if (op->last_write_us == kNoTime)
      out.Null();
    else
      out.Integer(op->last_write_us / 1000);
    out.Bulk("durability");
    out.Bulk(DurabilityName(to.store().Namespaces()->Get(op->ns).settings.durability));
  });
}

void QuipuClear(Connection& c, Args args) {
  std::string_view token;
  Micros generated = kNoTime;
  bool remove = false;
  std::string bad;
  for (size_t i = 2; i < args.size(); ++i) {
    if (ParseTokenOption(args, &i, &token, &generated, &bad)) {
      if (!bad.empty()) return c.Fail(bad);
    } else if (EqualsIgnoreCase(args[i], "DELETE") && !remove) {
      remove = true;
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  if (generated != kNoTime && token.empty()) return c.Fail(text::kSyntax);
  Op* op = c.AddOp(OpKind::kClear, args[1]);
  if (op == nullptr) return;
  op->token = token;
  op->token_time_us = generated;
  op->remove = remove;
  c.AddSlot([](Connection& to, const Slot&, const Op* done) {
    if (done->code != Code::kOk) return to.FailOp(done->code);
    to.out().Array(2);
    to.out().Integer(0);
    to.out().Bulk(StatusName(*done));
  });
}

void QuipuToken(Connection& c, Args args) {
  if (Status status = CheckToken(args[2]); !status.ok()) return c.Fail(ErrorText(status));
  Op* op = c.AddOp(OpKind::kTokenOutcome, args[1]);
  if (op == nullptr) return;
  op->token = args[2];
  c.AddSlot([](Connection& to, const Slot&, const Op* done) {
    if (done->code == Code::kNotFound) return to.out().Null();
    if (done->code != Code::kOk) return to.FailOp(done->code);
    ReplyBuffer& out = to.out();
    out.Map(8);
    out.Bulk("status");
    out.Bulk(OutcomeName(done->outcome));
    out.Bulk("kind");
    out.Bulk(KindName(done->original_kind));
    out.Bulk("delta");
    out.Integer(done->delta);
    out.Bulk("result");
    out.Integer(done->value);
    out.Bulk("applied");
    out.Integer(done->applied);
    out.Bulk("event_time");
    out.Integer(done->event_us / 1000);
    out.Bulk("position");
    out.Integer(static_cast<int64_t>(done->position));
    out.Bulk("expires_at");
    out.Integer(done->token_expires_us / 1000);
  });
}

void QuipuNsList(Connection& c, Args) {
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  std::vector<std::string_view> names;
  for (const Namespace& ns : table->all()) {
    if (!ns.deleted) names.push_back(ns.name);
  }
  c.reply().Array(names.size());
  for (std::string_view name : names) c.reply().Bulk(name);
}

namespace {

// With what a namespace that does not wait for the disk may lose.
std::string NamespaceText(Connection& c, const Namespace& ns) {
  std::string json = NamespaceToJson(ns);
  if (ns.settings.durability == Durability::kSync) return json;
  json.pop_back();
  return json + fmt::format(R"(,"loss_window":"{}"}})", FormatDurationMicros(c.store().Info().loss_window_us));
}

}  // namespace

void QuipuNsGet(Connection& c, Args args) {
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  const Namespace* ns = table->Find(args[1]);
  if (ns == nullptr) return c.Fail(NoNamespaceError(args[1]));
  c.reply().Bulk(NamespaceText(c, *ns));
}

namespace {

void PutNamespace(Connection& c, std::string_view name, uint64_t version, const NamespaceSettings& settings) {
  c.BeginCall();
  c.store().PutNamespace(std::string(name), version, settings, [&c](Result<Namespace> result) {
    c.EndCall([&] {
      if (!result.ok())
        c.Fail(ErrorText(result.status()));
      else
        c.reply().Bulk(NamespaceText(c, *result));
    });
  });
}

}  // namespace

void QuipuNsCreate(Connection& c, Args args) {
  if (args.size() > 3) return c.FailArity(*c.command());
  NamespaceSettings settings;
  if (args.size() == 3) {
    Result<NamespaceSettings> parsed = NamespaceSettingsFromJson(args[2], settings);
    if (!parsed.ok()) return c.Fail(ErrorText(parsed.status()));
    settings = *parsed;
  }
  PutNamespace(c, args[1], 0, settings);
}

void QuipuNsSet(Connection& c, Args args) {
  uint64_t version = 0;
  if (!ParseUint64(args[2], &version) || version == 0) return c.Fail(text::kNotInteger);
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  const Namespace* ns = table->Find(args[1]);
  if (ns == nullptr) return c.Fail(NoNamespaceError(args[1]));
  Result<NamespaceSettings> parsed = NamespaceSettingsFromJson(args[3], ns->settings);
  if (!parsed.ok()) return c.Fail(ErrorText(parsed.status()));
  PutNamespace(c, args[1], version, *parsed);
}

}  // namespace quipu::resp
