#include "store/embedded/settler.h"

#include <map>

#include "base/plant.h"
#include "base/varint.h"
#include "model/name.h"
#include "rt/table_memory.h"
#include "store/embedded/sort_rows.h"
#include "store/token_rules.h"

namespace quipu::store {
namespace {

// One counter record of the range, by reference into the bytes of all frames.
struct Item {
  uint64_t hash;
  NamespaceId ns;
  uint32_t frame;
  uint32_t offset;   // in the bytes
  uint32_t ordinal;  // in the frame: position - header.first
};

// The sums of one counter. Most events follow one of the same minute.
class Sums {
 public:
  void Clear() { rows_.clear(); }
  void Add(const CounterRecord& r) {
    // Modulo 2^64: an event before the start is far behind it.
    const uint64_t within = static_cast<uint64_t>(r.event_us) - static_cast<uint64_t>(start_us_);
    if (rows_.empty() || within >= static_cast<uint64_t>(IntervalWidth(Interval::kMinute))) {
      start_us_ = IntervalStart(Interval::kMinute, r.event_us);
      rows_.push_back({.start_us = start_us_, .sum = 0, .events = 0});
    }
    rows_.back().sum += r.applied;
    rows_.back().events += r.events;
  }
  // Calls write(day, its minutes), ascending.
  template <class Write>
  Status Finish(Write write) {
    std::ranges::sort(rows_, {}, &Row::start_us);
    for (size_t i = 0; i < rows_.size();) {
      const int64_t day_us = IntervalStart(Interval::kDay, rows_[i].start_us);
      minutes_.clear();
      for (; i < rows_.size() && rows_[i].start_us - day_us < IntervalWidth(Interval::kDay); ++i) {
        const Row& row = rows_[i];
        const auto minute = static_cast<uint16_t>((row.start_us - day_us) / IntervalWidth(Interval::kMinute));
        if (minutes_.empty() || minutes_.back().minute != minute) minutes_.push_back({.minute = minute});
        minutes_.back().sum += row.sum;
        minutes_.back().events += row.events;
      }
      QUIPU_RETURN_IF_ERROR(write(day_us, minutes_));
    }
    return OkStatus();
  }

 private:
  struct Row {
    int64_t start_us;
    __int128 sum;
    uint64_t events;
  };
  std::vector<Row> rows_;
  std::vector<MinuteSum> minutes_;
  int64_t start_us_ = 0;  // of the last row
};

}  // namespace

static_assert(sizeof(Item) <= RunScratch::kTokenBytes);

struct SettleScratch {
  rt::TableMemory bytes;  // of all frames, one after another
  size_t used = 0;
  // Items are read into run->spare, and sorted there by way of run->tokens before the first token comes.
  std::shared_ptr<RunScratch> run = std::make_shared<RunScratch>();
};

std::shared_ptr<SettleScratch> MakeSettleScratch() { return std::make_shared<SettleScratch>(); }

namespace {

class SettleJob {
 public:
  SettleJob(const SettleInput& input, SettleScratch* scratch) : in_(input), scratch_(*scratch) { scratch_.used = 0; }

  Status Run(SettleOutcome* out) {
    QUIPU_RETURN_IF_ERROR(Load());
    QUIPU_RETURN_IF_ERROR(Index());
    SortItems();
    QUIPU_ASSIGN_OR_RETURN(run_, in_.settled->BeginRun(scratch_.run));
    QUIPU_RETURN_IF_ERROR(WriteCounters());
    QUIPU_RETURN_IF_ERROR(WriteNames());
    QUIPU_RETURN_IF_ERROR(WriteMeta());
    QUIPU_RETURN_IF_ERROR(run_->Commit());
    out->settled = reached_;
    out->commit_us = commit_us_;
    out->newest_own_us = newest_own_us_;
    out->records = items_.size();
    out->bytes = scratch_.used;
    return OkStatus();
  }

