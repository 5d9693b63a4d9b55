// One request to the store about one counter, and its answer, in one reusable struct. Front ends fill the input half,
// the store fills the output half; nothing here owns memory.
//
// Units     Times in microseconds since 1970 UTC unless the name says ms. kNoTime = not given.
// Memory    name and token point into the caller's buffers until the batch is decided; a store copies what it keeps.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ids.h"

namespace quipu::store {

enum class OpKind : uint8_t {
  kAdd,           // value += delta, within bounds
  kGet,           // read
  kClear,         // value = 0; the counter stays (or goes, with `remove`)
  kSet,           // value = delta: a clear and an add in one commit
  kDelete,        // the counter ceases to exist
  kExpire,        // only the expiry changes
  kTokenOutcome,  // what became of `token` on this counter; kNotFound if never seen inside the horizon
  kCheckVersion,  // kConditionNotMet unless the counter's version equals expected_version (WATCH)
};

// What must hold of the counter for a mutation to happen; otherwise Outcome::kRefused and nothing changes.
enum class Condition : uint8_t { kNone, kIfMissing, kIfExists };

// What a mutation does to the counter's expiry.
enum class ExpireRule : uint8_t {
  kKeep,             // as it is
  kClear,            // no expiry any more
  kSet,              // expire_at_ms
  kSetIfNone,        // expire_at_ms, only where there is none (EXPIRE NX, INCREX ENX)
  kSetIfAny,         // expire_at_ms, only where there is one (EXPIRE XX)
  kSetIfLater,       // EXPIRE GT: no expiry counts as infinitely late
  kSetIfEarlier,     // EXPIRE LT
  kSetIfAnyEarlier,  // EXPIRE XX LT: only where there is one, and it is later
};

// How an op heeds that counters k[f] form the group k (model/name.h). Without: it concerns the one counter of its name.
enum class GroupRole : uint8_t {
  kNone,
  // kAdd, kSet with expire_rule kKeep: a counter k[f] that comes into being takes the expiry of a counter of its group,
  // as a new field of a Redis hash does.
  kMember,
  // kGet: where the counter is missing, its group answers: exists if one of it does, expiry_ms the latest of them, 0 if
  // one has none.
  kElseGroup,
  // kGet, kCheckVersion, kDelete, kExpire without a token: the counter and its group as one thing, in one moment and
  // one commit. existed, exists: any of them. version: another one after a change of any. A condition is asked of the
  // thing: kIfExists holds where any of them exists, kIfMissing where none does. kExpire: the rule is applied to each,
  // refused if it changes none. kGet: *listing. kTooLarge where the mutations do not fit one commit.
  kWhole,
};

enum class Outcome : uint8_t {  // on disk with tokens; never renumber
  kApplied = 0,
  kSaturated = 1,  // another amount than asked was applied
  kRefused = 2,    // a bound or condition forbade it; applied is 0, value is the current one
};

// One counter in a listing.
struct CounterEntry {
  std::string name;
  int64_t value = 0;
  int64_t expiry_ms = 0;
  Micros last_write_us = kNoTime;
};

inline constexpr uint64_t kAnyCreated = std::numeric_limits<uint64_t>::max();

struct Op {
  // ---- in
  OpKind kind = OpKind::kGet;
  Condition condition = Condition::kNone;
  ExpireRule expire_rule = ExpireRule::kKeep;
  bool saturate = false;  // kAdd: clamp to the bound (or to 64 bits) instead of refusing
  bool bounded = false;   // kAdd: floor and ceiling apply and leaving 64 bits is a refusal, not kOverflow
  bool remove = false;    // kClear: also delete
  GroupRole group = GroupRole::kNone;
  // In an atomic batch: this op and the one before it are one command. Where an op of such a run has an error, nothing
  // of the run happens and each of its ops has that error; the rest of the batch stands. Not kCheckVersion.
  bool joined = false;
  NamespaceId ns = kDefaultNamespace;
  uint64_t hash = 0;       // HashCounter(ns, name)
  std::string_view name;   // valid (IsCounterName)
  std::string_view token;  // valid (CheckToken) or empty: none
  int64_t delta = 0;       // kTokenOutcome answers with the first request's: of an add or a set, else 0
  int64_t floor = std::numeric_limits<int64_t>::min();
  int64_t ceiling = std::numeric_limits<int64_t>::max();
  int64_t expire_at_ms = 0;                 // unix ms, > 0
  Micros token_time_us = kNoTime;           // generation_time; a time inside the token wins over it
  Micros event_time_us = kNoTime;           // else the token's time, else the server's
  uint64_t expected_version = 0;            // kCheckVersion
  uint64_t expected_created = kAnyCreated;  // kCheckVersion with kWhole: `created` too must be this
  // kGet with kWhole: where the group's counters go, ascending by name; null if they are not wanted. Theirs alone, the
  // counter `name` itself is told by value. Stays put until the batch is decided.
  std::vector<CounterEntry>* listing = nullptr;

