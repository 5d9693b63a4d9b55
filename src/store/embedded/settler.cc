#include "store/embedded/settler.h"

#include <xxhash.h>

#include <map>

#include "base/plant.h"
#include "base/varint.h"
#include "model/name.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

char* PutBig32(char* p, uint32_t v) { return PutFixed(p, __builtin_bswap32(v)); }
char* PutBig64(char* p, uint64_t v) { return PutFixed(p, __builtin_bswap64(v)); }

struct Frame {
  FrameHeader header;
  std::string payload;
};

// One counter record of the range, by reference into its frame.
struct Item {
  uint64_t hash;
  NamespaceId ns;
  uint32_t frame;
  uint32_t offset;   // in the frame's payload
  uint32_t ordinal;  // in the frame: position - header.first
};

struct TokenRow {
  TokenPrint print;
  uint32_t item;  // ascends with the position among those of one counter, and so of one print
};

struct SumKey {
  Interval interval;
  int64_t start_us;
  auto operator<=>(const SumKey&) const = default;
};
struct SumValue {
  __int128 sum = 0;
  uint64_t events = 0;
};

class SettleJob {
 public:
  explicit SettleJob(const SettleInput& input) : in_(input) {}

  Status Run(SettleOutcome* out) {
    QUIPU_RETURN_IF_ERROR(Load());
    QUIPU_RETURN_IF_ERROR(Index());
    Sort();
    QUIPU_ASSIGN_OR_RETURN(run_, in_.settled->BeginRun());
    QUIPU_RETURN_IF_ERROR(WriteCounters());
    QUIPU_RETURN_IF_ERROR(WriteNames());
    QUIPU_RETURN_IF_ERROR(WriteTokens());
    QUIPU_RETURN_IF_ERROR(WriteMeta());
    QUIPU_RETURN_IF_ERROR(run_->Commit());
    out->settled = reached_;
    out->commit_us = commit_us_;
    out->newest_own_us = newest_own_us_;
    out->records = items_.size();
    return OkStatus();
  }

 private:
  Status Load() {
    size_t bytes = 0;
    Status s = ReadFrames(in_.disk, in_.journal_dir, in_.segments, in_.after, in_.through,
                          [&](const FrameHeader& h, std::string_view payload) {
                            if (bytes > in_.bytes_max) return Status(Code::kConditionNotMet, "enough for one run");
                            bytes += payload.size();
                            frames_.push_back({.header = h, .payload = std::string(payload)});
                            return OkStatus();
                          });
    if (!s.ok() && s.code() != Code::kConditionNotMet) return s;
    QUIPU_ASSERT(!frames_.empty(), "nothing between {} and {}", in_.after, in_.through);
    reached_ = frames_.back().header.first + frames_.back().header.records - 1;
    commit_us_ = frames_.back().header.commit_us;
    QUIPU_ASSIGN_OR_RETURN(auto position, in_.settled->GetMeta(PositionKey(in_.generation, in_.shard)));
    SettledPosition before;
    if (position && !DecodeSettledPosition(*position, &before))
      return Status(Code::kDataLoss, "the settled position does not decode");
    newest_own_us_ = before.newest_own_us;
    return OkStatus();
  }

  Status Index() {
    Record r;
    for (uint32_t f = 0; f < frames_.size(); ++f) {
      const Frame& frame = frames_[f];
      const char* begin = frame.payload.data();
      const char* end = begin + frame.payload.size();
      const char* p = begin;
      for (uint32_t i = 0; i < frame.header.records; ++i) {
        const char* at = p;
        if (!DecodeRecord(&p, end, frame.header.commit_us, &r)) {
          return Status(Code::kDataLoss,
                        fmt::format("position {}: the record does not decode", frame.header.first + i));
        }
        if (frame.header.first + i <= in_.after) continue;
        switch (r.type) {
          case RecordType::kCounter:
            items_.push_back({.hash = HashCounter(r.counter.ns, r.counter.name),
                              .ns = r.counter.ns,
                              .frame = f,
                              .offset = static_cast<uint32_t>(at - begin),
                              .ordinal = i});
            count_change_[r.counter.ns] += (r.counter.exists ? 1 : 0) - (r.counter.existed ? 1 : 0);
            break;
          case RecordType::kNamespace:
            namespaces_[r.ns.id] = std::string_view(at, static_cast<size_t>(p - at));
            break;
          case RecordType::kSource:
            sources_[{r.source.id[0], r.source.id[1]}] = std::string_view(at, static_cast<size_t>(p - at));
            break;
          case RecordType::kStep:
            break;
        }
      }
    }
    return OkStatus();
  }

