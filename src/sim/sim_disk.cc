#include "sim/sim_disk.h"

#include <algorithm>

#include "base/assert.h"
#include "sim/sim_inode.h"

namespace quipu::sim {

SimDisk::SimDisk(SimClock* clock, Trace* trace, uint64_t seed, size_t log_alignment)
    : clock_(clock),
      trace_(trace),
      log_alignment_(log_alignment),
      faults_(seed, "disk.faults"),
      latency_(seed, "disk.latency"),
      power_(seed, "disk.power"),
      root_(NewInode(true)) {
  QUIPU_ASSERT(log_alignment >= 512 && log_alignment <= kPageBytes && (log_alignment & (log_alignment - 1)) == 0,
               "log_alignment={}", log_alignment);
}

SimDisk::~SimDisk() = default;

SimDisk::InodeRef SimDisk::NewInode(bool is_dir) {
  auto inode = std::make_shared<Inode>();
  inode->number = next_inode_++;
  inode->is_dir = is_dir;
  return inode;
}

std::vector<std::string> SimDisk::Split(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return parts;
}

SimDisk::Place SimDisk::Find(const std::string& path) const {
  const std::vector<std::string> parts = Split(path);
  if (parts.empty()) return {.dir = root_, .name = "", .inode = root_};
  InodeRef dir = root_;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    auto it = dir->names.find(parts[i]);
    if (it == dir->names.end() || !it->second->is_dir) return {};
    dir = it->second;
  }
  auto it = dir->names.find(parts.back());
  return {.dir = dir, .name = parts.back(), .inode = it == dir->names.end() ? nullptr : it->second};
}

Fault SimDisk::Enter(Call call, std::string_view path, bool allocates, Status* status) {
  ++calls_;
  ++counts_.calls[static_cast<size_t>(call)];
  if (calls_ == crash_at_) off_ = true;
  trace_->Mix(static_cast<uint64_t>(call));
  trace_->MixText(path);
  const bool spared = call == Call::kRead && !plan_.read_spares.empty() && path.find(plan_.read_spares) != path.npos;
  if (spared) return Fault::kNone;
  if (log_ && off_) log_(fmt::format("disk {}: {} {}: power is off", calls_, CallName(call), path));
  if (off_) {
    *status = Fails(CallName(call), path, "power is off");
    return Fault::kNone;
  }
  const Fault fault = DrawFault(call, path, allocates);
  if (log_ && call != Call::kLook)
    log_(fmt::format("disk {}: {} {}: {}", calls_, CallName(call), path, FaultName(fault)));
  if (fault != Fault::kNone) {
    ++counts_.faults[static_cast<size_t>(call)][static_cast<size_t>(fault)];
    trace_->Mix(static_cast<uint64_t>(fault));
  }
  return fault;
}

Fault SimDisk::DrawFault(Call call, std::string_view path, bool allocates) {
  for (auto it = scripts_.begin(); it != scripts_.end(); ++it) {
    if (it->call != call || path.find(it->path_contains) == std::string_view::npos) continue;
    if (it->skip > 0) {
      --it->skip;
      continue;
    }
    const Fault fault = it->fault;
    scripts_.erase(it);
    return fault;
  }
  double error = 0;
  double partial = 0;
  switch (call) {
    case Call::kOpen:
      error = plan_.open_error;
      break;
    case Call::kRead:
      if (faults_.Chance(plan_.read_flip)) return Fault::kFlip;
      error = plan_.read_error;
      break;
    case Call::kWrite:
      error = plan_.write_error;
      partial = plan_.write_partial;
      break;
    case Call::kLogWrite:
      error = plan_.log_write_error;
      partial = plan_.write_partial;
      break;
    case Call::kSync:
      error = plan_.sync_error;
      break;
    case Call::kSyncDir:
      error = plan_.sync_dir_error;
      break;
    case Call::kRename:
      error = plan_.rename_error;
      break;
    case Call::kLook:
      break;
  }
  if (faults_.Chance(error)) return Fault::kError;
  if (faults_.Chance(partial)) return Fault::kPartial;
  if (allocates && faults_.Chance(plan_.no_space)) return Fault::kNoSpace;
  return Fault::kNone;
}

int64_t SimDisk::DrawLatency(const Latency& latency, Call call) {
  int64_t us = latency_.Between(latency.min_us, latency.max_us);
  if (latency_.Chance(latency.stall)) {
    ++counts_.faults[static_cast<size_t>(call)][static_cast<size_t>(Fault::kStall)];
    us += latency_.Between(latency.stall_min_us, latency.stall_max_us);
  }
  return us;
}

Status SimDisk::Rename(const std::string& from, const std::string& to) {
  Status status;
  const Fault fault = Enter(Call::kRename, from, true, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kRename, from);
  const Place source = Find(from);
  const Place target = Find(to);
  if (!source.inode || !target.dir) return Fails("rename", from, "ENOENT", Code::kNotFound);
  if (source.inode == target.inode) return OkStatus();
  if (target.inode && (target.inode->is_dir || source.inode->is_dir)) return Fails("rename", to, "EEXIST");
  trace_->MixText(to);
  Change({.from_dir = source.dir, .from = source.name, .to_dir = target.dir, .to = target.name, .inode = source.inode});
  return OkStatus();
}

