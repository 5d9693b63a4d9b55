// What CURRENT seals: writing the seals, and comparing files with them.
#include <charconv>

#include "base/crc32c.h"
#include "store/embedded/rocks_disk.h"

namespace quipu::store {
namespace {

constexpr uint64_t kSmallFileBytesMax = 1u << 30;  // CURRENT, MANIFEST: far below; a bound on damage

}  // namespace

std::string SealCurrent(const CurrentSeal& seal) {
  std::string text = seal.manifest + "\n";
  for (const auto& [name, file] : seal.files) text += fmt::format("{} {} {:08x}\n", name, file.size, file.crc);
  text += fmt::format("{:08x}\n", Crc32c(0, text.data(), text.size()));
  return text;
}

std::optional<CurrentSeal> UnsealCurrent(std::string_view text) {
  CurrentSeal seal;
  seal.manifest = text.substr(0, text.find('\n'));
  std::string_view rest = text.substr(seal.manifest.size());
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const size_t blank = line.find(' ');
    if (blank != std::string_view::npos) {
      FileSeal file;
      const char* const end = line.data() + line.size();
      const auto size = std::from_chars(line.data() + blank + 1, end, file.size);
      if (size.ec != std::errc() || size.ptr == end) return std::nullopt;
      if (std::from_chars(size.ptr + 1, end, file.crc, 16).ec != std::errc()) return std::nullopt;
      seal.files[std::string(line.substr(0, blank))] = file;
    }
  }
  // There is one spelling, and it holds a checksum of itself.
  if (SealCurrent(seal) != text || !seal.manifest.starts_with(kManifestPrefix)) return std::nullopt;
  return seal.files.contains(seal.manifest) ? std::optional(seal) : std::nullopt;
}

Result<std::string> RocksDisk::ReadWhole(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(path, rt::OpenMode::kRead));
  QUIPU_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > kSmallFileBytesMax) {
    return Status(Code::kDataLoss, fmt::format("{}: size {} is above {}", path, size, kSmallFileBytesMax));
  }
  std::string text(size, '\0');
  QUIPU_ASSIGN_OR_RETURN(const size_t got, file->ReadAt(0, text));
  text.resize(got);
  return text;
}

Result<CurrentSeal> RocksDisk::ReadCurrent(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
  auto seal = UnsealCurrent(text);
  if (!seal) return Status(Code::kDataLoss, fmt::format("{}: its checksum does not hold", path));
  const std::string manifest_path = fmt::format("{}/{}", DirName(path), seal->manifest);
  const auto manifest = ReadWhole(manifest_path);
  if (!manifest) {
    if (manifest.code() != Code::kNotFound) return manifest.status();
    return Status(Code::kDataLoss, fmt::format("{}: missing, and {} names it", manifest_path, path));
  }
  const FileSeal found{.size = manifest->size(), .crc = Crc32c(0, manifest->data(), manifest->size())};
  const FileSeal& sealed = seal->files.at(seal->manifest);
  if (found != sealed) {
    return Status(Code::kDataLoss, fmt::format("{}: {} bytes with CRC32C {:08x}, but {} says {} bytes with {:08x}",
                                               manifest_path, found.size, found.crc, path, sealed.size, sealed.crc));
  }
  return std::move(*seal);
}

Result<std::string> RocksDisk::LoadCurrent(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(CurrentSeal seal, ReadCurrent(path));
  // Files that went after CURRENT was written.
  QUIPU_ASSIGN_OR_RETURN(const auto names, disk_->List(DirName(path)));
  std::erase_if(seal.files, [&](const auto& file) { return !std::ranges::binary_search(names, file.first); });
  std::lock_guard lock(mutex_);
  seals_ = std::move(seal.files);
  current_manifest_ = seal.manifest;
  return seal.manifest + "\n";
}

Status RocksDisk::Seal(const std::string& path) {
  QUIPU_ASSIGN_OR_RETURN(const std::string text, ReadWhole(path));
  CurrentSeal seal;
  {
    std::lock_guard lock(mutex_);
    seal = {.manifest = last_manifest_, .files = seals_};
  }
  if (text != seal.manifest + "\n") {
    return Status(Code::kDataLoss,
                  fmt::format("{}: names {:?}, the MANIFEST synced last is {}", path, text, seal.manifest));
  }
  // Of MANIFESTs that one alone, and no runs in the making.
  std::erase_if(seal.files,
                [&](const auto& file) { return !file.first.ends_with(kRunSuffix) && file.first != seal.manifest; });
  const std::string sealed = SealCurrent(seal);
  QUIPU_ASSIGN_OR_RETURN(auto file, disk_->Open(path, rt::OpenMode::kReadWrite));
  QUIPU_RETURN_IF_ERROR(file->WriteAt(0, sealed));
  Status status = file->Sync();
  return status.ok() || status.code() == Code::kStorageFull ? status : Fence(std::move(status));
}

Status RocksDisk::CheckEnd(const std::string& path, rt::File* file) {
  FileSeal sealed;
  {
    std::lock_guard lock(mutex_);
    const auto seal = seals_.find(std::string(BaseName(path)));
    if (seal == seals_.end()) return Status(Code::kDataLoss, fmt::format("{}: CURRENT does not know it", path));
    sealed = seal->second;
  }
  QUIPU_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size != sealed.size) {
    return Status(Code::kDataLoss, fmt::format("{}: has {} bytes, CURRENT says {}", path, size, sealed.size));
  }
  std::string end(std::min<uint64_t>(size, kSealedBytes), '\0');
  QUIPU_ASSIGN_OR_RETURN(const size_t got, file->ReadAt(size - end.size(), end));
  if (got == end.size() && Crc32c(0, end.data(), got) == sealed.crc) return OkStatus();
  return Status(Code::kDataLoss,
                fmt::format("{}: bytes {} to {} are not what was written", path, size - end.size(), size));
}

}  // namespace quipu::store