  void Decode(const Item& item, CounterRecord* out) const {
    const Frame& frame = frames_[item.frame];
    const char* p = frame.payload.data() + item.offset;
    Record r;
    bool ok = DecodeRecord(&p, frame.payload.data() + frame.payload.size(), frame.header.commit_us, &r);
    QUIPU_ASSERT(ok, "a record that decoded before does not decode now");
    *out = r.counter;
  }

  // By namespace, hash, name, position. Frames and ordinals ascend with the position.
  void Sort() {
    std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) {
      if (a.ns != b.ns) return a.ns < b.ns;
      if (a.hash != b.hash) return a.hash < b.hash;
      if (a.frame != b.frame) return a.frame < b.frame;
      return a.ordinal < b.ordinal;
    });
    // Equal hashes of different names: rare enough to look at afterwards.
    for (size_t i = 0; i < items_.size();) {
      size_t j = i + 1;
      bool mixed = false;
      CounterRecord first, other;
      Decode(items_[i], &first);
      while (j < items_.size() && items_[j].hash == items_[i].hash && items_[j].ns == items_[i].ns) {
        Decode(items_[j], &other);
        mixed |= other.name != first.name;
        ++j;
      }
      if (mixed) {
        std::stable_sort(items_.begin() + static_cast<ptrdiff_t>(i), items_.begin() + static_cast<ptrdiff_t>(j),
                         [this](const Item& a, const Item& b) {
                           CounterRecord x, y;
                           Decode(a, &x);
                           Decode(b, &y);
                           return x.name < y.name;
                         });
      }
      i = j;
    }
  }

  Status WriteCounters() {
    CounterRecord r, last;
    std::string token;
    for (size_t i = 0; i < items_.size();) {
      Decode(items_[i], &r);
      CounterRef counter{.ns = items_[i].ns, .hash = items_[i].hash, .name = r.name};
      bool existed_first = r.existed;
      bool changed = false;
      std::map<SumKey, SumValue> sums;
      Position last_position = 0;
      for (; i < items_.size() && items_[i].hash == counter.hash && items_[i].ns == counter.ns; ++i) {
        Decode(items_[i], &r);
        if (r.name != counter.name) break;
        const FrameHeader& header = frames_[items_[i].frame].header;
        Position position = header.first + items_[i].ordinal;
        TokenText(r.token_form, r.token, &token);
        Micros own_us = token.empty() ? kNoTime : TokenOwnTime(token);
        QUIPU_RETURN_IF_ERROR(run_->AddEvent(counter, EventOf(r, position, token, header.commit_us)));
        if (!token.empty()) {
          tokens_.push_back({.print = MakeTokenPrint(in_.token_seed, counter.hash, counter.ns, counter.name, token),
                             .item = static_cast<uint32_t>(i)});
          newest_own_us_ = std::max(newest_own_us_, own_us);
        }
        if (r.outcome == Outcome::kRefused) continue;
        if (r.kind == OpKind::kAdd) {
          for (Interval interval : {Interval::kMinute, Interval::kHour, Interval::kDay}) {
            SumValue& sum = sums[{interval, IntervalStart(interval, r.event_us)}];
            sum.sum += r.applied;
            sum.events += r.events;
          }
        }
        last = r;
        last_position = position;
        changed = true;
      }
      for (const auto& [key, sum] : sums) {
        QUIPU_RETURN_IF_ERROR(run_->AddSum(counter, key.interval, key.start_us, sum.sum, sum.events));
      }
      if (!changed) continue;
      if (last.exists) {
        QUIPU_RETURN_IF_ERROR(run_->PutCounter(counter, {.value = last.value,
                                                         .position = last_position,
                                                         .expiry_ms = QUIPU_PLANTED(130) ? 0 : last.expiry_ms,
                                                         .last_write_us = last.last_write_us}));
        if (last.expiry_ms != 0) expiry_rows_.push_back(ExpiryKey(last.expiry_ms, counter.ns, counter.hash));
        if (!existed_first) names_.push_back({counter.ns, counter.name, true});
      } else {
        if (!QUIPU_PLANTED(135)) QUIPU_RETURN_IF_ERROR(run_->DeleteCounter(counter));
        if (existed_first && !QUIPU_PLANTED(132)) names_.push_back({counter.ns, counter.name, false});
      }
    }
    return OkStatus();
  }

  Status WriteNames() {
    std::sort(names_.begin(), names_.end(),
              [](const NameRow& a, const NameRow& b) { return std::pair(a.ns, a.name) < std::pair(b.ns, b.name); });
    for (const NameRow& row : names_) {
      QUIPU_RETURN_IF_ERROR(row.exists ? run_->PutName(row.ns, row.name) : run_->DeleteName(row.ns, row.name));
    }
    return OkStatus();
  }

  Status WriteTokens() {
    std::sort(tokens_.begin(), tokens_.end(), [](const TokenRow& a, const TokenRow& b) {
      return std::tie(a.print, a.item) < std::tie(b.print, b.item);
    });
    CounterRecord r;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      // A token whose protection was over may come again within one run: the later one counts.
      if (i + 1 < tokens_.size() && tokens_[i + 1].print == tokens_[i].print) continue;
      const Item& item = items_[tokens_[i].item];
      const FrameHeader& header = frames_[item.frame].header;
      Decode(item, &r);
      QUIPU_RETURN_IF_ERROR(
          run_->AddToken(tokens_[i].print, EventOf(r, header.first + item.ordinal, {}, header.commit_us)));
    }
    return OkStatus();
  }

  // In the order of their keys: count/, expiry/, ns/, position/, source/.
  Status WriteMeta() {
    std::map<std::string, std::string> rows;
    for (const auto& [ns, change] : count_change_) {
      std::string key = CountKey(in_.shard, ns);
      QUIPU_ASSIGN_OR_RETURN(auto before, in_.settled->GetMeta(key));
      uint64_t count = 0;
      if (before && !GetVarint(before->data(), before->data() + before->size(), &count)) {
        return Status(Code::kDataLoss, "a settled count does not decode");
      }
      char buffer[kVarintBytesMax];
      count += static_cast<uint64_t>(change);
      rows[key] = std::string(buffer, static_cast<size_t>(PutVarint(buffer, count) - buffer));
    }
    for (const std::string& key : expiry_rows_) rows[key] = "1";
    QUIPU_RETURN_IF_ERROR(DropSpentExpiries(&rows));
    for (const auto& [id, record] : namespaces_) rows[NamespaceKey(id)] = std::string(record);
    for (const auto& [id, record] : sources_) rows[SourceKey(id.first, id.second)] = std::string(record);
    rows[PositionKey(in_.generation, in_.shard)] =
        EncodeSettledPosition({.position = reached_, .commit_us = commit_us_, .newest_own_us = newest_own_us_});
    for (const auto& [key, value] : rows) QUIPU_RETURN_IF_ERROR(run_->PutMeta(key, value));
    return OkStatus();
  }

  // An expiry row goes once its time is past and no settled counter has that expiry any more. A bounded number a run.
  Status DropSpentExpiries(std::map<std::string, std::string>* rows) {
    struct Due {
      std::string key;
      int64_t expiry_ms;
      NamespaceId ns;
      uint64_t hash;
    };
    std::vector<Due> due;
    bool decodes = true;
    QUIPU_RETURN_IF_ERROR(in_.settled->VisitMeta(kExpiryPrefix, [&](std::string_view key, std::string_view) {
      Due d{.key = std::string(key), .expiry_ms = 0, .ns = 0, .hash = 0};
      decodes = DecodeExpiryKey(key, &d.expiry_ms, &d.ns, &d.hash);
      if (!decodes || d.expiry_ms >= commit_us_ / 1000) return false;
      due.push_back(std::move(d));
      return due.size() < kSpentExpiriesMax;
    }));
    if (!decodes) return Status(Code::kDataLoss, "a settled expiry row does not decode");
    for (const Due& d : due) {
      bool needed = false;
      QUIPU_RETURN_IF_ERROR(in_.settled->ScanCounters(d.ns, d.hash, [&](const CounterRef& c, const Checkpoint& k) {
        if (c.hash != d.hash) return false;
        needed |= k.expiry_ms == d.expiry_ms;
        return true;
      }));
      if (!needed) rows->emplace(d.key, "");
    }
    return OkStatus();
  }

  static constexpr size_t kSpentExpiriesMax = 100'000;
  struct NameRow {
    NamespaceId ns;
    std::string_view name;
    bool exists;
  };

  const SettleInput& in_;
  std::unique_ptr<SettleRun> run_;
  std::vector<Frame> frames_;
  std::vector<Item> items_;
  std::vector<TokenRow> tokens_;
  std::vector<NameRow> names_;
  std::vector<std::string> expiry_rows_;
  std::map<NamespaceId, int64_t> count_change_;
  std::map<NamespaceId, std::string_view> namespaces_;
  std::map<std::pair<uint64_t, uint64_t>, std::string_view> sources_;
  Position reached_ = 0;
  Micros commit_us_ = 0;
  Micros newest_own_us_ = kNoTime;
};

}  // namespace

