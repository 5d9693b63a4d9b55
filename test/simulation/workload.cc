#include "test/simulation/workload.h"

#include <algorithm>

#include "base/assert.h"
#include "model/name.h"
#include "model/token.h"

namespace quipu::simulation {
namespace {

constexpr Micros kSecond = 1'000'000;

std::string Ulid(uint64_t ms, uint64_t a, uint64_t b) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string text(26, '0');
  for (int i = 9; i >= 0; --i, ms /= 32) text[static_cast<size_t>(i)] = kDigits[ms % 32];
  for (size_t i = 10; i < 18; ++i, a /= 32) text[i] = kDigits[a % 32];
  for (size_t i = 18; i < 26; ++i, b /= 32) text[i] = kDigits[b % 32];
  return text;
}

}  // namespace

Workload::Workload(uint64_t seed, const Scenario& scenario, Model* model) : random_(seed, "workload"), model_(model) {
  sim::SimRandom swarm(seed, "swarm.workload");
  counter_count_ = swarm.Skewed(static_cast<uint64_t>(scenario.DrawInt("counters", &swarm)));
  batch_max_ = swarm.Skewed(static_cast<uint64_t>(scenario.DrawInt("batch", &swarm)));
  batch_least_ = static_cast<size_t>(scenario.DrawInt("batch_least", &swarm));
  fresh_adds_ = scenario.Draw("fresh_adds", &swarm);
  const int64_t extra = scenario.DrawInt("namespaces", &swarm) - 1;
  for (int64_t i = 0; i < extra; ++i) {
    NamespaceSettings s;
    DrawSettings(/*durability_too=*/true, &swarm, &s);
    namespaces_.push_back(s);
  }
  for (uint64_t& w : weights_) w = swarm.Below(3) == 0 ? 0 : swarm.Skewed(100);
  weights_[kAdd] += 1;
  for (uint64_t w : weights_) weight_sum_ += w;
  const auto share = [&swarm] { return swarm.Below(3) == 0 ? 0.0 : static_cast<double>(swarm.Below(100)) / 100; };
  tokenless_ = share();
  if (const double fixed = scenario.Draw("tokenless", &swarm); fixed >= 0) tokenless_ = fixed;
  atomic_ = share();
  if (const double fixed = scenario.Draw("atomic", &swarm); fixed >= 0) atomic_ = fixed;
  all_or_nothing_ = share() / 2;
  from_source_ = share() / 4;
  huge_delta_ = share();
  hot_ = share();
  odd_time_ = share() / 4;
  change_namespace_ = share() / 50;
  one_shard_ = share();
}

void Workload::DrawSettings(bool durability_too, sim::SimRandom* random, NamespaceSettings* s) {
  const uint64_t d = random->Below(5);
  if (durability_too) s->durability = d == 0 ? Durability::kAsync : d == 1 ? Durability::kMemory : Durability::kSync;
  s->token_horizon_ms = 1000 * static_cast<int64_t>(random->Skewed(7 * 86400));
  s->token_skew_ms = random->Between(0, 3600) * 1000;
  s->token_required = random->Below(4) == 0;
  s->event_retention_ms = std::max<int64_t>(s->token_horizon_ms, 86400 * 1000);
  s->counters_max = random->Below(3) == 0 ? random->Between(1, 50) : 0;
}

std::optional<NamespaceSettings> Workload::ChangedSettings(NamespaceId id) {
  if (!random_.Chance(change_namespace_)) return std::nullopt;
  NamespaceSettings s = model_->settings(id);
  DrawSettings(id % 2 == 1, &random_, &s);
  return s;
}

void Workload::MakeCounters(const std::vector<NamespaceId>& ids) {
  for (size_t i = 0; i < counter_count_; ++i) {
    const NamespaceId ns = ids[random_.Below(ids.size())];
    std::string name = fmt::format("c{}", i);
    const uint64_t form = random_.Below(20);
    if (form == 0) name = fmt::format("group{}[f{}]", i / 7, i);
    if (form == 1) name = fmt::format("zähler/✓/{}", i);
    if (form == 2) name += std::string(static_cast<size_t>(random_.Skewed(kCounterNameBytesMax - name.size())), 'x');
    const uint64_t hash = HashCounter(ns, name);
    const bool adds_only = i > 0 && random_.Below(3) == 0;
    const int index = model_->AddCounter(ns, std::move(name), hash, adds_only);
    (adds_only ? adds_only_ : mixed_).push_back(index);
  }
  if (adds_only_.empty()) adds_only_ = mixed_;
}

