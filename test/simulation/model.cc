#include "test/simulation/model.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::simulation {
namespace {

using Wide = __int128;
constexpr Wide kLowest = std::numeric_limits<int64_t>::min();
constexpr Wide kHighest = std::numeric_limits<int64_t>::max();

bool RuleHolds(const Content& content, int64_t expiry_ms) {
  const bool none = expiry_ms == 0;
  const bool earlier = content.expire_at_ms < expiry_ms;
  const bool later = content.expire_at_ms > expiry_ms;
  switch (content.expire_rule) {
    case ExpireRule::kKeep:
      return false;
    case ExpireRule::kSet:
      return true;
    case ExpireRule::kClear:
    case ExpireRule::kSetIfAny:
      return !none;
    case ExpireRule::kSetIfNone:
      return none;
    case ExpireRule::kSetIfLater:
      return !none && later;
    case ExpireRule::kSetIfEarlier:
      return none || earlier;
    case ExpireRule::kSetIfAnyEarlier:
      return !none && earlier;
  }
  return false;
}

}  // namespace

bool IsMutating(OpKind kind) {
  return kind != OpKind::kGet && kind != OpKind::kTokenOutcome && kind != OpKind::kCheckVersion;
}

std::string NameOf(const Counter& counter) {
  return fmt::format("counter '{}' of namespace {}", counter.name.substr(0, 60), counter.ns);
}

bool SameNamespace(const Namespace& a, const Namespace& b) {
  return a.id == b.id && a.name == b.name && a.version == b.version && a.deleted == b.deleted &&
         a.settings == b.settings && a.tokens_known_since_us == b.tokens_known_since_us;
}

Answer AnswerOf(const Op& op) {
  return {.outcome = op.outcome,
          .existed = op.existed,
          .exists = op.exists,
          .is_protected = op.is_protected,
          .value = op.value,
          .old_value = op.old_value,
          .applied = op.applied,
          .expiry_ms = op.expiry_ms,
          .event_us = op.event_us,
          .last_write_us = op.last_write_us};
}

std::string Describe(const Answer& a) {
  return fmt::format(
      "outcome={} existed={} exists={} protected={} value={} old={} applied={} expiry={} event={} last_write={}",
      static_cast<int>(a.outcome), a.existed, a.exists, a.is_protected, a.value, a.old_value, a.applied, a.expiry_ms,
      a.event_us, a.last_write_us);
}

void Model::SetShards(uint32_t shards) {
  if (shards == logs_.size()) return;
  for (const ShardLog& log : logs_) QUIPU_ASSERT(log.steps.empty(), "{} steps can be undone", log.steps.size());
  logs_ = std::vector<ShardLog>(shards);
  for (Counter& counter : counters_) {
    counter.shard = store::ShardOf(counter.hash, shards);
    counter.last_step = 0;
  }
  for (Token& token : tokens_) token.step = 0;
}

int Model::AddCounter(NamespaceId ns, std::string name, uint64_t hash, bool adds_only) {
  Counter counter;
  counter.ns = ns;
  counter.name = std::move(name);
  counter.hash = hash;
  counter.shard = store::ShardOf(hash, shards());
  counter.adds_only = adds_only;
  counters_.push_back(std::move(counter));
  return static_cast<int>(counters_.size()) - 1;
}

int Model::AddToken(Token token) {
  tokens_.push_back(std::move(token));
  return static_cast<int>(tokens_.size()) - 1;
}

void Model::SetNamespaces(const NamespaceTable& table) { namespaces_ = table.all(); }