SettleOutcome Settle(const SettleInput& input) {
  SettleOutcome out;
  std::lock_guard changing(input.settled->changing());
  out.status = SettleJob(input).Run(&out);
  return out;
}

TokenResult ResultOf(const CounterRecord& r, Position position, Micros own_us, Micros commit_us) {
  TokenResult t;
  t.kind = r.kind;
  t.outcome = r.outcome;
  t.existed = r.existed;
  t.exists = r.exists;
  t.delta = r.kind == OpKind::kAdd || r.kind == OpKind::kSet ? r.delta : 0;
  t.value = r.value;
  t.applied = r.applied;
  t.expiry_ms = r.expiry_ms;
  t.event_us = r.event_us;
  t.last_write_us = r.last_write_us;
  t.kept_from_us = TokenKeptFrom(own_us, commit_us);
  t.position = position;
  t.content = r.content;
  if (t.content == 0 && r.token_form != TokenForm::kNone) {
    // A plain add's digest follows from its delta and is not stored.
    Op op;
    op.kind = OpKind::kAdd;
    op.delta = r.delta;
    t.content = ContentDigest(op);
  }
  return t;
}

SettledEvent EventOf(const CounterRecord& r, Position position, std::string_view token, Micros commit_us) {
  return {.position = position,
          .kind = r.kind,
          .outcome = r.outcome,
          .existed = r.existed,
          .exists = r.exists,
          .events = r.events,
          .delta = r.kind == OpKind::kAdd || r.kind == OpKind::kSet ? r.delta : 0,
          .applied = r.applied,
          .value = r.value,
          .expiry_ms = r.expiry_ms,
          .event_us = r.event_us,
          .last_write_us = r.last_write_us,
          .commit_us = commit_us,
          .content = r.content,
          .token = token};
}

