#include "store/embedded/check.h"

#include <deque>
#include <limits>
#include <set>

#include "base/varint.h"
#include "model/name.h"
#include "store/embedded/engine.h"
#include "store/embedded/recount.h"
#include "store/embedded/settler.h"

namespace quipu::store {
namespace {

struct Frame {
  FrameHeader header;
  std::string payload;
};

// One record of a counter beyond the settled ones, by reference into its frame.
struct Item {
  uint64_t hash;
  NamespaceId ns;
  uint32_t frame;
  uint32_t offset;
  uint32_t ordinal;  // in the frame
};

// Stands for a set of (namespace, name), whatever their order.
struct NameSet {
  uint64_t count = 0, sum_a = 0, sum_b = 0;
  void Add(NamespaceId ns, std::string_view name) {
    TokenPrint print = MakeTokenPrint(0, ns, ns, "name", StoredToken(TokenForm::kText, name));
    ++count;
    sum_a += print.hi;
    sum_b += print.lo;
  }
  bool operator==(const NameSet&) const = default;
};

class Check {
 public:
  Check(rt::Disk* disk, const std::string& dir, const CheckOptions& options)
      : disk_(disk), dir_(dir), options_(options) {}

  Result<CheckReport> Run() {
    if (!disk_->IsDir(dir_)) return Status(Code::kNotFound, fmt::format("{}: no such directory", dir_));
    QUIPU_ASSIGN_OR_RETURN(bool readable, OpenStore());
    if (readable) {
      QUIPU_RETURN_IF_ERROR(ReadMeta());
      QUIPU_RETURN_IF_ERROR(ReadTail());
      QUIPU_RETURN_IF_ERROR(Verify());
      QUIPU_RETURN_IF_ERROR(Recount());
    }
    return std::move(report_);
  }

 private:
  void Find(std::string place, std::string text) {
    ++report_.findings_total;
    if (report_.findings.size() < options_.findings_max)
      report_.findings.push_back({std::move(place), std::move(text)});
  }
  // Damage becomes a finding and false; any other error goes up.
  Result<bool> Intact(const std::string& place, const Status& status) {
    if (status.ok()) return true;
    if (status.code() != Code::kDataLoss) return status;
    Find(place, std::string(status.message()));
    return false;
  }
  std::string PlaceOf(const CounterRef& c) const {
    std::string ns = c.ns < namespaces_.size() ? namespaces_[c.ns].name : fmt::format("#{}", c.ns);
    return fmt::format("counter {} of namespace {}", c.name, ns);
  }

  Result<bool> OpenStore() {
    if (!disk_->Exists(dir_ + "/store") && !disk_->IsDir(dir_ + "/journal") && !disk_->IsDir(SettledDir(dir_)))
      return Status(Code::kNotFound, fmt::format("{}: not a data directory of Quipu", dir_));
    // A server that runs holds the lock; where there is no such file, none has ever run.
    auto lock = disk_->LockShared(dir_ + "/lock");
    if (!lock.ok() && lock.code() != Code::kNotFound) return lock.status();
    if (lock.ok()) lock_ = std::move(*lock);
    auto identity = ReadStoreIdentity(disk_, dir_);
    if (identity.code() == Code::kNotFound) {
      Find(dir_ + "/store", "missing");
      return false;
    }
    QUIPU_ASSIGN_OR_RETURN(bool intact, Intact(dir_ + "/store", identity.status()));
    if (!intact) return false;
    identity_ = *identity;
    auto settled = SettledStore::Open(
        disk_, SettledDir(dir_), {.block_cache_bytes = options_.block_cache_bytes, .access = SettledAccess::kRead});
    QUIPU_ASSIGN_OR_RETURN(intact, Intact(SettledDir(dir_), settled.status()));
    if (intact) settled_ = std::move(*settled);
    return intact;
  }