 private:
  Status Load() {
    const Position from = in_.after - (QUIPU_PLANTED(136) && in_.after > 0 ? 1 : 0);
    Status s = ReadFrames(in_.disk, in_.journal_dir, in_.segments, from, in_.through,
                          [&](const FrameHeader& h, std::string_view payload) {
                            if (scratch_.used > in_.bytes_max) return Status(Code::kConditionNotMet, "enough");
                            frames_.push_back(h);
                            Append(payload);
                            return OkStatus();
                          });
    if (!s.ok() && s.code() != Code::kConditionNotMet) return s;
    QUIPU_ASSERT(!frames_.empty(), "nothing between {} and {}", in_.after, in_.through);
    QUIPU_ASSERT(scratch_.used <= std::numeric_limits<uint32_t>::max(), "{} bytes in one run", scratch_.used);
    reached_ = frames_.back().first + frames_.back().records - 1;
    commit_us_ = frames_.back().commit_us;
    QUIPU_ASSIGN_OR_RETURN(auto position, in_.settled->GetMeta(PositionKey(in_.generation, in_.shard)));
    SettledPosition before;
    if (position && !DecodeSettledPosition(*position, &before))
      return Status(Code::kDataLoss, "the settled position does not decode");
    newest_own_us_ = before.newest_own_us;
    return OkStatus();
  }