int64_t IntervalStart(Interval interval, Micros event_us) {
  constexpr int64_t kMinuteUs = 60'000'000, kHourUs = 60 * kMinuteUs, kDayUs = 24 * kHourUs;
  int64_t width = interval == Interval::kMinute ? kMinuteUs : interval == Interval::kHour ? kHourUs : kDayUs;
  int64_t us = std::max(event_us, std::numeric_limits<int64_t>::min() + kDayUs);
  int64_t within = us % width;
  return us - (within < 0 ? within + width : within);
}

bool BeginsStep(std::string_view payload, Micros frame_us, StepRecord* step) {
  const char* p = payload.data();
  Record r;
  if (payload.empty() || (payload[0] & 7) != static_cast<int>(RecordType::kStep) ||
      !DecodeRecord(&p, payload.data() + payload.size(), frame_us, &r)) {
    return false;
  }
  *step = r.step;
  return true;
}

TokenPrint MakeTokenPrint(uint64_t seed, uint64_t counter_hash, NamespaceId ns, std::string_view name,
                          std::string_view token) {
  // The namespace is no part of the seed: for short inputs XXH3 adds the seed to the bytes, so that "c16" in namespace
  // 1 and "c17" in namespace 2 would be one counter here.
  uint64_t counter = XXH3_64bits_withSeed(name.data(), name.size(), seed) ^ ns * 0x9E3779B97F4A7C15ull ^ counter_hash;
  if (QUIPU_PLANTED(126)) counter = seed;
  XXH128_hash_t h = XXH3_128bits_withSeed(token.data(), token.size(), counter);
  return {.hi = h.high64, .lo = h.low64};
}

