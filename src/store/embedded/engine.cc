#include "store/embedded/engine.h"

#include "base/crc32c.h"
#include "base/plant.h"
#include "base/varint.h"
#include "store/embedded/sharded_store.h"

namespace quipu::store {
namespace {

constexpr char kStoreMagic[8] = {'Q', 'U', 'I', 'P', 'U', 'D', 'I', 'R'};
constexpr uint32_t kStoreVersion = 3;  // 1: prints of tokens were made of their text; 2: each event had a row
constexpr size_t kStoreBytes = 48;

Status WriteStoreIdentity(rt::Disk* disk, const std::string& data_dir, const StoreIdentity& id) {
  std::string path = data_dir + "/store";
  std::string temporary = path + ".tmp";
  {
    QUIPU_ASSIGN_OR_RETURN(auto file, disk->Open(temporary, rt::OpenMode::kTruncate));
    std::string bytes = EncodeStoreIdentity(id);
    QUIPU_RETURN_IF_ERROR(file->WriteAt(0, bytes));
    QUIPU_RETURN_IF_ERROR(file->Sync());
  }
  QUIPU_RETURN_IF_ERROR(disk->Rename(temporary, path));
  return disk->SyncDir(data_dir);
}

std::string ParentOf(const std::string& path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

std::string GenerationDir(const std::string& data_dir, uint32_t generation) {
  return fmt::format("{}/journal/{:04}", data_dir, generation);
}
std::string JournalDir(const std::string& data_dir, const StoreIdentity& id, uint32_t shard) {
  return fmt::format("{}/{:04}", GenerationDir(data_dir, id.generation), shard);
}
JournalIdentity JournalIdentityOf(const StoreIdentity& id, uint32_t shard) {
  return {.store_id = {id.store_id[0], id.store_id[1]}, .shard = shard};
}
std::string PositionGeneration(const StoreIdentity& id) { return fmt::format("{:04}", id.generation); }
std::string SettledDir(const std::string& data_dir) { return data_dir + "/settled"; }

std::string EncodeStoreIdentity(const StoreIdentity& id) {
  char out[kStoreBytes] = {};
  std::memcpy(out, kStoreMagic, 8);
  char* p = out + 12;
  p = PutFixed(p, kStoreVersion);
  p = PutFixed(p, id.store_id[0]);
  p = PutFixed(p, id.store_id[1]);
  p = PutFixed(p, id.token_seed);
  p = PutFixed(p, id.shards);
  PutFixed(p, id.generation);
  PutFixed(out + 8, Crc32c(0, out + 12, kStoreBytes - 12));
  return std::string(out, sizeof out);
}

Result<StoreIdentity> DecodeStoreIdentity(std::string_view bytes) {
  if (bytes.size() != kStoreBytes || std::memcmp(bytes.data(), kStoreMagic, 8) != 0 ||
      GetFixed<uint32_t>(bytes.data() + 8) != Crc32c(0, bytes.data() + 12, kStoreBytes - 12)) {
    return Status(Code::kDataLoss, "the store file is damaged");
  }
  if (auto version = GetFixed<uint32_t>(bytes.data() + 12); version != kStoreVersion) {
    return Status(Code::kInvalidArgument,
                  fmt::format("data directory format {}, this build reads {}", version, kStoreVersion));
  }
  StoreIdentity id;
  id.store_id[0] = GetFixed<uint64_t>(bytes.data() + 16);
  id.store_id[1] = GetFixed<uint64_t>(bytes.data() + 24);
  id.token_seed = GetFixed<uint64_t>(bytes.data() + 32);
  id.shards = GetFixed<uint32_t>(bytes.data() + 40);
  id.generation = GetFixed<uint32_t>(bytes.data() + 44);
  if (id.shards == 0 || id.shards > kShardsMax) return Status(Code::kDataLoss, fmt::format("{} shards", id.shards));
  return id;
}

Result<StoreIdentity> ReadStoreIdentity(rt::Disk* disk, const std::string& data_dir) {
  std::string path = data_dir + "/store";
  QUIPU_ASSIGN_OR_RETURN(auto file, disk->Open(path, rt::OpenMode::kRead));
  char bytes[kStoreBytes + 1];
  QUIPU_ASSIGN_OR_RETURN(size_t n, file->ReadAt(0, std::span<char>(bytes, sizeof bytes)));
  auto id = DecodeStoreIdentity({bytes, n});
  if (!id.ok()) return Status(id.code(), fmt::format("{}: {}", path, id.status().message()));
  return id;
}

namespace {

Status MakeJournalDirs(rt::Disk* disk, const std::string& dir, const StoreIdentity& id) {
  QUIPU_RETURN_IF_ERROR(disk->MakeDir(dir + "/journal"));
  QUIPU_RETURN_IF_ERROR(disk->MakeDir(GenerationDir(dir, id.generation)));
  for (uint32_t s = 0; s < id.shards; ++s) QUIPU_RETURN_IF_ERROR(disk->MakeDir(JournalDir(dir, id, s)));
  QUIPU_RETURN_IF_ERROR(disk->SyncDir(GenerationDir(dir, id.generation)));
  QUIPU_RETURN_IF_ERROR(disk->SyncDir(dir + "/journal"));
  return disk->SyncDir(dir);
}

// The identity of the directory; makes a new one where there is nothing yet.
Result<StoreIdentity> OpenIdentity(rt::Disk* disk, rt::Random* random, const std::string& dir, uint32_t shards) {
  auto identity = ReadStoreIdentity(disk, dir);
  if (identity.code() != Code::kNotFound) return identity;
  // The store file is written before the first journal segment and the first run: where there is any of those, somebody
  // took it away.
  StoreIdentity fresh;
  fresh.shards = shards;
  std::vector<std::string> parts = {SettledDir(dir)};
  for (uint32_t s = 0; s < kShardsMax; ++s) parts.push_back(JournalDir(dir, fresh, s));
  for (const std::string& part : parts) {
    if (!disk->Exists(part)) continue;
    QUIPU_ASSIGN_OR_RETURN(auto names, disk->List(part));
    if (!names.empty()) {
      return Status(Code::kDataLoss, fmt::format("{}/store is missing, but {} is not empty", dir, part));
    }
  }
  fresh.store_id[0] = random->Next();
  fresh.store_id[1] = random->Next();
  fresh.token_seed = random->Next();
  fresh.generation = 0;
  QUIPU_RETURN_IF_ERROR(WriteStoreIdentity(disk, dir, fresh));
  return fresh;
}

// Lays out the journals of the identity's next generation and puts it in force. From then on a journal without any
// segment is a lost one.
Status BeginGeneration(rt::Disk* disk, const EngineOptions& options, uint32_t shards, StoreIdentity* id) {
  StoreIdentity next = *id;
  next.shards = shards;
  ++next.generation;
  QUIPU_RETURN_IF_ERROR(MakeJournalDirs(disk, options.data_dir, next));
  for (uint32_t s = 0; s < shards; ++s) {
    SegmentHeader header{.store_id = {id->store_id[0], id->store_id[1]},
                         .shard = s,
                         .segment = 1,
                         .bytes = options.shard.journal.segment_bytes};
    QUIPU_RETURN_IF_ERROR(LayOutSegment(disk, JournalDir(options.data_dir, next, s), header));
  }
  QUIPU_RETURN_IF_ERROR(WriteStoreIdentity(disk, options.data_dir, next));
  *id = next;
  return OkStatus();
}

Result<Position> SettledPositionOf(SettledStore* settled, const StoreIdentity& id, uint32_t shard,
                                   SettledPosition* out) {
  QUIPU_ASSIGN_OR_RETURN(auto row, settled->GetMeta(PositionKey(PositionGeneration(id), shard)));
  *out = SettledPosition();
  if (row && !DecodeSettledPosition(*row, out)) return Status(Code::kDataLoss, "the settled position does not decode");
  return out->position;
}

// Settles every journal to its end and begins a new generation of them. A crash before the identity is replaced leaves
// the old generation in force, only further settled.
Status ChangeShards(rt::Disk* disk, SettledStore* settled, const EngineOptions& options, uint32_t shards,
                    StoreIdentity* id) {
  const std::string& dir = options.data_dir;
  QUIPU_ASSIGN_OR_RETURN(StepIndex steps, StepIndex::Read(disk, settled, dir, *id));
  SettledPosition newest;
  for (uint32_t s = 0; s < id->shards; ++s) {
    SettledPosition reached;
    QUIPU_RETURN_IF_ERROR(SettledPositionOf(settled, *id, s, &reached).status());
    std::string journal_dir = JournalDir(dir, *id, s);
    auto end = ReadJournal(disk, journal_dir, JournalIdentityOf(*id, s), reached.position,
                           [&](const FrameHeader& h, std::string_view payload) {
                             StepRecord step;
                             bool cut = BeginsStep(payload, h.commit_us, &step) && !steps.Holds(step);
                             return cut ? Status(Code::kConditionNotMet, "a part of the step is missing") : OkStatus();
                           });
    if (!end.ok()) return end.status();
    QUIPU_RETURN_IF_ERROR(WipeBeyond(disk, journal_dir, *end));
    std::vector<uint64_t> segments;
    for (const SegmentInfo& segment : end->start.segments) segments.push_back(segment.segment);
    while (reached.position + 1 < end->start.next) {
      SettleOutcome outcome = Settle({.disk = disk,
                                      .settled = settled,
                                      .journal_dir = journal_dir,
                                      .segments = segments,
                                      .shard = s,
                                      .generation = PositionGeneration(*id),
                                      .token_seed = id->token_seed,
                                      .after = reached.position,
                                      .through = end->start.next - 1});
      QUIPU_RETURN_IF_ERROR(outcome.status);
      reached.position = outcome.settled;
      reached.commit_us = outcome.commit_us;
      reached.newest_own_us = outcome.newest_own_us;
    }
    newest.position = std::max(newest.position, reached.position);
    newest.commit_us = std::max(newest.commit_us, reached.commit_us);
    newest.newest_own_us = std::max(newest.newest_own_us, reached.newest_own_us);
  }
  StoreIdentity next = *id;
  next.shards = shards;
  ++next.generation;
  // A counter's positions go on ascending wherever it lives from now on.
  QUIPU_ASSIGN_OR_RETURN(auto run, settled->BeginRun());
  for (uint32_t s = 0; s < shards; ++s) {
    QUIPU_RETURN_IF_ERROR(run->PutMeta(PositionKey(PositionGeneration(next), s), EncodeSettledPosition(newest)));
  }
  QUIPU_RETURN_IF_ERROR(run->Commit());
  return BeginGeneration(disk, options, shards, id);
}

// What an earlier change of shards left behind.
Status RemoveOldGenerations(rt::Disk* disk, const std::string& dir, const StoreIdentity& id) {
  QUIPU_ASSIGN_OR_RETURN(auto generations, disk->List(dir + "/journal"));
  for (const std::string& generation : generations) {
    std::string path = dir + "/journal/" + generation;
    if (path == GenerationDir(dir, id.generation) || !disk->IsDir(path)) continue;
    QUIPU_ASSIGN_OR_RETURN(auto shards, disk->List(path));
    for (const std::string& shard : shards) {
      QUIPU_ASSIGN_OR_RETURN(auto files, disk->List(path + "/" + shard));
      for (const std::string& file : files) QUIPU_RETURN_IF_ERROR(disk->Remove(path + "/" + shard + "/" + file));
      QUIPU_RETURN_IF_ERROR(disk->RemoveDir(path + "/" + shard));
    }
    QUIPU_RETURN_IF_ERROR(disk->RemoveDir(path));
  }
  return OkStatus();
}

}  // namespace

Result<StepIndex> StepIndex::Read(rt::Disk* disk, SettledStore* settled, const std::string& data_dir,
                                  const StoreIdentity& id) {
  // A step that one journal holds is missing where another journal ends before its part. Ending a journal there may
  // take a part of a further step away, so look again until nothing changes.
  struct Found {
    uint32_t shard;
    Position position;
    StepRecord step;
  };
  StepIndex index;
  std::vector<Found> found;
  for (uint32_t s = 0; s < id.shards; ++s) {
    SettledPosition reached;
    QUIPU_RETURN_IF_ERROR(SettledPositionOf(settled, id, s, &reached).status());
    if (!disk->IsDir(JournalDir(data_dir, id, s))) {
      return Status(Code::kDataLoss, fmt::format("{}: the directory is missing", JournalDir(data_dir, id, s)));
    }
    QUIPU_ASSIGN_OR_RETURN(auto names, disk->List(JournalDir(data_dir, id, s)));
    bool any = std::any_of(names.begin(), names.end(), [](const std::string& name) { return IsSegmentName(name); });
    if (!any) {
      return Status(Code::kDataLoss, fmt::format("{}: there is no segment left", JournalDir(data_dir, id, s)));
    }
    Position end_position = reached.position;
    if (id.shards > 1) {
      auto end = ReadJournal(disk, JournalDir(data_dir, id, s), JournalIdentityOf(id, s), reached.position,
                             [&](const FrameHeader& h, std::string_view payload) {
                               StepRecord step;
                               if (BeginsStep(payload, h.commit_us, &step)) found.push_back({s, h.first, step});
                               return OkStatus();
                             });
      if (!end.ok()) return end.status();
      end_position = end->start.next - 1;
    }
    index.ends_.push_back(end_position);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const Found& f : found) {
      if (f.position > index.ends_[f.shard] || index.Holds(f.step)) continue;
      index.ends_[f.shard] = f.position - 1;
      changed = true;
    }
  }
  return index;
}

bool StepIndex::Holds(const StepRecord& step) const {
  if (QUIPU_PLANTED(144)) return true;
  for (const StepRecord::Part& part : step.parts) {
    if (part.shard >= ends_.size() || part.position > ends_[part.shard]) return false;
  }
  return true;
}

Result<std::unique_ptr<Engine>> Engine::Open(rt::Disk* disk, rt::Random* random, const std::vector<rt::Loop*>& loops,
                                             const EngineOptions& options) {
  auto shards = static_cast<uint32_t>(loops.size());
  QUIPU_ASSERT(shards >= 1 && shards <= kShardsMax, "{} shards", shards);
  auto engine = std::unique_ptr<Engine>(new Engine());
  const std::string& dir = options.data_dir;
  QUIPU_RETURN_IF_ERROR(disk->MakeDir(dir));
  QUIPU_ASSIGN_OR_RETURN(engine->lock_, disk->Lock(dir + "/lock"));
  QUIPU_ASSIGN_OR_RETURN(StoreIdentity id, OpenIdentity(disk, random, dir, shards));
  QUIPU_ASSIGN_OR_RETURN(engine->settled_, SettledStore::Open(disk, SettledDir(dir), options.settled));
  QUIPU_RETURN_IF_ERROR(disk->SyncDir(dir));
  // Each time: a first start that was cut off may have left the directory's own name behind in the cache only.
  QUIPU_RETURN_IF_ERROR(disk->SyncDir(ParentOf(dir)));
  if (id.generation == 0) QUIPU_RETURN_IF_ERROR(BeginGeneration(disk, options, shards, &id));
  if (id.shards != shards) QUIPU_RETURN_IF_ERROR(ChangeShards(disk, engine->settled_.get(), options, shards, &id));
  QUIPU_ASSIGN_OR_RETURN(StepIndex steps, StepIndex::Read(disk, engine->settled_.get(), dir, id));
  QUIPU_RETURN_IF_ERROR(RemoveOldGenerations(disk, dir, id));

  Engine* self = engine.get();
  for (uint32_t s = 0; s < shards; ++s) {
    Shard::Context context{.loop = loops[s],
                           .disk = disk,
                           .settled = engine->settled_.get(),
                           .token_seed = id.token_seed,
                           .journal_dir = JournalDir(dir, id, s),
                           .identity = JournalIdentityOf(id, s),
                           .shards = shards,
                           .position_generation = PositionGeneration(id),
                           .all_counts = &engine->counts_,
                           .on_fenced = nullptr,
                           .namespaces = s == 0 ? nullptr : engine->shards_[0]->Namespaces(),
                           .namespace_seeds = options.namespaces};
    if (shards > 1) {
      context.on_fenced = [self, s](const Status& reason) {
        for (const auto& other : self->shards_) {
          if (other->number() == s) continue;
          other->loop()->Post([shard = other.get(), reason] { shard->FenceFrom(reason); });
        }
      };
    }
    engine->shards_.push_back(std::make_unique<Shard>(context, options.shard));
    QUIPU_RETURN_IF_ERROR(engine->shards_.back()->Recover([&](const StepRecord& step) { return steps.Holds(step); }));
  }
  std::vector<Shard*> all;
  for (const auto& shard : engine->shards_) {
    engine->counts_.push_back(&shard->counts());
    all.push_back(shard.get());
  }
  if (shards > 1) {
    uint64_t step_seed = random->Next();
    for (uint32_t s = 0; s < shards; ++s) {
      engine->stores_.push_back(
          std::make_unique<ShardedStore>(all, s, &engine->meetings_, step_seed, options.observer));
    }
  }
  return engine;
}

Engine::~Engine() { meetings_.Stop(); }

}  // namespace quipu::store