const Namespace& Model::ChangeNamespace(NamespaceId id, const NamespaceSettings& settings) {
  Namespace& ns = namespaces_[id];
  Step step;
  step.namespace_before = ns;
  logs_[0].steps.push_back(std::move(step));
  // What was given up, or never kept, is not known again by a longer horizon.
  const bool was_memory = ns.settings.durability == Durability::kMemory;
  if (was_memory && settings.durability != Durability::kMemory) ns.tokens_known_since_us = logs_[0].now_us;
  const NamespaceSettings& old = ns.settings;
  const bool keeps_longer =
      settings.token_horizon_ms + settings.token_skew_ms > old.token_horizon_ms + old.token_skew_ms;
  if (!was_memory && (keeps_longer || settings.token_horizon_ms > old.token_horizon_ms)) {
    ns.tokens_known_since_us = Floor(id, 0);
  }
  ns.settings = settings;
  ++ns.version;
  return ns;
}

void Model::SetNow(uint32_t shard, Micros now_us, Micros wall_us) {
  logs_[shard].now_us = now_us;
  logs_[shard].commit_at_most_us = std::max(now_us, wall_us);
}

std::vector<uint64_t> Model::LastSteps() const {
  std::vector<uint64_t> last;
  for (const ShardLog& log : logs_) last.push_back(log.last());
  return last;
}

bool Model::IsLive(const Counter& counter) const {
  return counter.exists && (counter.expiry_ms == 0 || counter.expiry_ms > LogOf(counter).now_us / 1000);
}

Counter Model::Live(const Counter& counter) const {
  Counter live = counter;
  if (!IsLive(counter)) static_cast<CounterState&>(live) = {.last_step = counter.last_step};
  return live;
}

bool Model::MustBeKnown(const Token& token) const {
  const Counter& counter = counters_[static_cast<size_t>(token.counter)];
  return token.kept && token.kept_from_us >= Floor(counter.ns, counter.shard);
}

bool Model::MayBeKnown(const Token& token) const {
  const Counter& counter = counters_[static_cast<size_t>(token.counter)];
  return token.kept && token.kept_from_at_most_us >= Floor(counter.ns, counter.shard);
}

Model::CountRange Model::Count(NamespaceId ns, uint32_t shard, bool unswept) const {
  CountRange count;
  for (const Counter& c : counters_) {
    if (c.ns != ns || !c.exists) continue;
    const bool here = c.shard == shard;
    count.least += (here ? unswept || IsLive(c) : c.expiry_ms == 0) ? 1 : 0;
    count.most += (here ? unswept || IsLive(c) : true) ? 1 : 0;
  }
  return count;
}

Micros Model::Floor(NamespaceId ns, uint32_t shard) const {
  const Namespace& n = namespaces_[ns];
  return std::max(logs_[shard].now_us - (n.settings.token_horizon_ms + n.settings.token_skew_ms) * 1000,
                  n.tokens_known_since_us);
}

std::string Model::DecideOp(const Request& request, const Op& op, CodeSet allowed) {
  if ((allowed & SetOf(op.code)) != 0) return "";
  const Counter& counter = counters_[static_cast<size_t>(request.counter)];
  if (!NamespaceExists(counter.ns)) return Compare(request, op, {.code = Code::kNamespaceNotFound});
  switch (request.kind) {
    case OpKind::kGet:
      return DecideRead(request, op);
    case OpKind::kTokenOutcome:
      return DecideTokenOutcome(request, op);
    case OpKind::kCheckVersion:
      return DecideCheckVersion(request, op);
    default:
      return DecideMutation(request, op, allowed);
  }
}

std::string Model::Compare(const Request& request, const Op& op, const Verdict& want) {
  // kInternal marks a guess: the answer is not known, only the model's own view counts.
  if (op.code == Code::kInternal) return "";
  ++tally_.comparisons;
  const std::string name = NameOf(counters_[static_cast<size_t>(request.counter)]);
  if (op.code != want.code)
    return fmt::format("{}: code {}, should be {}", name, CodeName(op.code), CodeName(want.code));
  if (op.replayed != want.replayed)
    return fmt::format("{}: replayed={}, should be {}", name, op.replayed, want.replayed);
  if (op.code != Code::kOk) return "";
  const Answer got = AnswerOf(op);
  if (got == want.answer) return "";
  return fmt::format("{}: kind {} got {}; should be {}", name, static_cast<int>(request.kind), Describe(got),
                     Describe(want.answer));
}