  // ---- the small named values
  Status ReadMeta() {
    QUIPU_ASSIGN_OR_RETURN(meta_intact_, Intact(SettledDir(dir_), ReadMetaRows()));
    return OkStatus();
  }
  Status ReadMetaRows() {
    QUIPU_ASSIGN_OR_RETURN(auto rows, settled_->ListMeta(kNamespacePrefix));
    for (const auto& [key, value] : rows) {
      Record r;
      const char* p = value.data();
      if (!DecodeRecord(&p, p + value.size(), 0, &r) || r.type != RecordType::kNamespace ||
          key != NamespaceKey(r.ns.id))
        return Status(Code::kDataLoss, fmt::format("the row of namespace {} does not decode", namespaces_.size()));
      QUIPU_RETURN_IF_ERROR(TakeNamespace(r.ns));
    }
    QUIPU_ASSIGN_OR_RETURN(auto sources, settled_->ListMeta(kSourcePrefix));
    for (const auto& [key, value] : sources) {
      Record r;
      const char* p = value.data();
      if (!DecodeRecord(&p, p + value.size(), 0, &r) || r.type != RecordType::kSource ||
          key != SourceKey(r.source.id[0], r.source.id[1])) {
        return Status(Code::kDataLoss, "the row of a source does not decode");
      }
      sources_.insert({r.source.id[0], r.source.id[1]});
    }
    for (uint32_t shard = 0; shard < identity_.shards; ++shard) {
      QUIPU_ASSIGN_OR_RETURN(auto row, settled_->GetMeta(PositionKey(PositionGeneration(identity_), shard)));
      SettledPosition position;
      if (row && !DecodeSettledPosition(*row, &position))
        return Status(Code::kDataLoss, fmt::format("the settled position of shard {} does not decode", shard));
      positions_.push_back(position);
    }
    return OkStatus();
  }
  Status TakeNamespace(const NamespaceRecord& r) {
    auto settings = NamespaceSettingsFromJson(r.settings_json, {});
    if (!settings.ok()) return Status(Code::kDataLoss, std::string(settings.status().message()));
    if (r.id > namespaces_.size())
      return Status(Code::kDataLoss, fmt::format("namespace {} follows after {}", r.id, namespaces_.size()));
    if (r.id == namespaces_.size()) namespaces_.emplace_back();
    namespaces_[r.id] = {.id = r.id,
                         .name = std::string(r.name),
                         .version = r.version,
                         .deleted = r.deleted,
                         .settings = *settings,
                         .tokens_known_since_us = r.tokens_known_since_us};
    return OkStatus();
  }

  // ---- the journal
  Status ReadTail() {
    if (!meta_intact_ || identity_.generation == 0) return OkStatus();  // 0: it was never made to the end
    auto steps = StepIndex::Read(disk_, settled_.get(), dir_, identity_);
    QUIPU_ASSIGN_OR_RETURN(bool whole, Intact(dir_ + "/journal", steps.status()));
    if (!whole) return OkStatus();
    for (uint32_t shard = 0; shard < identity_.shards; ++shard) {
      std::string journal = JournalDir(dir_, identity_, shard);
      QUIPU_RETURN_IF_ERROR(AddSizes(journal));
      auto end = ReadJournal(disk_, journal, JournalIdentityOf(identity_, shard), positions_[shard].position,
                             [&](const FrameHeader& h, std::string_view payload) {
                               StepRecord step;
                               if (BeginsStep(payload, h.commit_us, &step) && !steps->Holds(step)) {
                                 return Status(Code::kConditionNotMet, "a part of the step is missing");
                               }
                               return TakeFrame(positions_[shard].position, h, payload);
                             });
      QUIPU_ASSIGN_OR_RETURN(bool intact, Intact(journal, end.status()));
      if (intact) report_.journal_frames += end->frames;
    }
    std::sort(items_.begin(), items_.end(), [this](const Item& a, const Item& b) {
      if (a.ns != b.ns) return a.ns < b.ns;
      if (a.hash != b.hash) return a.hash < b.hash;
      CounterRecord x = RecordOf(a), y = RecordOf(b);
      if (x.name != y.name) return x.name < y.name;
      return std::pair(a.frame, a.ordinal) < std::pair(b.frame, b.ordinal);
    });
    return OkStatus();
  }
  Status TakeFrame(Position settled, const FrameHeader& header, std::string_view payload) {
    auto index = static_cast<uint32_t>(frames_.size());
    const std::string& kept = frames_.emplace_back(Frame{.header = header, .payload = std::string(payload)}).payload;
    const char* p = kept.data();
    const char* end = p + kept.size();
    Record r;
    for (uint32_t i = 0; i < header.records; ++i) {
      const char* at = p;
      if (!DecodeRecord(&p, end, header.commit_us, &r))
        return Status(Code::kDataLoss, fmt::format("record {} of {} does not decode", i + 1, header.records));
      if (header.first + i <= settled) continue;
      ++report_.journal_records;
      switch (r.type) {
        case RecordType::kNamespace:
          QUIPU_RETURN_IF_ERROR(TakeNamespace(r.ns));
          break;
        case RecordType::kSource:
          sources_.insert({r.source.id[0], r.source.id[1]});
          break;
        case RecordType::kStep:
          break;
        case RecordType::kCounter:
          items_.push_back({.hash = HashCounter(r.counter.ns, r.counter.name),
                            .ns = r.counter.ns,
                            .frame = index,
                            .offset = static_cast<uint32_t>(at - kept.data()),
                            .ordinal = i});
      }
    }
    if (p != end) return Status(Code::kDataLoss, fmt::format("{} bytes follow the last record", end - p));
    return OkStatus();
  }
  CounterRecord RecordOf(const Item& item) const {
    const Frame& frame = frames_[item.frame];
    const char* p = frame.payload.data() + item.offset;
    Record r;
    bool ok = DecodeRecord(&p, frame.payload.data() + frame.payload.size(), frame.header.commit_us, &r);
    QUIPU_ASSERT(ok, "a record that decoded before does not decode now");
    return r.counter;
  }
  Status AddSizes(const std::string& dir) {
    QUIPU_ASSIGN_OR_RETURN(auto names, disk_->List(dir));
    for (const std::string& name : names) {
      QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(dir + "/" + name, rt::OpenMode::kRead));
      QUIPU_ASSIGN_OR_RETURN(uint64_t size, file->Size());
      report_.bytes += size;
    }
    return OkStatus();
  }