int Workload::PickCounter(bool adds_only) {
  const std::vector<int>& pool = adds_only ? adds_only_ : mixed_;
  if (random_.Chance(hot_)) return pool[0];
  return pool[random_.Below(pool.size())];
}

int Workload::PickToken() {
  const uint64_t n = model_->tokens().size();
  // Recent ones and any.
  return static_cast<int>(random_.Below(2) == 0 ? random_.Below(n) : n - random_.Skewed(n));
}

int64_t Workload::DrawDelta() {
  if (random_.Chance(huge_delta_)) {
    if (random_.Below(50) == 0)
      return random_.Between(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
    return random_.Between(-(int64_t{1} << 32), int64_t{1} << 32);
  }
  const auto magnitude = static_cast<int64_t>(random_.Skewed(1000));
  return random_.Below(4) == 0 ? -magnitude : magnitude;
}

Content Workload::DrawContent(Kind kind, Micros wall_us) {
  Content c;
  switch (kind) {
    case kTicket:
      c.delta = 1;
      return c;
    case kClear:
      c.kind = OpKind::kClear;
      c.remove = random_.Below(4) == 0;
      break;
    case kSet:
      c.kind = OpKind::kSet;
      c.delta = DrawDelta();
      c.condition = static_cast<Condition>(random_.Below(3));
      break;
    case kDelete:
      c.kind = OpKind::kDelete;
      break;
    case kExpire:
      c.kind = OpKind::kExpire;
      break;
    case kBounded: {
      c.delta = DrawDelta();
      c.bounded = random_.Below(4) != 0;
      c.saturate = !c.bounded || random_.Below(2) == 0;
      if (c.bounded) {
        c.floor = random_.Below(3) == 0 ? std::numeric_limits<int64_t>::min() : random_.Between(-2000, 0);
        c.ceiling = random_.Below(3) == 0 ? std::numeric_limits<int64_t>::max() : random_.Between(0, 2000);
      }
      c.condition = random_.Below(4) == 0 ? static_cast<Condition>(random_.Below(3)) : Condition::kNone;
      break;
    }
    default:
      c.delta = DrawDelta();
      break;
  }
  const bool may_expire = kind == kExpire || ((kind == kSet || kind == kBounded) && random_.Below(4) == 0);
  if (may_expire) {
    constexpr std::array kRules = {ExpireRule::kClear,          ExpireRule::kSet,        ExpireRule::kSetIfNone,
                                   ExpireRule::kSetIfAny,       ExpireRule::kSetIfLater, ExpireRule::kSetIfEarlier,
                                   ExpireRule::kSetIfAnyEarlier};
    c.expire_rule = kRules[random_.Below(kRules.size())];
    if (c.expire_rule != ExpireRule::kClear) {
      const auto away = static_cast<int64_t>(random_.Skewed(2 * 86400 * 1000));
      c.expire_at_ms = std::max<int64_t>(1, wall_us / 1000 + (random_.Below(8) == 0 ? -away : away));
    }
  }
  return c;
}

std::string Workload::NewTokenText(Micros wall_us, const NamespaceSettings& settings, Micros* own_us) {
  const uint64_t form = random_.Below(5);
  Micros time = wall_us;
  const Micros horizon = settings.token_horizon_ms * 1000;
  if (random_.Chance(odd_time_)) {
    switch (random_.Below(5)) {
      case 0:
        time = wall_us - random_.Between(0, horizon);
        break;
      case 1:
        time = wall_us - horizon - 1000 * random_.Between(-1, 1);
        break;
      case 2:
        time = wall_us - horizon - random_.Between(0, horizon);
        break;
      case 3:
        time = wall_us + settings.token_skew_ms * 1000 + 1000 * random_.Between(-1, 1);
        break;
      default:
        time = wall_us + random_.Between(0, 2 * settings.token_skew_ms * 1000);
        break;
    }
    time = std::max<Micros>(time, kSecond);
  }
  const int64_t ms = time / 1000;
  if (form <= 1) {
    *own_us = ms * 1000;
    return MakeUuidV7(ms, random_.Next(), random_.Next());
  }
  if (form == 2) {
    *own_us = ms * 1000;
    return Ulid(static_cast<uint64_t>(ms), random_.Next(), random_.Next());
  }
  *own_us = kNoTime;
  std::string text = fmt::format("t{:x}", random_.Next());
  if (random_.Below(10) == 0) text += std::string(kTokenBytesMax - text.size(), '.');
  return text;
}

void Workload::GiveToken(Request* request, Micros wall_us) {
  const Counter& counter = model_->counters()[static_cast<size_t>(request->counter)];
  const NamespaceSettings& settings = model_->settings(counter.ns);
  if (!settings.token_required && random_.Chance(tokenless_)) return;
  if (settings.token_required && random_.Below(50) == 0) return;
  Token token;
  token.counter = request->counter;
  token.content = request->content;
  // The same text on another counter is another token.
  if (!model_->tokens().empty() && random_.Below(20) == 0) {
    const Token& other = model_->tokens()[static_cast<size_t>(PickToken())];
    if (other.own_us == kNoTime &&
        !texts_.contains(HashCounter(static_cast<NamespaceId>(request->counter), other.text)))
      token.text = other.text;
  }
  if (token.text.empty()) token.text = NewTokenText(wall_us, settings, &token.own_us);
  texts_.insert(HashCounter(static_cast<NamespaceId>(request->counter), token.text));
  if (token.own_us == kNoTime && random_.Below(2) == 0) {
    token.first_time_us = wall_us - (random_.Below(4) == 0 ? static_cast<Micros>(random_.Skewed(3600)) * kSecond : 0);
    if (random_.Chance(odd_time_)) {
      token.first_time_us = wall_us - settings.token_horizon_ms * 1000 + random_.Between(-1, 1);
    }
  }
  request->token_time_us = token.first_time_us;
  request->token = model_->AddToken(std::move(token));
}

Request Workload::DrawMutation(Kind kind, Micros wall_us) {
  Request r;
  const bool plain = kind == kTicket || (kind == kAdd && random_.Below(2) == 0);
  r.counter = PickCounter(plain);
  r.content = DrawContent(kind, wall_us);
  r.kind = r.content.kind;
  if (random_.Below(16) == 0) r.event_time_us = wall_us - random_.Between(-3600, 86400) * kSecond;
  GiveToken(&r, wall_us);
  return r;
}

Request Workload::Draw(Micros wall_us) {
  if (random_.Chance(fresh_adds_)) return DrawMutation(kAdd, wall_us);
  uint64_t draw = random_.Below(weight_sum_);
  size_t kind = 0;
  while (draw >= weights_[kind]) draw -= weights_[kind++];
  const bool has_tokens = !model_->tokens().empty();
  switch (kind) {
    case kRetry:
    case kRestamped:
    case kAltered:
    case kOutcome: {
      if (!has_tokens) return DrawMutation(kAdd, wall_us);
      Request r;
      r.token = PickToken();
      const Token& token = model_->tokens()[static_cast<size_t>(r.token)];
      r.counter = token.counter;
      r.content = token.content;
      r.kind = r.content.kind;
      r.token_time_us = token.first_time_us;
      if (kind == kOutcome) r.kind = OpKind::kTokenOutcome;
      if (kind == kRestamped) r.token_time_us = wall_us;
      if (kind == kAltered) {
        if (r.kind == OpKind::kAdd || r.kind == OpKind::kSet) {
          r.content.delta += r.content.delta == std::numeric_limits<int64_t>::max() ? -1 : 1;
        } else {
          r.content = Content{.delta = 7};
          r.kind = OpKind::kAdd;
        }
      }
      return r;
    }
    case kGet: {
      Request r;
      r.counter = PickCounter(random_.Below(2) == 0);
      return r;
    }
    case kCheck: {
      if (versions_.empty()) return DrawMutation(kAdd, wall_us);
      const Model::SeenVersion& seen = versions_[random_.Below(versions_.size())];
      Request r;
      r.kind = OpKind::kCheckVersion;
      r.counter = seen.counter;
      r.expected_version = seen.version;
      r.changes_then = seen.changes;
      r.events_then = seen.events;
      return r;
    }
    default:
      return DrawMutation(static_cast<Kind>(kind), wall_us);
  }
}

void Workload::SawVersions() {
  for (const Model::SeenVersion& seen : model_->versions_seen()) versions_.push_back(seen);
  while (versions_.size() > 50) versions_.pop_front();
}

std::unique_ptr<ClientBatch> Workload::Build(std::vector<Request> requests) {
  auto client = std::make_unique<ClientBatch>();
  client->number = next_batch_++;
  client->requests = std::move(requests);
  client->ops.resize(client->requests.size());
  for (size_t i = 0; i < client->ops.size(); ++i) {
    const Request& r = client->requests[i];
    const Counter& counter = model_->counters()[static_cast<size_t>(r.counter)];
    Op& op = client->ops[i];
    op.kind = r.kind;
    op.ns = counter.ns;
    op.hash = counter.hash;
    op.name = counter.name;
    if (r.token >= 0) op.token = model_->tokens()[static_cast<size_t>(r.token)].text;
    op.condition = r.content.condition;
    op.expire_rule = r.content.expire_rule;
    op.saturate = r.content.saturate;
    op.bounded = r.content.bounded;
    op.remove = r.content.remove;
    op.delta = r.content.delta;
    op.floor = r.content.floor;
    op.ceiling = r.content.ceiling;
    op.expire_at_ms = r.content.expire_at_ms;
    op.token_time_us = r.token_time_us;
    op.event_time_us = r.event_time_us;
    op.expected_version = r.expected_version;
  }
  client->batch.ops = client->ops;
  client->batch.owner = client.get();
  return client;
}

namespace {

// Marks and the reader follow from the step's offsets.
void SetMarks(ClientBatch* client) {
  store::SourceStep& step = client->source;
  for (const uint64_t part : {uint64_t{4}, uint64_t{2}, uint64_t{1}}) {
    const uint64_t offset = step.from + (step.to - step.from) / part;
    if (offset <= (client->source_marks.empty() ? step.from : client->source_marks.back().offset)) continue;
    client->source_marks.push_back(
        {.offset = offset, .fingerprint = {offset, part}, .taken = offset % 7, .refused = offset % 3});
  }
  step.marks = client->source_marks;
  step.refused = step.to % 5;
  step.reader = step.to % 2 == 0 ? store::SourceReader::kNew : store::SourceReader::kSame;
}

}  // namespace

std::unique_ptr<ClientBatch> Workload::Next(Micros wall_us) {
  std::vector<Request> requests(std::max<size_t>(batch_least_, random_.Skewed(batch_max_)));
  for (Request& r : requests) r = Draw(wall_us);
  if (model_->shards() > 1 && random_.Chance(one_shard_)) {
    const auto shard_of = [this](const Request& r) { return model_->counters()[static_cast<size_t>(r.counter)].shard; };
    std::erase_if(requests, [&, first = shard_of(requests[0])](const Request& r) { return shard_of(r) != first; });
  }
  auto client = Build(std::move(requests));
  client->batch.atomic = random_.Chance(atomic_);
  client->batch.all_or_nothing = random_.Chance(all_or_nothing_);
  if (random_.Chance(from_source_)) {
    if (sources_.empty() || random_.Below(10) == 0) {
      sources_.push_back({.id = {random_.Next(), random_.Next()}, .anchor = {random_.Below(kSourceAnchors), 7}});
    }
    const Source& source = sources_[random_.Below(sources_.size())];
    const auto known = model_->sources().find(source.id);
    const uint64_t stands = known == model_->sources().end() ? 0 : known->second.offset;
    client->label = fmt::format("log-{}", source.id.lo % 100);
    client->source = {
        .id = source.id, .anchor = source.anchor, .fingerprint = {stands, 1}, .from = stands, .label = client->label};
    if (random_.Below(4) == 0 && stands > 0) client->source.from = random_.Below(stands);  // a replay
    client->source.to = client->source.from + random_.Skewed(100000);
    SetMarks(client.get());
    client->batch.source = &client->source;
  }
  return client;
}

std::unique_ptr<ClientBatch> Workload::Reads(size_t first, size_t count) {
  std::vector<Request> requests;
  for (size_t i = first; i < std::min(first + count, model_->counters().size()); ++i) {
    requests.push_back({.counter = static_cast<int>(i)});
  }
  return Build(std::move(requests));
}

std::unique_ptr<ClientBatch> Workload::Outcomes(const std::vector<int>& tokens, size_t first, size_t count) {
  std::vector<Request> requests;
  for (size_t i = first; i < std::min(first + count, tokens.size()); ++i) {
    const Token& token = model_->tokens()[static_cast<size_t>(tokens[i])];
    requests.push_back({.kind = OpKind::kTokenOutcome, .counter = token.counter, .token = tokens[i]});
  }
  return Build(std::move(requests));
}

std::unique_ptr<ClientBatch> Workload::Retries(const std::vector<int>& tokens, size_t first, size_t count) {
  std::vector<Request> requests;
  for (size_t i = first; i < std::min(first + count, tokens.size()); ++i) {
    const Token& token = model_->tokens()[static_cast<size_t>(tokens[i])];
    requests.push_back({.kind = token.content.kind,
                        .counter = token.counter,
                        .token = tokens[i],
                        .content = token.content,
                        .token_time_us = token.first_time_us});
  }
  return Build(std::move(requests));
}

}  // namespace quipu::simulation
