// The replies that many commands share: how a slot is answered from its ops.
#pragma once
#include <fmt/core.h>

#include "gateway/resp/connection.h"
#include "gateway/resp/server.h"

namespace quipu::resp {

inline void CountRead(Connection& c, bool hit) { ++(hit ? c.server().stats().hits : c.server().stats().misses); }

// The value after, as an integer.
inline void FormatValue(Connection& c, const Slot&, const store::Op* op) {
  if (op->code == Code::kOk) [[likely]]
    c.out().Integer(op->value);
  else
    c.FailOp(op->code);
}

// The value as a bulk, or null where there is no counter.
inline void FormatBulk(Connection& c, const Slot&, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  CountRead(c, op->exists);
  if (op->exists)
    c.out().BulkInteger(op->value);
  else
    c.out().Null();
}

// The value before, as a bulk or null.
inline void FormatOldBulk(Connection& c, const Slot&, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  if (op->existed)
    c.out().BulkInteger(op->old_value);
  else
    c.out().Null();
}

// 1 if the mutation happened.
inline void FormatHappened(Connection& c, const Slot&, const store::Op* op) {
  if (op->code != Code::kOk) return c.FailOp(op->code);
  c.out().Integer(op->outcome == store::Outcome::kRefused ? 0 : 1);
}

// +OK, or the first error of the ops.
inline void FormatOk(Connection& c, const Slot& slot, const store::Op* ops) {
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code != Code::kOk) return c.FailOp(ops[i].code);
  }
  c.out().Simple("OK");
}

// An array of values, null where there is no counter.
inline void FormatBulks(Connection& c, const Slot& slot, const store::Op* ops) {
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code != Code::kOk) return c.FailOp(ops[i].code);
  }
  c.out().Array(slot.count);
  for (uint32_t i = 0; i < slot.count; ++i) FormatBulk(c, slot, ops + i);
}

// The reply to a mutation of a group that one commit cannot hold; nothing happened.
inline void FailLargeGroup(Connection& c) {
  const std::string text = fmt::format("ERR the fields of the group need more than {} bytes in one commit, use HDEL",
                                       c.store().Info().commit_bytes_max);
  c.server().CountError(text);
  c.out().Error(text);
}

// How many of the counters existed before.
inline void FormatExisted(Connection& c, const Slot& slot, const store::Op* ops) {
  int64_t count = 0;
  for (uint32_t i = 0; i < slot.count; ++i) {
    if (ops[i].code != Code::kOk) return c.FailOp(ops[i].code);
    count += ops[i].existed ? 1 : 0;
  }
  c.out().Integer(count);
}

}  // namespace quipu::resp
