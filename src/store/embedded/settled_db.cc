#include "store/embedded/settled_db.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/table.h>

#include <charconv>
#include <numeric>

#include "store/embedded/settled_rows.h"

namespace quipu::store {
namespace {

constexpr std::pair<FamilyKind, std::string_view> kKindNames[] = {
    {FamilyKind::kMeta, "meta"}, {FamilyKind::kCounters, "counters"}, {FamilyKind::kNames, "names"},
    {FamilyKind::kSums, "sums"}, {FamilyKind::kEvents, "events"},     {FamilyKind::kTokens, "tokens"},
};
constexpr std::string_view kTempPrefix = "run-";
constexpr int kNever = 1 << 30;
// The parts of a cache are filled by keys that RocksDB draws anew at each start: a small one would hold other blocks in
// each run. Large ones are worth the parts, for they are read by many threads.
constexpr size_t kCacheInPartsFrom = 4u << 20;
constexpr int kCacheInOnePart = 0, kCacheInParts = -1;

// Adds up the minutes of a day.
class SumsOperator final : public rocksdb::AssociativeMergeOperator {
 public:
  const char* Name() const override { return "quipu.sums.2"; }
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* existing, const rocksdb::Slice& value, std::string* out,
             rocksdb::Logger*) const override {
    std::vector<MinuteSum> a, b, sum;
    if (existing != nullptr && !ParseSumsValue(existing->ToStringView(), &a)) return false;
    if (!ParseSumsValue(value.ToStringView(), &b)) return false;
    sum.reserve(a.size() + b.size());
    std::ranges::merge(a, b, std::back_inserter(sum), {}, &MinuteSum::minute, &MinuteSum::minute);
    using uint128 = unsigned __int128;  // a damaged sum may be of any size
    size_t n = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      if (n > 0 && sum[n - 1].minute == sum[i].minute) {
        sum[n - 1].sum = static_cast<__int128>(static_cast<uint128>(sum[n - 1].sum) + static_cast<uint128>(sum[i].sum));
        sum[n - 1].events += sum[i].events;
      } else {
        sum[n++] = sum[i];
      }
    }
    SetSumsValue(std::span(sum).first(n), out);
    return true;
  }
};

class NullLogger final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Everything that RocksDB would do by itself is off: no compaction, no flush, no statistics, no trash, no file opening
// by other threads. max_manifest_file_size makes each change of state a new MANIFEST (see rocks_disk.h).
rocksdb::DBOptions MakeDbOptions(rocksdb::Env* env) {
  rocksdb::DBOptions o;
  o.env = env;
  o.info_log = std::make_shared<NullLogger>();
  o.paranoid_checks = true;
  o.verify_sst_unique_id_in_manifest = true;
  o.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  o.max_manifest_file_size = 0;
  o.manifest_preallocation_size = 0;
  o.allow_fallocate = false;
  o.max_open_files = -1;
  o.max_file_opening_threads = 1;
  o.max_background_jobs = 1;
  o.max_subcompactions = 1;
  o.max_bgerror_resume_count = 0;
  o.compaction_readahead_size = 1 << 20;
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  o.skip_stats_update_on_db_open = true;
  o.delete_obsolete_files_period_micros = 1ull << 62;
  o.avoid_flush_during_shutdown = true;
  o.advise_random_on_open = false;
  o.db_host_id = "";
  return o;
}

std::string ParentDir(const std::string& dir) {
  const size_t slash = dir.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : dir.substr(0, slash);
}

template <class T>
bool TakeNumber(std::string_view* text, T* value) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

}  // namespace

std::string FamilyName(const FamilyId& id) {
  const auto it = std::ranges::find(kKindNames, id.kind, &std::pair<FamilyKind, std::string_view>::first);
  return id.sliced() ? fmt::format("{}-{}-{}", it->second, id.start_us, id.width_us) : std::string(it->second);
}