  // ---- the sorted runs
  Status Verify() {
    report_.bytes += settled_->DiskBytes();
    return Intact(SettledDir(dir_), settled_->VerifyChecksums()).status();
  }

  Status Recount() {
    if (!meta_intact_) return OkStatus();
    report_.namespaces = namespaces_.size();
    report_.sources = sources_.size();
    // Retention drops whole slices from the front, so every token from the first one kept on must be there.
    Status tokens = settled_->VisitTokens([&](const TokenPrint&, Position position) {
      ++token_rows_;
      first_token_row_ = std::min(first_token_row_, position);
      return OkStatus();
    });
    QUIPU_ASSIGN_OR_RETURN(tokens_intact_, Intact(SettledDir(dir_), tokens));
    Status visited = settled_->VisitAll(
        [&](const CounterRef& c, const Checkpoint* checkpoint, const std::vector<SettledEvent>& events) {
          while (next_item_ < items_.size() && Before(items_[next_item_], c)) QUIPU_RETURN_IF_ERROR(RecountTailOnly());
          return RecountCounter(c, checkpoint, events);
        });
    QUIPU_ASSIGN_OR_RETURN(bool complete, Intact(SettledDir(dir_), visited));
    if (!complete) return OkStatus();
    while (next_item_ < items_.size()) QUIPU_RETURN_IF_ERROR(RecountTailOnly());
    CheckTokenRows();
    CheckSuspectSums();
    QUIPU_RETURN_IF_ERROR(Intact(SettledDir(dir_), CheckCounts()).status());
    return Intact(SettledDir(dir_), CheckNames()).status();
  }
  bool Before(const Item& item, const CounterRef& c) const {
    if (item.ns != c.ns) return item.ns < c.ns;
    if (item.hash != c.hash) return item.hash < c.hash;
    return RecordOf(item).name < c.name;
  }
  Status RecountTailOnly() {
    std::string name(RecordOf(items_[next_item_]).name);
    return RecountCounter({.ns = items_[next_item_].ns, .hash = items_[next_item_].hash, .name = name}, nullptr, {});
  }

