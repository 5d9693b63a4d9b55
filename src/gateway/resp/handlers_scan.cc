#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/glob.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/kind_names.h"
#include "gateway/resp/number.h"
#include "model/name.h"

namespace quipu::resp {
namespace {

using store::ScanOp;

constexpr size_t kScanCountMax = 10'000;  // counters a page, however many COUNT asks for
constexpr size_t kPage = 1000;
constexpr size_t kTopMax = 10'000;
constexpr size_t kEventsMax = 10'000;

struct ScanOptions {
  std::string_view pattern = "*";
  size_t count = 10;
  bool other_type = false;  // TYPE of something that is no counter: nothing matches
};

bool ParseScanOptions(Connection& c, Args words, ScanOptions* o) {
  for (size_t i = 0; i < words.size(); i += 2) {
    int64_t count = 0;
    if (i + 1 == words.size()) {
      c.Fail(text::kSyntax);
      return false;
    }
    if (EqualsIgnoreCase(words[i], "MATCH")) {
      o->pattern = words[i + 1];
    } else if (EqualsIgnoreCase(words[i], "COUNT")) {
      if (!ParseInt64(words[i + 1], &count) || count < 1) {
        c.Fail(ParseInt64(words[i + 1], &count) ? text::kSyntax : text::kNotInteger);
        return false;
      }
      o->count = std::min(static_cast<size_t>(count), kScanCountMax);
    } else if (EqualsIgnoreCase(words[i], "TYPE")) {
      o->other_type = !EqualsIgnoreCase(words[i + 1], "string");
    } else {
      c.Fail(text::kSyntax);
      return false;
    }
  }
  return true;
}

// KEYS keeps its hits in the connection until the listing is complete.
void KeysListed(Connection& c, Args args) {
  ScanOp& scan = c.scan();
  std::vector<std::string>& hits = c.listing();
  if (!scan.status.ok()) return c.Fail(ErrorText(scan.status));
  for (store::CounterEntry& entry : scan.entries) {
    if (GlobMatch(args[1], entry.name)) hits.push_back(entry.name);
  }
  size_t hits_max = c.server().options().keys_hits_max;
  if (hits.size() > hits_max) {
    return c.Fail(fmt::format("ERR KEYS matches more than {} counters, use SCAN", hits_max));
  }
  if (scan.more) {
    scan.after_name = scan.entries.back().name;
    return c.StartScan(KeysListed);
  }
  c.reply().Array(hits.size());
  for (const std::string& name : hits) c.reply().Bulk(name);
  hits.clear();
}

void FlushListed(Connection& c, Args);

void NextFlushPage(Connection& c, Args) {
  ScanOp& scan = c.NewScan();
  scan.order = ScanOp::Order::kHash;
  scan.limit = kPage;
  c.StartScan(FlushListed);
}

// Each page is deleted before the next is asked for, so that every listing starts at the beginning.
void FlushListed(Connection& c, Args) {
  ScanOp& scan = c.scan();
  if (!scan.status.ok()) return c.Fail(ErrorText(scan.status));
  if (c.step_code() != Code::kOk) return c.Fail(ErrorText(c.step_code()));
  if (scan.entries.empty()) return c.reply().Simple("OK");
  size_t count = scan.entries.size();
  for (const store::CounterEntry& entry : scan.entries) {
    c.AddOp(store::OpKind::kDelete, c.work().arena.Concat({entry.name}));
  }
  c.AddSilentSlot(count);
  c.SubmitThen(NextFlushPage);
}

void WriteEvents(Connection& c, const store::EventsOp& op) {
  if (!op.status.ok()) return c.Fail(ErrorText(op.status));
  ReplyBuffer& out = c.reply();
  out.Array(2);
  out.Integer(op.more ? static_cast<int64_t>(op.events.back().position) : 0);
  out.Array(op.events.size());
  for (const store::EventEntry& event : op.events) {
    out.Array(5);
    out.Integer(static_cast<int64_t>(event.position));
    out.Integer(event.event_us / 1000);
    out.Bulk(KindName(event.kind));
    out.Integer(event.delta);
    if (event.token.empty())
      out.Null();
    else
      out.Bulk(event.token);
  }
}

}  // namespace

void Scan(Connection& c, Args args) {
  uint64_t cursor = 0;
  if (!ParseCursor(args[1], &cursor)) return c.Fail(text::kInvalidCursor);
  ScanOptions o;
  if (!ParseScanOptions(c, args.subspan(2), &o)) return;
  ScanOp& scan = c.NewScan();
  scan.order = ScanOp::Order::kHash;
  scan.cursor = cursor;
  scan.limit = o.count;
  c.StartScan([](Connection& to, Args words) {
    if (!to.scan().status.ok()) return to.Fail(ErrorText(to.scan().status));
    ScanOptions options;
    if (!ParseScanOptions(to, words.subspan(2), &options)) return;
    std::vector<const std::string*> hits;
    for (const store::CounterEntry& entry : to.scan().entries) {
      if (!options.other_type && GlobMatch(options.pattern, entry.name)) hits.push_back(&entry.name);
    }
    ReplyBuffer& out = to.reply();
    out.Array(2);
    out.Bulk(fmt::format("{}", to.scan().next_cursor));
    out.Array(hits.size());
    for (const std::string* name : hits) out.Bulk(*name);
  });
}

void Keys(Connection& c, Args args) {
  c.listing().clear();
  ScanOp& scan = c.NewScan();
  scan.order = ScanOp::Order::kName;
  scan.prefix = GlobPrefix(args[1]);
  scan.limit = kPage;
  c.StartScan(KeysListed);
}

void DbSize(Connection& c, Args) { c.reply().Integer(static_cast<int64_t>(c.store().CountCounters(c.ns()))); }

void FlushDb(Connection& c, Args args) {
  if (args.size() > 2) return c.Fail(text::kSyntax);
  if (args.size() == 2 && !EqualsIgnoreCase(args[1], "ASYNC") && !EqualsIgnoreCase(args[1], "SYNC")) {
    return c.Fail(text::kSyntax);
  }
  NextFlushPage(c, args);
}

void QuipuTop(Connection& c, Args args) {
  int64_t n = 0;
  if (!ParseInt64(args[1], &n)) return c.Fail(text::kNotInteger);
  if (n < 1 || n > static_cast<int64_t>(kTopMax)) {
    return c.Fail(fmt::format("ERR count is {}, allowed are 1 to {}", n, kTopMax));
  }
  ScanOp& scan = c.NewScan();
  scan.order = ScanOp::Order::kTop;
  scan.limit = static_cast<size_t>(n);
  for (size_t i = 2; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "ASC") && !scan.ascending)
      scan.ascending = true;
    else if (EqualsIgnoreCase(args[i], "PREFIX") && i + 1 < args.size() && scan.prefix.empty())
      scan.prefix = args[++i];
    else
      return c.Fail(text::kSyntax);
  }
  c.StartScan([](Connection& to, Args) {
    if (!to.scan().status.ok()) return to.Fail(ErrorText(to.scan().status));
    ReplyBuffer& out = to.reply();
    out.Array(to.scan().entries.size());
    for (const store::CounterEntry& entry : to.scan().entries) {
      out.Array(2);
      out.Bulk(entry.name);
      out.Integer(entry.value);
    }
  });
}

