#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "model/name.h"

namespace quipu::resp {

void Multi(Connection& c, Args) {
  if (c.transaction().queueing()) return c.Fail(text::kNestedMulti);
  c.transaction().Reset();
  c.transaction().stage = Transaction::Stage::kQueueing;
  c.reply().Simple("OK");
}

void Exec(Connection& c, Args) {
  Transaction& t = c.transaction();
  if (!t.queueing()) return c.Fail(text::kExecWithoutMulti);
  if (t.aborted) {
    t.Reset();
    t.watched.clear();
    return c.Fail(text::kExecAbort);
  }
  c.RunTransaction();
}

void Discard(Connection& c, Args) {
  if (!c.transaction().queueing()) return c.Fail(text::kDiscardWithoutMulti);
  c.transaction().Reset();
  c.transaction().watched.clear();
  c.reply().Simple("OK");
}

// Reads the versions of the counters; EXEC makes its batch depend on them.
void Watch(Connection& c, Args args) {
  Transaction& t = c.transaction();
  if (t.queueing()) return c.Fail(text::kWatchInMulti);
  if (t.watched.size() + args.size() > kCommandOpsMax / 2) return c.Fail("ERR too many watched keys");
  size_t first = t.watched.size();
  for (std::string_view key : args.subspan(1)) {
    store::Op* op = c.AddOp(store::OpKind::kGet, key);
    if (op == nullptr) return;
    op->group = store::GroupRole::kWhole;
  }
  for (std::string_view key : args.subspan(1)) t.watched.push_back({.ns = c.ns(), .name = std::string(key)});
  c.AddSlot(
      [](Connection& to, const Slot& slot, const store::Op* ops) {
        for (uint32_t i = 0; i < slot.count; ++i) {
          if (ops[i].code != Code::kOk) return to.FailOp(ops[i].code);
          Transaction::Watched& watched = to.transaction().watched[slot.extra + i];
          watched.version = ops[i].version;
          watched.created = ops[i].created;
        }
        to.out().Simple("OK");
      },
      args.size() - 1, first);
}

void Unwatch(Connection& c, Args) {
  c.transaction().watched.clear();
  c.reply().Simple("OK");
}

}  // namespace quipu::resp