  // `checkpoint` and `settled_events` are what the sorted runs hold; the counter's records in the journal follow.
  Status RecountCounter(const CounterRef& c, const Checkpoint* checkpoint,
                        const std::vector<SettledEvent>& settled_events) {
    auto found = [&](std::string text) { Find(PlaceOf(c), std::move(text)); };
    if (c.ns >= namespaces_.size()) found("there is no such namespace");
    if (c.hash != HashCounter(c.ns, c.name)) found("its hash is not that of its name");
    const Namespace* ns = c.ns < namespaces_.size() ? &namespaces_[c.ns] : nullptr;
    CounterRecount recount(ns, found);
    for (const SettledEvent& e : settled_events) {
      first_event_ = std::min(first_event_, e.position);
      if (identity_.shards == 1 && e.position > positions_[0].position)
        found(fmt::format("position {}: settled, but only up to {} is", e.position, positions_[0].position));
      recount.Add(e);
      if (!e.token.empty() && tokens_intact_ && e.position >= first_token_row_) QUIPU_RETURN_IF_ERROR(LookUp(c, e));
    }
    recount.CompareCheckpoint(checkpoint);
    QUIPU_RETURN_IF_ERROR(CompareSums(c, recount));
    if (checkpoint) {
      checkpoints_.Add(c.ns, c.name);
      if (c.ns >= counts_.size()) counts_.resize(c.ns + 1);
      ++counts_[c.ns];
      QUIPU_RETURN_IF_ERROR(CheckExpiryRow(c, *checkpoint));
    }
    for (; next_item_ < items_.size(); ++next_item_) {
      const Item& item = items_[next_item_];
      if (item.ns != c.ns || item.hash != c.hash) break;
      CounterRecord r = RecordOf(item);
      if (r.name != c.name) break;
      const FrameHeader& header = frames_[item.frame].header;
      recount.Add(EventOf(r, header.first + item.ordinal, header.commit_us));
    }
    report_.events += recount.events();
    report_.tokens += recount.tokens();
    report_.counters += recount.exists() ? 1 : 0;
    ++(recount.full() ? report_.recounted_full : report_.recounted_partial);
    return OkStatus();
  }

  Status LookUp(const CounterRef& c, const SettledEvent& e) {
    TokenPrint print = MakeTokenPrint(identity_.token_seed, c.hash, c.ns, c.name, e.token);
    QUIPU_ASSIGN_OR_RETURN(auto row, settled_->FindToken(print, e.commit_us));
    SettledEvent without_text = e;
    without_text.token = {};
    if (!row) {
      Find(PlaceOf(c), fmt::format("position {}: no row for its token {}", e.position, TokenText(e.token)));
    } else if (row->position == e.position && *row != without_text) {
      Find(PlaceOf(c),
           fmt::format("position {}: the row of its token {} tells another event", e.position, TokenText(e.token)));
    } else if (row->position < e.position) {
      Find(PlaceOf(c), fmt::format("position {}: the row of its token {} stands for position {}", e.position,
                                   TokenText(e.token), row->position));
    } else if (row->position == e.position) {
      ++token_rows_matched_;
    } else {
      ++token_rows_reused_;
    }
    return OkStatus();
  }
  // A token used again after its horizon may have one row or two.
  void CheckTokenRows() {
    if (!tokens_intact_) return;
    if (token_rows_ < token_rows_matched_ || token_rows_ > token_rows_matched_ + token_rows_reused_) {
      Find(SettledDir(dir_), fmt::format("{} rows of tokens, but {} events that have one", token_rows_,
                                         token_rows_matched_ + token_rows_reused_));
    }
  }

  Status CompareSums(const CounterRef& c, const CounterRecount& recount) {
    MinuteSums stored;
    Status s = settled_->ScanSums(c, Interval::kMinute, INT64_MIN, INT64_MAX,
                                  [&](int64_t start, int64_t sum, uint64_t events) {
                                    stored[start] = {sum, events};
                                    return true;
                                  });
    if (s.code() == Code::kOverflow) return OkStatus();  // exact on disk, but not to be read in 64 bits
    QUIPU_RETURN_IF_ERROR(s);
    std::string first_more;
    for (const std::string& text : recount.CompareSums(stored, &first_more)) Find(PlaceOf(c), text);
    // More in the sums than in the events is right where events were dropped; whether any were shows at the end.
    if (!first_more.empty()) {
      ++suspects_total_;
      if (suspects_.size() < options_.findings_max) suspects_.push_back({PlaceOf(c), first_more});
    }
    return OkStatus();
  }
  void CheckSuspectSums() {
    // Whatever retention drops are the first positions. Before the first event that is there only namespaces were made.
    uint64_t namespace_records = 0;
    for (const Namespace& ns : namespaces_) namespace_records += ns.version;
    bool all_kept = first_event_ <= namespace_records + 1 && report_.recounted_partial == 0;
    if (!all_kept) return;
    for (CheckFinding& f : suspects_) Find(std::move(f.place), std::move(f.text));
    report_.findings_total += suspects_total_ - suspects_.size();
  }

  Status CheckExpiryRow(const CounterRef& c, const Checkpoint& checkpoint) {
    if (checkpoint.expiry_ms == 0) return OkStatus();
    QUIPU_ASSIGN_OR_RETURN(auto row, settled_->GetMeta(ExpiryKey(checkpoint.expiry_ms, c.ns, c.hash)));
    Micros newest = kNoTime;
    for (const SettledPosition& p : positions_) newest = std::max(newest, p.commit_us);
    if (!row && checkpoint.expiry_ms > newest / 1000)
      Find(PlaceOf(c),
           fmt::format("it expires at {} ms, but the index of expiries does not say so", checkpoint.expiry_ms));
    return OkStatus();
  }