void QuipuEvents(Connection& c, Args args) {
  uint64_t after = 0;
  int64_t count = 100;
  for (size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return c.Fail(text::kSyntax);
    if (EqualsIgnoreCase(args[i], "AFTER")) {
      if (!ParseUint64(args[i + 1], &after)) return c.Fail(text::kNotInteger);
    } else if (EqualsIgnoreCase(args[i], "COUNT")) {
      if (!ParseInt64(args[i + 1], &count)) return c.Fail(text::kNotInteger);
      if (count < 1 || count > static_cast<int64_t>(kEventsMax)) {
        return c.Fail(fmt::format("ERR COUNT is {}, allowed are 1 to {}", count, kEventsMax));
      }
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  if (!IsCounterName(args[1])) {
    return c.Fail(fmt::format("ERR invalid counter name: {}", CheckCounterName(args[1]).message()));
  }
  auto op = std::make_unique<store::EventsOp>();
  op->ns = c.ns();
  op->name = std::string(args[1]);
  op->after = after;
  op->limit = static_cast<size_t>(count);
  op->owner = &c;
  op->on_done = [](store::EventsOp* done) {
    std::unique_ptr<store::EventsOp> owned(done);
    auto to = static_cast<Connection*>(done->owner);
    to->EndCall([to, done] { WriteEvents(*to, *done); });
  };
  c.BeginCall();
  c.store().Events(op.release());
}

}  // namespace quipu::resp
