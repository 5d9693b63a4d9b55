#include "store/embedded/engine.h"

#include "base/crc32c.h"
#include "base/varint.h"

namespace quipu::store {
namespace {

constexpr char kStoreMagic[8] = {'Q', 'U', 'I', 'P', 'U', 'D', 'I', 'R'};
constexpr uint32_t kStoreVersion = 1;
constexpr size_t kStoreBytes = 44;

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

std::string JournalDir(const std::string& data_dir, uint32_t shard) {
  return fmt::format("{}/journal/{:04}", data_dir, shard);
}
std::string SettledDir(const std::string& data_dir) { return data_dir + "/settled"; }

std::string EncodeStoreIdentity(const StoreIdentity& id) {
  char out[kStoreBytes] = {};
  std::memcpy(out, kStoreMagic, 8);
  char* p = out + 12;
  p = PutFixed(p, kStoreVersion);
  p = PutFixed(p, id.store_id[0]);
  p = PutFixed(p, id.store_id[1]);
  p = PutFixed(p, id.token_seed);
  PutFixed(p, id.shards);
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

Result<std::unique_ptr<Engine>> Engine::Open(rt::Disk* disk, rt::Random* random, rt::Loop* loop,
                                             const EngineOptions& options) {
  auto engine = std::unique_ptr<Engine>(new Engine());
  const std::string& dir = options.data_dir;
  QUIPU_RETURN_IF_ERROR(disk->MakeDir(dir));
  QUIPU_ASSIGN_OR_RETURN(engine->lock_, disk->Lock(dir + "/lock"));

  auto identity = ReadStoreIdentity(disk, dir);
  if (identity.code() == Code::kNotFound) {
    // The store file is written before the first journal segment and the first run: where there is any of those,
    // somebody took it away.
    for (const std::string& part : {JournalDir(dir, 0), SettledDir(dir)}) {
      if (!disk->Exists(part)) continue;
      QUIPU_ASSIGN_OR_RETURN(auto names, disk->List(part));
      if (!names.empty())
        return Status(Code::kDataLoss, fmt::format("{}/store is missing, but {} is not empty", dir, part));
    }
    StoreIdentity fresh;
    fresh.store_id[0] = random->Next();
    fresh.store_id[1] = random->Next();
    fresh.token_seed = random->Next();
    QUIPU_RETURN_IF_ERROR(disk->MakeDir(dir + "/journal"));
    QUIPU_RETURN_IF_ERROR(disk->MakeDir(JournalDir(dir, 0)));
    QUIPU_RETURN_IF_ERROR(disk->SyncDir(dir + "/journal"));
    QUIPU_RETURN_IF_ERROR(WriteStoreIdentity(disk, dir, fresh));
    QUIPU_RETURN_IF_ERROR(disk->SyncDir(ParentOf(dir)));
    identity = fresh;
  }
  if (!identity.ok()) return identity.status();

  QUIPU_ASSIGN_OR_RETURN(engine->settled_, SettledStore::Open(disk, SettledDir(dir), options.settled));
  QUIPU_RETURN_IF_ERROR(disk->SyncDir(dir));
  Shard::Context context{.loop = loop,
                         .disk = disk,
                         .settled = engine->settled_.get(),
                         .token_seed = identity->token_seed,
                         .journal_dir = JournalDir(dir, 0),
                         .identity = {.store_id = {identity->store_id[0], identity->store_id[1]}, .shard = 0},
                         .namespace_seeds = options.namespaces};
  engine->shard_ = std::make_unique<Shard>(context, options.shard);
  QUIPU_RETURN_IF_ERROR(engine->shard_->Recover());
  return engine;
}

Engine::~Engine() = default;

}  // namespace quipu::store