std::string PositionKey(std::string_view generation, uint32_t shard) {
  return fmt::format("{}{}/{:08x}", kPositionPrefix, generation, shard);
}

std::string EncodeSettledPosition(const SettledPosition& p) {
  char buffer[3 * kVarintBytesMax];
  char* end = PutVarint(buffer, p.position);
  end = PutSigned(end, p.commit_us);
  end = PutSigned(end, p.newest_own_us);
  return std::string(buffer, static_cast<size_t>(end - buffer));
}

bool DecodeSettledPosition(std::string_view bytes, SettledPosition* p) {
  const char* end = bytes.data() + bytes.size();
  const char* at = GetVarint(bytes.data(), end, &p->position);
  if (!at || !(at = GetSigned(at, end, &p->commit_us)) || !(at = GetSigned(at, end, &p->newest_own_us))) return false;
  return at == end;
}

std::string CountKey(uint32_t shard, NamespaceId ns) {
  char buffer[8];
  PutBig32(PutBig32(buffer, shard), ns);
  return std::string(kCountPrefix) + std::string(buffer, sizeof buffer);
}
bool DecodeCountKey(std::string_view key, uint32_t* shard, NamespaceId* ns) {
  if (key.size() != kCountPrefix.size() + 8 || !key.starts_with(kCountPrefix)) return false;
  *shard = __builtin_bswap32(GetFixed<uint32_t>(key.data() + kCountPrefix.size()));
  *ns = __builtin_bswap32(GetFixed<uint32_t>(key.data() + kCountPrefix.size() + 4));
  return *ns <= kNamespaceIdMax;
}
std::string NamespaceKey(NamespaceId ns) {
  char buffer[4];
  PutBig32(buffer, ns);
  return std::string(kNamespacePrefix) + std::string(buffer, sizeof buffer);
}
std::string SourceKey(uint64_t hi, uint64_t lo) {
  char buffer[16];
  PutBig64(PutBig64(buffer, hi), lo);
  return std::string(kSourcePrefix) + std::string(buffer, sizeof buffer);
}
std::string ExpiryKey(int64_t expiry_ms, NamespaceId ns, uint64_t hash) {
  char buffer[20];
  PutBig64(PutBig32(PutBig64(buffer, static_cast<uint64_t>(expiry_ms)), ns), hash);
  return std::string(kExpiryPrefix) + std::string(buffer, sizeof buffer);
}
bool DecodeExpiryKey(std::string_view key, int64_t* expiry_ms, NamespaceId* ns, uint64_t* hash) {
  if (key.size() != kExpiryPrefix.size() + 20 || !key.starts_with(kExpiryPrefix)) return false;
  const char* p = key.data() + kExpiryPrefix.size();
  *expiry_ms = static_cast<int64_t>(__builtin_bswap64(GetFixed<uint64_t>(p)));
  *ns = __builtin_bswap32(GetFixed<uint32_t>(p + 8));
  *hash = __builtin_bswap64(GetFixed<uint64_t>(p + 12));
  return *expiry_ms > 0 && *ns <= kNamespaceIdMax;
}

}  // namespace quipu::store