std::string Model::DecideRead(const Request& request, const Op& op) {
  const Counter counter = Live(counters_[static_cast<size_t>(request.counter)]);
  Verdict want;
  want.answer = {.existed = counter.exists,
                 .exists = counter.exists,
                 .value = counter.value,
                 .old_value = counter.value,
                 .expiry_ms = counter.expiry_ms,
                 .last_write_us = counter.last_write_us};
  if (std::string wrong = Compare(request, op, want); !wrong.empty()) return wrong;
  if (op.code == Code::kOk && (op.version == 0) == counter.exists) {
    return fmt::format("{}: exists={} with version {}", NameOf(counter), counter.exists, op.version);
  }
  if (op.code == Code::kOk) versions_seen_.push_back({request.counter, op.version, counter.changes, counter.events});
  return "";
}

std::string Model::DecideCheckVersion(const Request& request, const Op& op) {
  const Counter counter = Live(counters_[static_cast<size_t>(request.counter)]);
  const bool same =
      request.expected_version == 0 ? !counter.exists : counter.exists && counter.changes == request.changes_then;
  if (op.code != Code::kOk && op.code != Code::kConditionNotMet && op.code != Code::kInternal) {
    return fmt::format("{}: check of version says {}", NameOf(counter), CodeName(op.code));
  }
  // Events in between that left the counter as it was may have moved the version.
  if (same && (counter.events != request.events_then || counter.changes != request.changes_then)) return "";
  if (op.code == Code::kInternal) return "";
  ++tally_.comparisons;
  if ((op.code == Code::kOk) == same) return "";
  return fmt::format("{}: version {} {}, yet the check says {}", NameOf(counter), request.expected_version,
                     same ? "still holds" : "has changed", CodeName(op.code));
}

std::string Model::DecideTokenOutcome(const Request& request, const Op& op) {
  Token& token = tokens_[static_cast<size_t>(request.token)];
  const Counter& counter = counters_[static_cast<size_t>(token.counter)];
  if (op.code == Code::kInternal) return "";
  const bool found = op.code == Code::kOk;
  if (!found && op.code != Code::kNotFound)
    return fmt::format("{}: token outcome says {}", NameOf(counter), CodeName(op.code));
  ++tally_.comparisons;
  if (!token.kept)
    return found ? fmt::format("{}: token {} was never counted, yet it is known", NameOf(counter), token.text) : "";
  if (MustBeKnown(token) && !found)
    return fmt::format("{}: token {} is inside the horizon, yet unknown", NameOf(counter), token.text);
  if (!MayBeKnown(token) && found)
    return fmt::format("{}: token {} is known beyond the horizon", NameOf(counter), token.text);
  if (!found) return "";
  if (op.original_kind != token.kept_content.kind) {
    return fmt::format("{}: token {} did {}, not {}", NameOf(counter), token.text,
                       static_cast<int>(token.kept_content.kind), static_cast<int>(op.original_kind));
  }
  const NamespaceSettings& set = settings(counter.ns);
  const Micros kept_from_us = op.token_expires_us - (set.token_horizon_ms + set.token_skew_ms) * 1000;
  if (kept_from_us < token.kept_from_us || kept_from_us > token.kept_from_at_most_us) {
    return fmt::format("{}: token {} is kept from {} on, should be {} to {}", NameOf(counter), token.text, kept_from_us,
                       token.kept_from_us, token.kept_from_at_most_us);
  }
  token.kept_from_us = token.kept_from_at_most_us = kept_from_us;
  return Compare(request, op, {.replayed = true, .answer = token.answer});
}