  // ---- out
  Code code = Code::kOk;  // kOk: the fields below hold. Errors change nothing; see EventStore::Submit for the list
  Outcome outcome = Outcome::kApplied;
  OpKind original_kind = OpKind::kGet;  // kTokenOutcome: what the token did
  bool replayed = false;  // the token had been seen: the fields from outcome to last_write_us repeat the first result
  bool existed = false;   // the counter existed before the op
  bool exists = false;    // and after it
  bool is_protected = false;    // a token was given and is kept
  bool in_source_step = false;  // the store's own: the batch's source makes it safe to repeat, so it needs no token
  int64_t value = 0;      // after the op; 0 if the counter does not exist, but as computed where expire_at_ms ends it
  int64_t old_value = 0;  // before it
  int64_t applied = 0;    // kAdd: what was added in fact
  int64_t expiry_ms = 0;  // after the op; 0 = none
  Position position = 0;  // of the mutation (0: refused without a token, hence no event); reads: of the last change
  Micros event_us = kNoTime;       // event time of the mutation as stored
  Micros last_write_us = kNoTime;  // latest event time that wrote the value; kNoTime = the counter does not exist
  uint64_t version = 0;  // kGet: another one after each change of value or expiry; 0 if the counter does not exist
  // kGet, kCheckVersion with kWhole: another one once the counter or one of its group has come into being, if only for
  // a moment. An engine may take the birth of another counter for it, once in tens of thousands. Until the store is
  // closed.
  uint64_t created = 0;
  Micros token_expires_us = kNoTime;  // kTokenOutcome
};

// Where the run of joined ops that begins with ops[at] ends.
inline size_t RunEnd(std::span<const Op> ops, size_t at) {
  size_t end = at + 1;
  while (end < ops.size() && ops[end].joined) ++end;
  return end;
}

// Brings the answer half of an op to its first state; Fail also sets the code.
inline void ResetAnswer(Op* op) {
  static constexpr Op kFresh{};
  op->code = kFresh.code;
  op->outcome = kFresh.outcome;
  op->original_kind = kFresh.original_kind;
  op->replayed = kFresh.replayed;
  op->existed = kFresh.existed;
  op->exists = kFresh.exists;
  op->is_protected = kFresh.is_protected;
  op->value = kFresh.value;
  op->old_value = kFresh.old_value;
  op->applied = kFresh.applied;
  op->expiry_ms = kFresh.expiry_ms;
  op->position = kFresh.position;
  op->version = kFresh.version;
  op->created = kFresh.created;
  op->event_us = kFresh.event_us;
  op->last_write_us = kFresh.last_write_us;
  op->token_expires_us = kFresh.token_expires_us;
}
inline void FailOp(Op* op, Code code) {
  ResetAnswer(op);
  op->code = code;
}

}  // namespace quipu::store