  Status Index() {
    size_t records = 0;
    for (const FrameHeader& frame : frames_) records += frame.records;
    scratch_.run->Reserve(records);
    items_ = {static_cast<Item*>(scratch_.run->spare.data()), 0};
    Record r;
    const char* p = bytes();
    const char* const end = p + scratch_.used;
    for (uint32_t f = 0; f < frames_.size(); ++f) {
      const FrameHeader& frame = frames_[f];
      for (uint32_t i = 0; i < frame.records; ++i) {
        const char* at = p;
        if (!DecodeRecord(&p, end, frame.commit_us, &r)) {
          return Status(Code::kDataLoss, fmt::format("position {}: the record does not decode", frame.first + i));
        }
        if (frame.first + i + (QUIPU_PLANTED(136) ? 1 : 0) <= in_.after) continue;
        switch (r.type) {
          case RecordType::kCounter:
            AddItem({.hash = HashCounter(r.counter.ns, r.counter.name),
                     .ns = r.counter.ns,
                     .frame = f,
                     .offset = static_cast<uint32_t>(at - bytes()),
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

  void AddItem(const Item& item) {
    items_ = {items_.data(), items_.size() + 1};
    items_.back() = item;
  }
  const char* bytes() const { return static_cast<const char*>(scratch_.bytes.data()); }
  void Append(std::string_view payload) {
    rt::TableMemory& memory = scratch_.bytes;
    if (memory.bytes() - scratch_.used < payload.size()) {
      const size_t expected = std::min(in_.bytes_expected, in_.bytes_max + in_.bytes_max / 8);
      rt::TableMemory larger(std::max(expected, scratch_.used + scratch_.used / 2 + payload.size()));
      if (scratch_.used > 0) std::memcpy(larger.data(), memory.data(), scratch_.used);
      memory = std::move(larger);
    }
    payload.copy(static_cast<char*>(memory.data()) + scratch_.used, payload.size());
    scratch_.used += payload.size();
  }

  // By namespace, hash, position. Offsets ascend with the position.
  void SortItems() {
    const auto by_hash = [](const Item& a, const Item& b) {
      return a.hash != b.hash ? a.hash < b.hash : a.offset < b.offset;
    };
    Item* const between = static_cast<Item*>(scratch_.run->tokens.data());
    SortByWord(items_, between, [](const Item& item) { return item.hash; }, by_hash);
    const bool one_namespace = std::ranges::all_of(items_, [&](const Item& i) { return i.ns == items_.front().ns; });
    if (!one_namespace) std::ranges::stable_sort(items_, {}, &Item::ns);
  }

  // The record that is a few places on in the order that is being written: it lies anywhere in the bytes.
  void Prefetch(const Item& item) const {
    constexpr size_t kLine = 64;
    const char* const at = bytes() + item.offset;
    __builtin_prefetch(at);
    __builtin_prefetch(at + kLine);
  }

  const CounterRecord& Decode(const Item& item) {
    const char* p = bytes() + item.offset;
    bool ok = DecodeRecord(&p, bytes() + scratch_.used, frames_[item.frame].commit_us, &record_);
    QUIPU_ASSERT(ok, "a record that decoded before does not decode now");
    return record_.counter;
  }
  std::string_view NameOf(const Item& item) const { return NameOfCounterRecord(bytes() + item.offset); }

  Status WriteCounters() {
    const auto by_name = [this](const Item& a, const Item& b) { return NameOf(a) < NameOf(b); };
    for (size_t begin = 0, end = 0; begin < items_.size(); begin = end) {
      bool mixed = false;  // equal hashes of different names
      for (; end < items_.size() && items_[end].hash == items_[begin].hash && items_[end].ns == items_[begin].ns;
           ++end) {
        if (end + kAhead < items_.size()) Prefetch(items_[end + kAhead]);
        mixed |= end > begin && NameOf(items_[end]) != NameOf(items_[begin]);
      }
      const std::span<Item> same_hash = items_.subspan(begin, end - begin);
      if (mixed) std::ranges::stable_sort(same_hash, by_name);
      for (size_t i = 0, next = 0; i < same_hash.size(); i = next) {
        next = mixed ? i + 1 : same_hash.size();
        while (next < same_hash.size() && NameOf(same_hash[next]) == NameOf(same_hash[i])) ++next;
        QUIPU_RETURN_IF_ERROR(WriteCounter(begin + i, begin + next));
      }
    }
    return OkStatus();
  }

  // All records of one counter.
  Status WriteCounter(size_t begin, size_t end) {
    const CounterRef counter{.ns = items_[begin].ns, .hash = items_[begin].hash, .name = NameOf(items_[begin])};
    bool existed_first = false, changed = false, exists = false;
    Checkpoint last;
    sums_.Clear();
    for (size_t i = begin; i < end; ++i) {
      const CounterRecord& r = Decode(items_[i]);
      if (i == begin) existed_first = r.existed;
      const FrameHeader& header = frames_[items_[i].frame];
      const SettledEvent event = EventOf(r, header.first + items_[i].ordinal, header.commit_us);
      QUIPU_RETURN_IF_ERROR(run_->AddEvent(counter, event));
      if (!event.token.empty()) {
        QUIPU_RETURN_IF_ERROR(
            run_->AddToken(MakeTokenPrint(in_.token_seed, counter.hash, counter.ns, counter.name, event.token), event));
        newest_own_us_ = std::max(newest_own_us_, TokenOwnTime(event.token));
      }
      if (r.outcome == Outcome::kRefused) continue;
      if (r.kind == OpKind::kAdd) sums_.Add(r);
      exists = r.exists;
      last = {.value = r.value,
              .position = event.position,
              .expiry_ms = QUIPU_PLANTED(130) ? 0 : r.expiry_ms,
              .last_write_us = r.last_write_us};
      changed = true;
    }
    QUIPU_RETURN_IF_ERROR(sums_.Finish(
        [&](int64_t day_us, std::span<const MinuteSum> minutes) { return run_->AddSums(counter, day_us, minutes); }));
    if (!changed) return OkStatus();
    if (exists) {
      QUIPU_RETURN_IF_ERROR(run_->PutCounter(counter, last));
      if (last.expiry_ms != 0) expiry_rows_.push_back(ExpiryKey(last.expiry_ms, counter.ns, counter.hash));
      if (!existed_first) names_.push_back({counter.ns, counter.name, true});
    } else {
      if (!QUIPU_PLANTED(135)) QUIPU_RETURN_IF_ERROR(run_->DeleteCounter(counter));
      if (existed_first && !QUIPU_PLANTED(132)) names_.push_back({counter.ns, counter.name, false});
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
  static constexpr size_t kAhead = 16;  // records whose memory is on its way
  struct NameRow {
    NamespaceId ns;
    std::string_view name;
    bool exists;
  };

  const SettleInput& in_;
  std::unique_ptr<SettleRun> run_;
  SettleScratch& scratch_;
  std::span<Item> items_;
  std::vector<FrameHeader> frames_;
  std::vector<NameRow> names_;
  Sums sums_;
  Record record_;  // what Decode returned last
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
  out.status = SettleJob(input, input.scratch ? input.scratch.get() : MakeSettleScratch().get()).Run(&out);
  return out;
}

}  // namespace quipu::store