Status SimDisk::Remove(const std::string& path) {
  Status status;
  const Fault fault = Enter(Call::kRename, path, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kRename, path);
  const Place place = Find(path);
  if (!place.inode) return Fails("remove", path, "ENOENT", Code::kNotFound);
  if (place.inode->is_dir) return Fails("remove", path, "EISDIR");
  Change({.from_dir = place.dir, .from = place.name, .to_dir = nullptr, .to = "", .inode = place.inode});
  return OkStatus();
}

Status SimDisk::MakeDir(const std::string& path) {
  const Place place = Find(path);
  Status status;
  const Fault fault = Enter(Call::kOpen, path, !place.inode, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kOpen, path);
  if (!place.dir) return Fails("mkdir", path, "ENOENT", Code::kNotFound);
  if (place.inode) return place.inode->is_dir ? OkStatus() : Fails("mkdir", path, "EEXIST");
  Change({.from_dir = nullptr, .from = "", .to_dir = place.dir, .to = place.name, .inode = NewInode(true)});
  return OkStatus();
}

Status SimDisk::RemoveDir(const std::string& path) {
  Status status;
  const Fault fault = Enter(Call::kRename, path, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kRename, path);
  const Place place = Find(path);
  if (!place.inode) return Fails("rmdir", path, "ENOENT", Code::kNotFound);
  if (!place.inode->is_dir || place.inode == root_) return Fails("rmdir", path, "ENOTDIR");
  if (!place.inode->names.empty()) return Fails("rmdir", path, "ENOTEMPTY");
  Change({.from_dir = place.dir, .from = place.name, .to_dir = nullptr, .to = "", .inode = place.inode});
  return OkStatus();
}

Status SimDisk::SyncDir(const std::string& path) {
  Status status;
  const Fault fault = Enter(Call::kSyncDir, path, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  clock_->Block(DrawLatency(plan_.sync, Call::kSyncDir));
  const Place place = Find(path);
  if (!place.inode) return Fails("sync dir", path, "ENOENT", Code::kNotFound);
  if (!place.inode->is_dir) return Fails("sync dir", path, "ENOTDIR");
  if (fault != Fault::kNone) return FaultStatus(fault, Call::kSyncDir, path);
  std::vector<NameChange> rest;
  for (NameChange& change : changes_) {
    if (change.from_dir == place.inode || change.to_dir == place.inode) {
      ApplyDurable(change);
    } else {
      rest.push_back(std::move(change));
    }
  }
  changes_ = std::move(rest);
  return OkStatus();
}

bool SimDisk::Exists(const std::string& path) {
  Status status;
  (void)Enter(Call::kLook, path, false, &status);
  return status.ok() && Find(path).inode != nullptr;
}

bool SimDisk::IsDir(const std::string& path) {
  Status status;
  (void)Enter(Call::kLook, path, false, &status);
  const Place place = Find(path);
  return status.ok() && place.inode != nullptr && place.inode->is_dir;
}

Result<std::vector<std::string>> SimDisk::List(const std::string& dir) {
  Status status;
  (void)Enter(Call::kLook, dir, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  const Place place = Find(dir);
  if (!place.inode) return Fails("list", dir, "ENOENT", Code::kNotFound);
  if (!place.inode->is_dir) return Fails("list", dir, "ENOTDIR");
  std::vector<std::string> names;
  for (const auto& [name, inode] : place.inode->names) names.push_back(name);
  return names;
}

Result<rt::DiskSpace> SimDisk::Space(const std::string& path) {
  Status status;
  (void)Enter(Call::kLook, path, false, &status);
  QUIPU_RETURN_IF_ERROR(status);
  return rt::DiskSpace{.free_bytes = FreePages() * kPageBytes, .total_bytes = plan_.capacity_bytes};
}

void SimDisk::Change(NameChange change) {
  if (change.from_dir) {
    change.from_dir->names.erase(change.from);
    Unlink(change.inode.get());
  }
  if (change.to_dir) {
    InodeRef& entry = change.to_dir->names[change.to];
    if (entry) Unlink(entry.get());
    entry = change.inode;
    if (++entry->links == 1) used_pages_ += entry->cache.page_count();
  }
  changes_.push_back(std::move(change));
}

void SimDisk::Unlink(Inode* inode) {
  if (--inode->links == 0) used_pages_ -= inode->cache.page_count();
}

void SimDisk::TraceBytes(const std::string& path, std::span<const char> data) {
  if (!only_sizes_.empty() && path.find(only_sizes_) != std::string::npos) {
    trace_->Mix(data.size());
  } else {
    trace_->MixBytes(data);
  }
}

uint64_t SimDisk::FreePages() const {
  const uint64_t capacity = plan_.capacity_bytes / kPageBytes;
  return capacity - std::min(capacity, used_pages_);
}

}  // namespace quipu::sim