bool Model::Apply(const Content& content, Micros event_us, Counter* counter, Verdict* verdict) const {
  const Counter before = *counter;
  Answer& a = verdict->answer;
  a = {.existed = before.exists, .value = before.value, .old_value = before.value, .event_us = event_us};
  bool refused = (content.condition == Condition::kIfMissing && before.exists) ||
                 (content.condition == Condition::kIfExists && !before.exists);
  bool removed = false;
  if (!refused) {
    switch (content.kind) {
      case OpKind::kAdd: {
        const Wide low = content.bounded ? Wide{content.floor} : kLowest;
        const Wide high = content.bounded ? Wide{content.ceiling} : kHighest;
        Wide sum = Wide{before.value} + content.delta;
        if (sum < low || sum > high) {
          if (!content.saturate) {
            if (!content.bounded) {
              verdict->code = Code::kOverflow;
              return false;
            }
            refused = true;
            break;
          }
          sum = sum > high ? high : low;
          a.outcome = Outcome::kSaturated;
        }
        const Wide applied = sum - before.value;
        if (applied < kLowest || applied > kHighest) {
          verdict->code = Code::kOverflow;
          return false;
        }
        a.applied = static_cast<int64_t>(applied);
        counter->value = static_cast<int64_t>(sum);
        counter->exists = true;
        break;
      }
      case OpKind::kSet:
        counter->value = content.delta;
        counter->exists = true;
        break;
      case OpKind::kClear:
        counter->value = 0;
        removed = content.remove;
        break;
      case OpKind::kDelete:
        counter->value = 0;
        removed = true;
        break;
      case OpKind::kExpire:
        refused = !before.exists || !RuleHolds(content, before.expiry_ms);
        break;
      default:
        QUIPU_ASSERT(false, "kind={}", static_cast<int>(content.kind));
    }
  }
  if (refused) {
    a.outcome = Outcome::kRefused;
    a.exists = before.exists;
    a.expiry_ms = before.expiry_ms;
    a.last_write_us = before.last_write_us;
    *counter = before;
    return false;
  }
  if (removed) counter->exists = false;
  if (content.kind != OpKind::kExpire) counter->last_write_us = std::max(counter->last_write_us, event_us);
  a.value = counter->value;
  if (counter->exists && RuleHolds(content, counter->expiry_ms)) {
    counter->expiry_ms = content.expire_rule == ExpireRule::kClear ? 0 : content.expire_at_ms;
    counter->exists = IsLive(*counter);
  }
  if (!counter->exists) {
    counter->value = 0;
    counter->expiry_ms = 0;
    counter->last_write_us = kNoTime;
  }
  a.exists = counter->exists;
  a.expiry_ms = counter->expiry_ms;
  a.last_write_us = counter->last_write_us;
  return true;
}

