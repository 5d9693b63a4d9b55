// A plain model of the settled state for tests: random settles that are applied to it and to a store alike, and the
// whole of a store read back as a value, so that "exactly before or exactly after" is one comparison.
//
// Errors    ReadState also fails (kInternal) where two ways of reading the same rows differ.
#pragma once
#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "model/ids.h"
#include "model/token.h"
#include "store/embedded/settled.h"

namespace quipu::store {

inline constexpr int64_t kModelSlice = 1'000'000;
inline constexpr int64_t kModelMinute = IntervalWidth(Interval::kMinute);
inline constexpr int64_t kModelDays = 2 * IntervalWidth(Interval::kDay);

// One seed, one sequence (splitmix64).
class ModelRandom {
 public:
  explicit ModelRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

 private:
  uint64_t state_;
};

using ModelCounter = std::tuple<NamespaceId, uint64_t, std::string>;
CounterRef RefOf(const ModelCounter& counter);

// A SettledEvent that owns its token.
struct ModelEvent {
  SettledEvent row;  // row.token unset
  std::string token;
  bool operator==(const ModelEvent& other) const;
};

// By counter, and the number of the minute since 1970.
using ModelSums = std::map<std::pair<ModelCounter, int64_t>, std::pair<int64_t, uint64_t>>;

struct ModelState {
  std::map<ModelCounter, Checkpoint> counters;
  std::set<std::pair<NamespaceId, std::string>> names;
  std::map<std::string, std::string> meta;
  std::map<ModelCounter, std::map<Position, ModelEvent>> events;
  std::map<TokenPrint, Position> tokens;
  ModelSums sums;
  bool operator==(const ModelState&) const = default;
};

// The rows of one settle.
struct ModelRun {
  std::map<ModelCounter, std::optional<Checkpoint>> counters;  // nothing: deleted
  std::map<std::pair<NamespaceId, std::string>, bool> names;   // false: deleted
  std::map<std::string, std::string> meta;
  std::map<std::pair<ModelCounter, Position>, ModelEvent> events;
  std::map<TokenPrint, std::tuple<ModelCounter, Micros, Position>> tokens;
  ModelSums sums;
};

class SettledModel {
 public:
  explicit SettledModel(uint64_t seed, size_t counters = 12);
  // A settle of about `events` events that follows what was applied so far.
  ModelRun MakeRun(size_t events);
  // Applies to the model; Write does the same to a store, up to and including Commit.
  void Apply(const ModelRun& run);
  void DropTokensBefore(Micros commit_us);
  void DropEventsBefore(Micros commit_us);
  const ModelState& state() const { return state_; }
  Micros now() const { return now_; }
  ModelRandom& random() { return random_; }
  // Events are up to this far apart.
  void SetPace(uint64_t us) { pace_us_ = us; }
  // FindToken of every token there is, and of some there are not.
  Status CheckTokens(SettledStore* store);
  // Everything that the store holds, read in every way that there is.
  Result<ModelState> ReadState(SettledStore* store) const;