std::optional<FamilyId> ParseFamilyName(std::string_view name) {
  for (const auto& [kind, text] : kKindNames) {
    FamilyId id{.kind = kind};
    if (!id.sliced()) {
      if (name == text) return id;
      continue;
    }
    std::string_view rest = name;
    if (!rest.starts_with(text)) continue;
    rest.remove_prefix(text.size());
    if (!rest.starts_with('-')) return std::nullopt;
    rest.remove_prefix(1);
    if (!TakeNumber(&rest, &id.start_us) || !rest.starts_with('-')) return std::nullopt;
    rest.remove_prefix(1);
    if (!TakeNumber(&rest, &id.width_us) || id.width_us <= 0 || FamilyName(id) != name) return std::nullopt;
    return id;
  }
  return std::nullopt;
}

FamilyId SliceFamily(FamilyKind kind, Micros commit_us, int64_t width_us) {
  const int64_t within = ((commit_us % width_us) + width_us) % width_us;
  return {.kind = kind, .start_us = commit_us - within, .width_us = width_us};
}

SettledFamily::~SettledFamily() {
  [[maybe_unused]] const rocksdb::Status destroyed = db_->DestroyColumnFamilyHandle(handle_);
}

std::vector<FamilyRef> SettledView::All() const {
  std::vector<FamilyRef> all = {meta, counters, names, sums};
  std::erase(all, nullptr);
  all.insert(all.end(), events.begin(), events.end());
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

size_t RunsToMerge(std::span<const uint64_t> sizes, uint64_t bytes_max) {
  uint64_t total = sizes[0] + sizes[1];
  if (total > bytes_max) return 0;
  size_t count = 2;
  while (count < sizes.size() && sizes[count] <= std::min(total + total / 2, bytes_max - total))
    total += sizes[count++];
  return count;
}

SettledDb::SettledDb(rt::Disk* disk, std::string dir, const SettledOptions& options)
    : disk_(disk),
      dir_(std::move(dir)),
      options_(options),
      files_(std::make_shared<RocksDisk>(disk)),
      env_(NewRocksEnv(files_)),
      db_options_(MakeDbOptions(env_.get())),
      cache_(rocksdb::NewLRUCache(options.block_cache_bytes,
                                  options.block_cache_bytes < kCacheInPartsFrom ? kCacheInOnePart : kCacheInParts)),
      filter_(rocksdb::NewBloomFilterPolicy(10)) {}

Result<std::unique_ptr<SettledDb>> SettledDb::Open(rt::Disk* disk, const std::string& dir,
                                                   const SettledOptions& options) {
  std::unique_ptr<SettledDb> db(new SettledDb(disk, dir, options));
  QUIPU_ASSIGN_OR_RETURN(db->view_, db->OpenView());
  db->SizeCache();
  return db;
}

SettledDb::~SettledDb() {
  QUIPU_ASSERT(view_ == nullptr || view_.use_count() == 1, "{} reads outlive the settled store", view_.use_count() - 1);
}

rocksdb::ColumnFamilyOptions SettledDb::FamilyOptions(FamilyKind kind) const {
  const bool is_looked_up = kind == FamilyKind::kTokens || kind == FamilyKind::kCounters;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache_;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  table.block_size = is_looked_up ? 4096 : 16384;
  // Indexes and filters come in pieces of a block's size and share the cache, so that memory is bounded by its size.
  // But every new random token is looked for in the filters of all runs of its horizon: these stay in memory, whole.
  table.cache_index_and_filter_blocks = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.metadata_cache_options.top_level_index_pinning = rocksdb::PinningTier::kAll;
  table.metadata_block_size = 4096;
  if (is_looked_up) {
    table.filter_policy = filter_;
    table.whole_key_filtering = true;
    table.partition_filters = kind == FamilyKind::kCounters;
    table.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kAll;
  }

  rocksdb::ColumnFamilyOptions o;
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  // One level: every file is a run, newer runs before older ones.
  o.compaction_style = rocksdb::kCompactionStyleUniversal;
  o.num_levels = 1;
  o.disable_auto_compactions = true;
  o.level0_file_num_compaction_trigger = kNever;
  o.level0_slowdown_writes_trigger = kNever;
  o.level0_stop_writes_trigger = kNever;
  o.ttl = 0;
  o.periodic_compaction_seconds = 0;
  o.force_consistency_checks = true;
  o.write_buffer_size = 64 << 10;  // allocated per family, never filled
  // Rows that are looked up one by one, and tokens' prints, which hardly shrink, are spared zstd: it would save 10 % of
  // their size and cost 40 % more time. For the others a fast level of it: the level above, 1, takes 4 % less room of
  // all rows and 14 % more of a settle's time.
  o.compression = is_looked_up ? rocksdb::kLZ4Compression : rocksdb::kZSTD;
  if (!is_looked_up) o.compression_opts.level = -4;
  if (kind == FamilyKind::kSums) o.merge_operator = std::make_shared<SumsOperator>();
  return o;
}

rocksdb::Options SettledDb::FileOptions(FamilyKind kind) const {
  return rocksdb::Options(db_options_, FamilyOptions(kind));
}

std::string SettledDb::NewFilePath() {
  return fmt::format("{}/{}{}{}", dir_, kTempPrefix, next_file_++, kNewRunSuffix);
}

Result<bool> SettledDb::ClearLeftovers() {
  const bool existed = disk_->Exists(dir_);
  if (!existed && only_reads()) return true;
  if (!only_reads()) QUIPU_RETURN_IF_ERROR(disk_->MakeDir(dir_));
  if (!existed) QUIPU_RETURN_IF_ERROR(disk_->SyncDir(ParentDir(dir_)));
  QUIPU_ASSIGN_OR_RETURN(const auto names, disk_->List(dir_));
  bool has_current = false;
  std::string run;
  for (const std::string& name : names) {
    if (name.starts_with(kTempPrefix) && name.ends_with(kNewRunSuffix) && !only_reads()) {
      QUIPU_RETURN_IF_ERROR(disk_->Remove(fmt::format("{}/{}", dir_, name)));
    }
    if (name == "CURRENT") has_current = true;
    if (name.ends_with(".sst")) run = name;
  }
  if (!has_current && !run.empty()) {
    return Status(Code::kDataLoss, fmt::format("{}/CURRENT: missing, but there are runs such as {}", dir_, run));
  }
  return !has_current;
}

Result<ViewRef> SettledDb::OpenView() {
  QUIPU_ASSIGN_OR_RETURN(const bool create, ClearLeftovers());
  if (create && only_reads()) return ViewRef(std::make_shared<const SettledView>());
  std::vector<std::string> names;
  if (!create) {
    const rocksdb::Status listed = rocksdb::DB::ListColumnFamilies(db_options_, dir_, &names);
    if (!listed.ok()) return FromRocks(listed, fmt::format("opening {}", dir_));
  }
  for (const std::string_view always : {"default", "meta", "counters", "names", "sums"}) {
    if (!only_reads() && std::ranges::find(names, always) == names.end()) names.emplace_back(always);
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  std::vector<FamilyId> ids;
  for (const std::string& name : names) {
    const auto id = name == rocksdb::kDefaultColumnFamilyName ? FamilyId{} : ParseFamilyName(name);
    if (!id)
      return Status(Code::kDataLoss, fmt::format("{}: the MANIFEST names an unknown column family {:?}", dir_, name));
    ids.push_back(*id);
    families.emplace_back(name, FamilyOptions(id->kind));
  }
  rocksdb::DBOptions options = db_options_;
  options.create_if_missing = create;
  options.create_missing_column_families = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened = only_reads() ? rocksdb::DB::OpenForReadOnly(options, dir_, families, &handles, &raw)
                                              : rocksdb::DB::Open(options, dir_, families, &handles, &raw);
  if (!opened.ok()) return FromRocks(opened, fmt::format("opening {}", dir_));
  const std::shared_ptr<rocksdb::DB> db(raw);

  auto view = std::make_shared<SettledView>();
  for (size_t i = 0; i < handles.size(); i++) {
    auto family = std::make_shared<const SettledFamily>(db, handles[i], ids[i]);
    if (names[i] == rocksdb::kDefaultColumnFamilyName) continue;
    switch (ids[i].kind) {
      case FamilyKind::kMeta:
        view->meta = std::move(family);
        break;
      case FamilyKind::kCounters:
        view->counters = std::move(family);
        break;
      case FamilyKind::kNames:
        view->names = std::move(family);
        break;
      case FamilyKind::kSums:
        view->sums = std::move(family);
        break;
      case FamilyKind::kEvents:
        view->events.push_back(std::move(family));
        break;
      case FamilyKind::kTokens:
        view->tokens.push_back(std::move(family));
        break;
    }
  }
  const auto by_id = [](const FamilyRef& a, const FamilyRef& b) { return a->id() < b->id(); };
  std::ranges::sort(view->events, by_id);
  std::ranges::sort(view->tokens, by_id);
  return ViewRef(std::move(view));
}

Result<ViewRef> SettledDb::view() const {
  std::lock_guard lock(mutex_);
  if (view_ == nullptr) return no_view_;
  return view_;
}

Status SettledDb::Broken(Status status) {
  broken_ = status;
  return status;
}

Status SettledDb::Prepare() {
  QUIPU_ASSERT(!only_reads(), "{} is opened for reading", dir_);
  QUIPU_RETURN_IF_ERROR(files_->fence());
  if (broken_.ok()) return OkStatus();
  std::lock_guard lock(mutex_);
  if (view_ != nullptr && view_.use_count() > 1) {
    return Status(Code::kUnavailable,
                  fmt::format("reads are under way while {} is to be opened anew after: {}", dir_, broken_.message()));
  }
  view_.reset();
  auto opened = OpenView();
  if (!opened) {
    no_view_ = opened.status();
    return no_view_;
  }
  view_ = std::move(*opened);
  broken_ = OkStatus();
  return OkStatus();
}

void SettledDb::Publish(SettledView view) {
  auto next = std::make_shared<const SettledView>(std::move(view));
  std::lock_guard lock(mutex_);
  view_.swap(next);
}

void SettledDb::SizeCache() {
  pinned_bytes_.store(cache_->GetPinnedUsage(), std::memory_order_relaxed);
  cache_->SetCapacity(options_.block_cache_bytes + pinned_bytes());
}

// There is no direct call for it. What cannot be deleted now is found again by the next call or Open.
void SettledDb::Purge(rocksdb::DB* db) {
  [[maybe_unused]] const rocksdb::Status purged = db->EnableFileDeletions(false);
}

Status SettledDb::Ingest(const std::vector<RunFile>& files) {
  QUIPU_RETURN_IF_ERROR(Prepare());
  if (files.empty()) return OkStatus();
  QUIPU_ASSIGN_OR_RETURN(const ViewRef before, view());
  rocksdb::DB* const db = before->meta->db();
  SettledView after = *before;
  std::vector<FamilyRef> all = after.All();
  std::vector<rocksdb::IngestExternalFileArg> args;
  for (const RunFile& file : files) {
    auto family = std::ranges::find(all, file.family, [](const FamilyRef& f) { return f->id(); });
    if (family == all.end()) {
      rocksdb::ColumnFamilyHandle* handle = nullptr;
      const std::string name = FamilyName(file.family);
      const auto created = db->CreateColumnFamily(FamilyOptions(file.family.kind), name, &handle);
      if (!created.ok()) return Broken(FromRocks(created, fmt::format("creating {} in {}", name, dir_)));
      all.push_back(std::make_shared<const SettledFamily>(before->meta->shared_db(), handle, file.family));
      family = all.end() - 1;
      std::vector<FamilyRef>& slices = file.family.kind == FamilyKind::kEvents ? after.events : after.tokens;
      slices.insert(std::ranges::upper_bound(slices, file.family, {}, [](const FamilyRef& f) { return f->id(); }),
                    *family);
    }
    rocksdb::IngestExternalFileArg arg;
    arg.column_family = (*family)->handle();
    arg.external_files = {file.path};
    arg.files_checksums = {file.checksum};
    arg.files_checksum_func_names = {file.checksum_name};
    arg.options.move_files = true;
    arg.options.failed_move_fall_back_to_copy = false;
    arg.options.write_global_seqno = false;
    arg.options.verify_file_checksum = false;  // taken over as computed while the file was written
    args.push_back(std::move(arg));
  }
  // With a snapshot alive every file gets a sequence number of its own, the highest: the order of runs is then the
  // order of commits, also between runs that do not overlap.
  const rocksdb::Snapshot* const snapshot = db->GetSnapshot();
  const rocksdb::Status ingested = db->IngestExternalFiles(args);
  db->ReleaseSnapshot(snapshot);
  if (!ingested.ok()) return Broken(FromRocks(ingested, fmt::format("adding a run to {}", dir_)));
  Publish(std::move(after));
  Purge(db);
  SizeCache();
  return OkStatus();
}

Status SettledDb::Drop(const std::vector<FamilyId>& ids) {
  QUIPU_RETURN_IF_ERROR(Prepare());
  if (ids.empty()) return OkStatus();
  QUIPU_ASSIGN_OR_RETURN(const ViewRef before, view());
  SettledView after = *before;
  const auto dropped = [&](const FamilyRef& f) { return std::ranges::find(ids, f->id()) != ids.end(); };
  for (const FamilyRef& family : before->All()) {
    if (!dropped(family)) continue;
    const rocksdb::Status status = family->db()->DropColumnFamily(family->handle());
    if (!status.ok())
      return Broken(FromRocks(status, fmt::format("dropping {} from {}", FamilyName(family->id()), dir_)));
  }
  std::erase_if(after.events, dropped);
  std::erase_if(after.tokens, dropped);
  Publish(std::move(after));
  Purge(before->meta->db());
  SizeCache();
  return OkStatus();
}

Status SettledDb::Merge(const FamilyId& id) {
  while (true) {
    QUIPU_RETURN_IF_ERROR(Prepare());
    QUIPU_ASSIGN_OR_RETURN(const ViewRef now, view());
    const auto all = now->All();
    const auto family = std::ranges::find(all, id, [](const FamilyRef& f) { return f->id(); });
    if (family == all.end()) return OkStatus();
    rocksdb::DB* const db = (*family)->db();
    rocksdb::ColumnFamilyMetaData meta;
    db->GetColumnFamilyMetaData((*family)->handle(), &meta);
    const auto& runs = meta.levels.front().files;  // from the newest to the oldest
    if (runs.size() <= static_cast<size_t>(options_.runs_max)) return OkStatus();
    std::vector<uint64_t> sizes;
    for (const auto& run : runs) sizes.push_back(run.size);
    // No row of a slice replaces another, so there merging only saves looks into runs. A settle waits for it: it is
    // kept short, and the runs few.
    constexpr uint64_t kSliceRuns = 16;
    const uint64_t all_bytes = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
    const uint64_t bytes_max = id.sliced() ? std::max(options_.slice_merge_bytes, all_bytes / kSliceRuns)
                                           : std::numeric_limits<uint64_t>::max();
    const size_t count = RunsToMerge(sizes, bytes_max);
    if (count == 0) return OkStatus();
    std::vector<std::string> inputs;
    for (size_t i = 0; i < count; i++) inputs.push_back(runs[i].name);
    rocksdb::CompactionOptions options;
    options.compression = rocksdb::kDisableCompressionOption;  // as the family says
    options.max_subcompactions = 1;
    const rocksdb::Status merged = db->CompactFiles(options, (*family)->handle(), inputs, 0);
    if (!merged.ok())
      return Broken(FromRocks(merged, fmt::format("merging {} runs of {} in {}", inputs.size(), FamilyName(id), dir_)));
    Purge(db);
    SizeCache();
  }
}

Status SettledDb::Verify() {
  QUIPU_ASSIGN_OR_RETURN(const ViewRef now, view());
  const auto all = now->All();
  if (all.empty()) return OkStatus();
  const auto what = fmt::format("verifying {}", dir_);
  QUIPU_RETURN_IF_ERROR(files_->CheckCurrent(dir_ + "/CURRENT"));
  return FromRocks(all.front()->db()->VerifyFileChecksums({}), what);
}

}  // namespace quipu::store