  Status CheckCounts() {
    counts_.resize(std::max(counts_.size(), namespaces_.size()));
    // A namespace's count is the sum over all shards, those that are no more too.
    std::map<NamespaceId, uint64_t> stored_counts;
    QUIPU_ASSIGN_OR_RETURN(auto rows, settled_->ListMeta(kCountPrefix));
    for (const auto& [key, value] : rows) {
      uint32_t shard;
      NamespaceId ns;
      uint64_t count;
      const char* end = value.data() + value.size();
      if (!DecodeCountKey(key, &shard, &ns) || GetVarint(value.data(), end, &count) != end) {
        return Status(Code::kDataLoss, "the count of a namespace does not decode");
      }
      stored_counts[ns] += count;
    }
    for (NamespaceId ns = 0; ns < counts_.size(); ++ns) {
      uint64_t stored = stored_counts[ns];
      if (stored != counts_[ns]) {
        Find(fmt::format("namespace {}", ns < namespaces_.size() ? namespaces_[ns].name : fmt::format("#{}", ns)),
             fmt::format("{} counters are settled, but the count says {}", counts_[ns], stored));
      }
    }
    return OkStatus();
  }

  Status CheckNames() {
    NameSet names;
    for (NamespaceId ns = 0; ns < counts_.size(); ++ns) {
      QUIPU_RETURN_IF_ERROR(settled_->ScanNames(ns, "", "", [&](std::string_view name) {
        names.Add(ns, name);
        return true;
      }));
    }
    if (names == checkpoints_) return OkStatus();
    // Which ones: slow, and only now.
    QUIPU_RETURN_IF_ERROR(settled_->VisitAll([&](const CounterRef& c, const Checkpoint* checkpoint, const auto&) {
      return checkpoint ? CheckNamed(c) : OkStatus();
    }));
    for (NamespaceId ns = 0; ns < counts_.size(); ++ns) {
      Status looked;
      QUIPU_RETURN_IF_ERROR(settled_->ScanNames(ns, "", "", [&](std::string_view name) {
        CounterRef c{.ns = ns, .hash = HashCounter(ns, name), .name = name};
        auto counter = settled_->GetCounter(c);
        looked = counter.status();
        if (!counter.ok()) return false;
        if (!counter->has_value()) Find(PlaceOf(c), "it is in the index of names, but does not exist");
        return true;
      }));
      QUIPU_RETURN_IF_ERROR(looked);
    }
    return OkStatus();
  }
  Status CheckNamed(const CounterRef& c) {
    bool named = false;
    QUIPU_RETURN_IF_ERROR(settled_->ScanNames(c.ns, "", c.name, [&](std::string_view name) {
      named = name == c.name;
      return false;
    }));
    if (!named) Find(PlaceOf(c), "it is not in the index of names");
    return OkStatus();
  }

  rt::Disk* const disk_;
  const std::string dir_;
  const CheckOptions options_;
  CheckReport report_;
  std::unique_ptr<rt::FileLock> lock_;
  StoreIdentity identity_;
  std::unique_ptr<SettledStore> settled_;
  bool meta_intact_ = false;
  bool tokens_intact_ = false;
  std::vector<Namespace> namespaces_;
  std::set<std::pair<uint64_t, uint64_t>> sources_;
  std::vector<SettledPosition> positions_;  // by shard
  std::deque<Frame> frames_;
  std::vector<Item> items_;  // in the order of VisitAll
  size_t next_item_ = 0;
  std::vector<uint64_t> counts_;  // settled counters that exist, by namespace
  NameSet checkpoints_;
  Position first_event_ = std::numeric_limits<Position>::max();
  Position first_token_row_ = std::numeric_limits<Position>::max();
  uint64_t token_rows_ = 0, token_rows_matched_ = 0, token_rows_reused_ = 0;
  std::vector<CheckFinding> suspects_;
  uint64_t suspects_total_ = 0;
};

}  // namespace

Result<CheckReport> CheckDataDirectory(rt::Disk* disk, const std::string& data_dir, const CheckOptions& options) {
  return Check(disk, data_dir, options).Run();
}

}  // namespace quipu::store