 private:
  ModelRandom random_;
  std::vector<ModelCounter> all_;
  ModelState state_;
  std::map<TokenPrint, std::pair<ModelCounter, Micros>> token_homes_;
  Position position_ = 0;
  Micros now_ = 50 * kModelSlice;
  uint64_t pace_us_ = kModelSlice / 50;
};

Status Write(const ModelRun& run, SettledStore* store);

inline Status Differs(std::string_view what) { return Status(Code::kInternal, fmt::format("{} differ", what)); }

inline ModelEvent OwnEvent(const SettledEvent& event) {
  ModelEvent owned{.row = event, .token = TokenText(event.token)};
  owned.row.token = {};
  return owned;
}

inline uint64_t ModelRandom::Next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline CounterRef RefOf(const ModelCounter& c) {
  return {.ns = std::get<0>(c), .hash = std::get<1>(c), .name = std::get<2>(c)};
}

inline bool ModelEvent::operator==(const ModelEvent& other) const { return row == other.row && token == other.token; }

inline SettledModel::SettledModel(uint64_t seed, size_t counters) : random_(seed) {
  // Few hashes for many names, so that names that begin alike share a hash.
  for (size_t i = 0; i < counters; i++) {
    all_.emplace_back(random_.Below(3), random_.Below(4) << 62,
                      fmt::format("{}{}", "counter-names"[i % 13], i % 5 == 0 ? "" : std::to_string(i)));
  }
}

inline ModelRun SettledModel::MakeRun(size_t events) {
  ModelRun run;
  for (size_t i = 0; i < events; i++) {
    const ModelCounter& counter = all_[random_.Below(all_.size())];
    position_++;
    now_ += static_cast<Micros>(random_.Below(pace_us_));
    if (random_.OneIn(100)) now_ -= static_cast<Micros>(25 * pace_us_);  // the clock steps back
    ModelEvent event;
    event.row = {.position = position_,
                 .kind = static_cast<OpKind>(random_.Below(3) * 2),
                 .outcome = static_cast<Outcome>(random_.Below(3)),
                 .exists = !random_.OneIn(5),
                 .delta = static_cast<int64_t>(random_.Next()) >> random_.Below(64),
                 .commit_us = now_};
    event.row.applied = random_.OneIn(4) ? 0 : event.row.delta;
    event.row.value = static_cast<int64_t>(random_.Next()) >> random_.Below(64);
    event.row.event_us = now_ - static_cast<int64_t>(random_.Below(1000));
    event.row.existed = random_.OneIn(2);
    event.row.last_write_us = random_.OneIn(4) ? now_ : event.row.event_us;
    if (random_.OneIn(7)) event.row.expiry_ms = static_cast<int64_t>(random_.Below(1u << 30)) + 1;
    if (random_.OneIn(3)) {
      event.row.events = static_cast<uint32_t>(random_.Below(1000)) + 1;
    } else {
      event.row.content = random_.Next() | 1;
      event.token = random_.OneIn(2) ? MakeUuidV7(now_ / 1000, random_.Next(), random_.Next())
                                     : fmt::format("t-{}", random_.Next());
      run.tokens[{.hi = random_.Next(), .lo = random_.Next()}] = {counter, now_, position_};
    }
    run.events[{counter, position_}] = event;
    run.counters[counter] = Checkpoint{.value = event.row.value,
                                       .position = position_,
                                       .expiry_ms = event.row.expiry_ms,
                                       .last_write_us = random_.OneIn(9) ? kNoTime : now_};
    run.names[{std::get<0>(counter), std::get<2>(counter)}] = true;
    // Minutes on both sides of a midnight.
    auto& sum = run.sums[{counter, static_cast<int64_t>(random_.Below(5)) * 70 - 140}];
    sum.first += static_cast<int64_t>(random_.Below(1u << 20)) - (1 << 19);
    sum.second++;
  }
  for (auto& [counter, checkpoint] : run.counters) {
    if (!random_.OneIn(6)) continue;
    checkpoint.reset();
    run.names[{std::get<0>(counter), std::get<2>(counter)}] = false;
  }
  run.meta["position"] = std::to_string(position_);
  run.meta[fmt::format("key-{}", random_.Below(5))] =
      random_.OneIn(3) ? "" : std::string("v\0w", 3) + std::to_string(random_.Next());
  return run;
}

inline Status Write(const ModelRun& rows, SettledStore* store) {
  QUIPU_ASSIGN_OR_RETURN(const auto run, store->BeginRun());
  for (const auto& [counter, checkpoint] : rows.counters) {
    QUIPU_RETURN_IF_ERROR(checkpoint ? run->PutCounter(RefOf(counter), *checkpoint)
                                     : run->DeleteCounter(RefOf(counter)));
  }
  for (const auto& [name, present] : rows.names) {
    QUIPU_RETURN_IF_ERROR(present ? run->PutName(name.first, name.second) : run->DeleteName(name.first, name.second));
  }
  for (const auto& [at, event] : rows.events) {
    SettledEvent row = event.row;
    row.token = PackToken(event.token);
    QUIPU_RETURN_IF_ERROR(run->AddEvent(RefOf(at.first), row));
  }
  for (const auto& [print, home] : rows.tokens) {
    QUIPU_RETURN_IF_ERROR(run->AddToken(print, rows.events.at({std::get<0>(home), std::get<2>(home)}).row));
  }
  for (auto at = rows.sums.begin(); at != rows.sums.end();) {
    const ModelCounter& counter = at->first.first;
    const int64_t day_us = IntervalStart(Interval::kDay, at->first.second * kModelMinute);
    std::vector<MinuteSum> minutes;
    for (; at != rows.sums.end() && at->first.first == counter; ++at) {
      const int64_t within = at->first.second * kModelMinute - day_us;
      if (within >= IntervalWidth(Interval::kDay)) break;
      minutes.push_back({.minute = static_cast<uint16_t>(within / kModelMinute),
                         .sum = at->second.first,
                         .events = at->second.second});
    }
    QUIPU_RETURN_IF_ERROR(run->AddSums(RefOf(counter), day_us, minutes));
  }
  for (const auto& [key, value] : rows.meta) QUIPU_RETURN_IF_ERROR(run->PutMeta(key, value));
  return run->Commit();
}

inline void SettledModel::Apply(const ModelRun& run) {
  for (const auto& [counter, checkpoint] : run.counters) {
    if (checkpoint) {
      state_.counters[counter] = *checkpoint;
    } else {
      state_.counters.erase(counter);
    }
  }
  for (const auto& [name, present] : run.names) {
    if (present) {
      state_.names.insert(name);
    } else {
      state_.names.erase(name);
    }
  }
  for (const auto& [at, event] : run.events) state_.events[at.first][at.second] = event;
  for (const auto& [print, home] : run.tokens) {
    state_.tokens[print] = std::get<2>(home);
    token_homes_[print] = {std::get<0>(home), std::get<1>(home)};
  }
  for (const auto& [at, sum] : run.sums) {
    state_.sums[at].first += sum.first;
    state_.sums[at].second += sum.second;
  }
  for (const auto& [key, value] : run.meta) {
    if (value.empty()) {
      state_.meta.erase(key);
    } else {
      state_.meta[key] = value;
    }
  }
}

inline void SettledModel::DropTokensBefore(Micros commit_us) {
  std::erase_if(token_homes_, [&](const auto& token) {
    if (token.second.second / kModelSlice * kModelSlice + kModelSlice > commit_us) return false;
    state_.tokens.erase(token.first);
    return true;
  });
}

inline void SettledModel::DropEventsBefore(Micros commit_us) {
  DropTokensBefore(commit_us);
  for (auto& [counter, events] : state_.events) {
    std::erase_if(events, [&](const auto& event) {
      return event.second.row.commit_us / kModelSlice * kModelSlice + kModelSlice <= commit_us;
    });
  }
  std::erase_if(state_.events, [](const auto& counter) { return counter.second.empty(); });
}

inline Status SettledModel::CheckTokens(SettledStore* store) {
  for (const auto& [print, home] : token_homes_) {
    const auto& [counter, commit_us] = home;
    // Looking from later than the end of the slice need not find it.
    const Micros since = random_.OneIn(2) ? 0 : commit_us;
    QUIPU_ASSIGN_OR_RETURN(const auto found, store->FindToken(print, since));
    if (!found || *found != state_.events.at(counter).at(state_.tokens.at(print)).row)
      return Differs("a token's events");
    QUIPU_ASSIGN_OR_RETURN(const auto late, store->FindToken(print, commit_us + kModelSlice));
    if (late) return Differs("the slices of a token");
    const TokenPrint other{.hi = print.hi, .lo = print.lo ^ 1};
    QUIPU_ASSIGN_OR_RETURN(const auto none, store->FindToken(other, 0));
    if (none) return Differs("absent tokens");
  }
  // All of them at once, each beside one that is not there.
  std::vector<TokenLookup> lookups;
  for (const auto& [print, home] : token_homes_) {
    lookups.push_back({.print = print, .since_commit_us = home.second, .event = {}});
    lookups.push_back({.print = {.hi = print.hi, .lo = print.lo ^ 1}, .event = {}});
  }
  QUIPU_RETURN_IF_ERROR(store->FindTokens(lookups));
  size_t at = 0;
  for (const auto& [print, home] : token_homes_) {
    const TokenLookup& there = lookups[at++];
    if (!there.event || *there.event != state_.events.at(home.first).at(state_.tokens.at(print)).row)
      return Differs("tokens looked for at once");
    if (lookups[at++].event) return Differs("absent tokens looked for at once");
  }
  return OkStatus();
}

inline Result<ModelState> SettledModel::ReadState(SettledStore* store) const {
  ModelState state;
  for (NamespaceId ns = 0; ns < 4; ns++) {
    QUIPU_RETURN_IF_ERROR(store->ScanCounters(ns, 0, [&](const CounterRef& c, const Checkpoint& checkpoint) {
      state.counters[{c.ns, c.hash, std::string(c.name)}] = checkpoint;
      return true;
    }));
    QUIPU_RETURN_IF_ERROR(
        store->ScanNames(ns, "", "", [&](std::string_view name) { return state.names.emplace(ns, name).second; }));
  }
  QUIPU_ASSIGN_OR_RETURN(const auto meta, store->ListMeta(""));
  state.meta.insert(meta.begin(), meta.end());
  for (const auto& [key, value] : meta) {
    QUIPU_ASSIGN_OR_RETURN(const auto got, store->GetMeta(key));
    if (got != value) return Differs("meta rows, listed and got,");
  }
  std::map<ModelCounter, Checkpoint> visited;
  QUIPU_RETURN_IF_ERROR(
      store->VisitAll([&](const CounterRef& c, const Checkpoint* checkpoint, const std::vector<SettledEvent>& events) {
        const ModelCounter counter(c.ns, c.hash, c.name);
        if (checkpoint != nullptr) visited[counter] = *checkpoint;
        for (const SettledEvent& event : events) state.events[counter][event.position] = OwnEvent(event);
        return OkStatus();
      }));
  if (visited != state.counters) return Differs("counters, scanned and visited,");
  for (const ModelCounter& counter : all_) {
    QUIPU_ASSIGN_OR_RETURN(const auto got, store->GetCounter(RefOf(counter)));
    const auto scanned = state.counters.find(counter);
    if (got != (scanned == state.counters.end() ? std::nullopt : std::optional(scanned->second))) {
      return Differs("counters, scanned and got,");
    }
    std::map<Position, ModelEvent> events;
    Position last = 0;
    bool ascending = true;
    QUIPU_RETURN_IF_ERROR(store->ScanEvents(RefOf(counter), 0, [&](const SettledEvent& event) {
      ascending = ascending && event.position > last;
      last = event.position;
      events[event.position] = OwnEvent(event);
      return true;
    }));
    const auto there = state.events.find(counter);
    if (!ascending || events != (there == state.events.end() ? decltype(events)() : there->second)) {
      return Differs("events, scanned and visited,");
    }
    std::map<int64_t, std::pair<int64_t, uint64_t>> hours, days;
    const auto add_to = [](auto* sums, int64_t start, int64_t sum, uint64_t n) {
      (*sums)[start].first += sum;
      (*sums)[start].second += n;
      return true;
    };
    QUIPU_RETURN_IF_ERROR(store->ScanSums(RefOf(counter), Interval::kMinute, -kModelDays, kModelDays,
                                          [&](int64_t start, int64_t sum, uint64_t n) {
                                            state.sums[{counter, start / kModelMinute}] = {sum, n};
                                            add_to(&hours, IntervalStart(Interval::kHour, start), sum, n);
                                            return add_to(&days, IntervalStart(Interval::kDay, start), sum, n);
                                          }));
    for (const auto& [interval, expected] : {std::pair(Interval::kHour, &hours), std::pair(Interval::kDay, &days)}) {
      std::map<int64_t, std::pair<int64_t, uint64_t>> read;
      QUIPU_RETURN_IF_ERROR(
          store->ScanSums(RefOf(counter), interval, -kModelDays, kModelDays,
                          [&](int64_t start, int64_t sum, uint64_t n) { return add_to(&read, start, sum, n); }));
      if (read != *expected) return Differs("sums of minutes and of longer intervals");
    }
  }
  QUIPU_RETURN_IF_ERROR(store->VisitTokens([&](const TokenPrint& print, Position position) {
    state.tokens[print] = position;
    return OkStatus();
  }));
  return state;
}

}  // namespace quipu::store