std::string Model::DecideMutation(const Request& request, const Op& op, CodeSet allowed) {
  Counter& counter = counters_[static_cast<size_t>(request.counter)];
  const NamespaceSettings& settings = namespaces_[counter.ns].settings;
  Token* token = request.token >= 0 ? &tokens_[static_cast<size_t>(request.token)] : nullptr;
  if (token == nullptr && settings.token_required && !in_source_step_)
    return Compare(request, op, {.code = Code::kTokenRequired});

  const Micros now_us = LogOf(counter).now_us;
  Micros claimed_us = now_us;
  if (token != nullptr && request.token_time_us != kNoTime) claimed_us = request.token_time_us;
  if (token != nullptr && token->own_us != kNoTime) claimed_us = token->own_us;
  const bool keeps = token != nullptr && settings.durability != Durability::kMemory;
  if (keeps) {
    const Micros skew = settings.token_skew_ms * 1000;
    // A time that is only given may have been ahead of the first receipt by the skew (store/token_rules.h).
    const bool is_given = token->own_us == kNoTime && claimed_us < now_us;
    const Micros known_since_us = namespaces_[counter.ns].tokens_known_since_us;
    const bool unknown = known_since_us != kNoTime && claimed_us < known_since_us + (is_given ? skew : 0);
    if (claimed_us < now_us - settings.token_horizon_ms * 1000 || unknown) {
      ++tally_.expired;
      return Compare(request, op, {.code = Code::kTokenExpired});
    }
    if (claimed_us > now_us + skew) return Compare(request, op, {.code = Code::kTokenInFuture});
    const bool guess = op.code == Code::kInternal;
    const bool says_known = op.code == Code::kTokenConflict || (op.code == Code::kOk && op.replayed);
    unsure_ |= guess && MayBeKnown(*token) != MustBeKnown(*token);
    if (MustBeKnown(*token) || (MayBeKnown(*token) && says_known)) {
      if (token->kept_content != request.content) {
        ++tally_.conflicts;
        return Compare(request, op, {.code = Code::kTokenConflict});
      }
      ++tally_.replays;
      std::string wrong = Compare(request, op, {.replayed = true, .answer = token->answer});
      if (wrong.empty() && !guess && op.position != token->position) {
        wrong = fmt::format("{}: replay of {} has position {}, the first had {}", NameOf(counter), token->text,
                            op.position, token->position);
      }
      return wrong;
    }
  }

  Step step;
  step.counter = request.counter;
  step.counter_before = counter;
  step.changes_before = counter.changes;
  const Counter before = Live(counter);
  Counter after = before;
  Verdict want;
  const Micros event_us = request.event_time_us != kNoTime ? request.event_time_us : claimed_us;
  const bool changed = Apply(request.content, event_us, &after, &want);
  if (want.code != Code::kOk) return Compare(request, op, want);
  if (!before.exists && after.exists && settings.counters_max > 0) {
    const auto most = static_cast<uint64_t>(settings.counters_max);
    // What has expired is off the count, unless the disk did not let it be swept.
    const bool unswept = (allowed & SetOf(Code::kUnavailable)) != 0 && op.code == Code::kQuotaExceeded;
    const CountRange count = Count(counter.ns, counter.shard, unswept);
    unsure_ |= op.code == Code::kInternal && count.least < most && count.most >= most;
    if (count.least >= most || (count.most >= most && op.code == Code::kQuotaExceeded)) {
      return Compare(request, op, {.code = Code::kQuotaExceeded});
    }
  }
  want.answer.is_protected = keeps;
  if (std::string wrong = Compare(request, op, want); !wrong.empty()) return wrong;
  if (want.answer.outcome == Outcome::kRefused) ++tally_.refusals;
  if (!changed && !keeps) return "";

  if (op.code == Code::kOk && op.position == 0) return fmt::format("{}: an event without a position", NameOf(counter));
  const uint64_t number = LogOf(counter).last() + 1;
  if (changed) {
    const bool same =
        after.exists == before.exists && after.value == before.value && after.expiry_ms == before.expiry_ms;
    after.changes += same ? 0 : 1;
    after.events += same ? 1 : 0;
    if (!same || after.last_write_us != before.last_write_us) after.last_step = number;
    static_cast<CounterState&>(counter) = after;  // the name stays put: ops point to it
    counter.changes = after.changes;
    counter.events = after.events;
    if (request.kind == OpKind::kAdd) ++tally_.adds;
  }
  if (keeps) {
    step.token = request.token;
    step.token_before = *token;
    token->kept = true;
    token->kept_content = request.content;
    token->kept_from_us = std::max(token->own_us, now_us);
    token->kept_from_at_most_us = std::max(token->own_us, LogOf(counter).commit_at_most_us);
    token->answer = want.answer;
    token->position = op.position;
    token->step = number;
  }
  LogOf(counter).steps.push_back(std::move(step));
  return "";
}

uint64_t Model::RevealedStep(const Request& request, const Op& op) const {
  const Counter& counter = counters_[static_cast<size_t>(request.counter)];
  if (!NamespaceExists(counter.ns) || settings(counter.ns).durability != Durability::kSync) return 0;
  if (op.code == Code::kTokenConflict || op.replayed) return tokens_[static_cast<size_t>(request.token)].step;
  if (op.code != Code::kOk) return 0;
  return IsMutating(request.kind) && op.position != 0 ? LogOf(counter).last() : counter.last_step;
}

}  // namespace quipu::simulation
