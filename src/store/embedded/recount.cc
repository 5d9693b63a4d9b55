#include "store/embedded/recount.h"

#include "store/embedded/settler.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

int64_t Minus(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

std::string Text(__int128 v) {
  auto narrow = static_cast<int64_t>(v);
  return narrow == v ? fmt::format("{}", narrow) : "beyond 64 bits";
}

}  // namespace

void CounterRecount::Add(const SettledEvent& e) {
  ++events_;
  if (e.position <= last_) found_(fmt::format("position {} follows after {}", e.position, last_));
  last_ = e.position;
  CheckChain(e);
  CheckMeaning(e);
  if (!e.token.empty()) CheckToken(e);
  if (e.outcome == Outcome::kRefused) return;
  state_ = CounterState();
  if (e.exists) state_ = {.value = e.value, .expiry_ms = e.expiry_ms, .last_write_us = e.last_write_us, .exists = true};
  last_changed_ = e.position;
  if (e.kind == OpKind::kAdd) {
    IntervalSum& sum = sums_[IntervalStart(Interval::kMinute, e.event_us)];
    sum.sum += e.applied;
    sum.events += e.events;
  }
}

void CounterRecount::CheckChain(const SettledEvent& e) {
  int64_t before = Minus(e.value, e.applied);
  if (!known_) {
    known_ = true;
    full_ = !e.existed;
    state_ = {.value = before, .expiry_ms = e.expiry_ms, .exists = e.existed};
    if (!e.existed && before != 0) found_(fmt::format("position {}: the counter begins with {}", e.position, before));
    return;
  }
  if (e.existed != state_.exists) {
    found_(fmt::format("position {}: says that the counter {}, but before it {}", e.position,
                       e.existed ? "existed" : "did not exist", state_.exists ? "existed" : "did not"));
  }
  if (before != state_.value) {
    found_(fmt::format("position {}: {} after {} was applied, but the value before was {}", e.position, e.value,
                       e.applied, state_.value));
  }
}

void CounterRecount::CheckMeaning(const SettledEvent& e) {
  bool right = true;
  if (e.outcome == Outcome::kRefused) {
    right = e.applied == 0 && e.exists == e.existed && (!e.exists || e.expiry_ms == state_.expiry_ms);
  } else {
    switch (e.kind) {
      case OpKind::kAdd:
        right = e.outcome == Outcome::kSaturated || e.applied == e.delta;
        break;
      case OpKind::kSet:
        right = e.value == e.delta;
        break;
      case OpKind::kClear:
        right = e.value == 0;
        break;
      case OpKind::kDelete:
        right = e.value == 0 && !e.exists;
        break;
      case OpKind::kExpire:
        right = e.applied == 0;
        break;
      case OpKind::kGet:
      case OpKind::kTokenOutcome:
      case OpKind::kCheckVersion:
        right = false;
    }
  }
  if (!right) {
    found_(fmt::format("position {}: kind {}, outcome {}, delta {}, applied {}, value {} do not go together",
                       e.position, static_cast<int>(e.kind), static_cast<int>(e.outcome), e.delta, e.applied, e.value));
  }
}

void CounterRecount::CheckToken(const SettledEvent& e) {
  ++tokens_;
  if (!ns_) return;
  Micros kept_from = TokenKeptFrom(TokenOwnTime(e.token), e.commit_us);
  auto [it, fresh] = seen_.try_emplace(TokenText(e.token), e.position, kept_from);
  if (fresh) return;
  auto [position, first_kept_from] = it->second;
  // By the horizon alone: that a token counts once within it is the promise.
  const Micros horizon_us = ns_->settings.token_horizon_ms * 1000;
  if (first_kept_from >= std::max(e.commit_us - horizon_us, ns_->tokens_known_since_us)) {
    found_(fmt::format("token {} took effect at position {} and again at {}, inside its horizon", TokenText(e.token),
                       position, e.position));
  }
  it->second = {e.position, kept_from};
}

void CounterRecount::CompareCheckpoint(const Checkpoint* c) {
  if (!known_) {
    known_ = c != nullptr;
    if (c) {
      state_ = {.value = c->value, .expiry_ms = c->expiry_ms, .last_write_us = c->last_write_us, .exists = true};
      last_ = c->position;
    } else {
      known_ = full_ = true;  // nothing was settled
    }
    return;
  }
  if (state_.exists != (c != nullptr)) {
    found_(fmt::format("by its events the counter {}, but it {} checkpoint", state_.exists ? "exists" : "is gone",
                       c ? "has a" : "has no"));
    return;
  }
  if (!c) return;
  if (c->value != state_.value)
    found_(fmt::format("the events add up to {}, the checkpoint says {}", state_.value, c->value));
  if (last_changed_ == 0) {
    // Only refused events are kept: what changed the counter is older.
    state_ = {.value = c->value, .expiry_ms = c->expiry_ms, .last_write_us = c->last_write_us, .exists = true};
    return;
  }
  if (c->position != last_changed_)
    found_(fmt::format("its last change is at position {}, the checkpoint says {}", last_changed_, c->position));
  if (c->expiry_ms != state_.expiry_ms)
    found_(
        fmt::format("it expires at {} ms by its last event, at {} by the checkpoint", state_.expiry_ms, c->expiry_ms));
  if (c->last_write_us != state_.last_write_us)
    found_(fmt::format("last written at {} us by its last event, at {} by the checkpoint", state_.last_write_us,
                       c->last_write_us));
}

std::vector<std::string> CounterRecount::CompareSums(const MinuteSums& stored, std::string* first_more) const {
  std::vector<std::string> wrong;
  for (const auto& [start_us, sum] : sums_) {
    auto it = stored.find(start_us);
    IntervalSum have = it == stored.end() ? IntervalSum() : it->second;
    if (have.events < sum.events) {
      wrong.push_back(
          fmt::format("minute from {} us: {} adds, the stored sum has {}", start_us, sum.events, have.events));
    } else if (have.events == sum.events && have.sum != sum.sum) {
      wrong.push_back(fmt::format("minute from {} us: the adds make {}, the stored sum says {}", start_us,
                                  Text(sum.sum), Text(have.sum)));
    }
  }
  for (const auto& [start_us, sum] : stored) {
    auto it = sums_.find(start_us);
    uint64_t fed = it == sums_.end() ? 0 : it->second.events;
    if (sum.events > fed && first_more->empty())
      *first_more = fmt::format("minute from {} us: {} adds, the stored sum has {}", start_us, fed, sum.events);
  }
  return wrong;
}

}  // namespace quipu::store
