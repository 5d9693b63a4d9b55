// The moments when a SimDisk loses something: power loss, death of the process, and damage done by a test.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "base/assert.h"
#include "sim/sim_disk.h"
#include "sim/sim_inode.h"

namespace quipu::sim {
namespace {

// How one power loss treats a group of things. Extremes are as likely as mixtures: a mixture of a thousand pages would
// never by chance lose them all.
enum class Regime : uint8_t { kLoseAll, kKeepAll, kKeepFirst, kMix };

Regime DrawRegime(SimRandom* random) { return static_cast<Regime>(random->Below(4)); }

}  // namespace

void SimDisk::ApplyDurable(const NameChange& change) {
  if (change.from_dir) change.from_dir->durable_names.erase(change.from);
  if (change.to_dir) change.to_dir->durable_names[change.to] = change.inode;
}

void SimDisk::ApplyDurableTorn(const NameChange& change) { change.to_dir->durable_names[change.to] = change.inode; }

void SimDisk::PowerLoss() {
  ++counts_.power_losses;
  ForgetHandles();
  SettleNames();
  std::unordered_set<const Inode*> seen;  // looked up only, never iterated
  std::vector<InodeRef> stack = {root_};
  while (!stack.empty()) {
    const InodeRef inode = std::move(stack.back());
    stack.pop_back();
    if (!seen.insert(inode.get()).second) continue;
    if (!inode->is_dir) {
      SettleFile(inode.get());
      continue;
    }
    inode->names = inode->durable_names;
    for (const auto& [name, child] : inode->names) stack.push_back(child);
  }
  Recount();
}

void SimDisk::SettleNames() {
  const Regime regime = DrawRegime(&power_);
  const uint64_t first = changes_.empty() ? 0 : power_.Below(changes_.size() + 1);
  for (size_t i = 0; i < changes_.size(); ++i) {
    const bool rename = changes_[i].from_dir != nullptr && changes_[i].to_dir != nullptr;
    const uint64_t draw = power_.Below(rename ? 3 : 2);
    if (regime == Regime::kKeepAll || (regime == Regime::kKeepFirst && i < first) ||
        (regime == Regime::kMix && draw == 1)) {
      ApplyDurable(changes_[i]);
      ++counts_.names_kept;
    } else if (regime == Regime::kMix && draw == 2) {
      ApplyDurableTorn(changes_[i]);
      ++counts_.names_torn;
    } else {
      ++counts_.names_lost;
    }
  }
  changes_.clear();
}

void SimDisk::SettleFile(Inode* inode) {
  const size_t old_pages = inode->medium.page_count();
  const uint64_t low = std::min(inode->medium.size(), inode->cache.size());
  const uint64_t high = std::max(inode->medium.size(), inode->cache.size());
  uint64_t size = power_.Below(2) == 0 ? inode->medium.size() : inode->cache.size();
  if (inode->cache.size() > inode->medium.size() && power_.Below(3) == 0) {
    size = std::min(high, (low + power_.Below(high - low + 1)) / kSectorBytes * kSectorBytes);
    size = std::max(size, low);
  }

  PagedBytes result = inode->medium;
  result.Resize(Inode::PagesOf(size) * kPageBytes);
  std::vector<uint32_t> dirty;
  for (uint32_t page : inode->dirty_pages) {
    if (page < result.page_count() && page < inode->cache.page_count()) dirty.push_back(page);
  }
  const Regime regime = DrawRegime(&power_);
  const bool garbage = power_.Chance(0.3);
  const uint64_t first = power_.Below(dirty.size() + 1);
  for (size_t i = 0; i < dirty.size(); ++i) {
    const uint32_t page = dirty[i];
    const uint64_t draw = regime == Regime::kMix ? power_.Below(3) : 0;
    if (regime == Regime::kKeepAll || (regime == Regime::kKeepFirst && i < first) ||
        (regime == Regime::kMix && draw == 1)) {
      result.SetPage(page, inode->cache.page(page));
      ++counts_.pages_kept;
    } else if (regime == Regime::kMix && draw == 2) {
      const unsigned mask = static_cast<unsigned>(1 + power_.Below((1u << kSectorsPerPage) - 2));
      result.SetPage(page, TornPage(result.page(page), inode->cache.page(page), mask));
      ++counts_.pages_torn;
    } else if (garbage && page >= old_pages) {
      auto bytes = std::make_shared<Page>();
      for (size_t b = 0; b < kPageBytes; b += sizeof(uint64_t)) {
        const uint64_t word = power_.Next();
        std::memcpy(bytes->data() + b, &word, sizeof word);
      }
      result.SetPage(page, std::move(bytes));
      ++counts_.pages_garbage;
    } else {
      ++counts_.pages_lost;
    }
  }
  result.Resize(size);
  inode->medium = std::move(result);
  inode->cache = inode->medium;
  inode->MarkClean();

  for (const auto& write : std::exchange(inode->in_flight, {})) {
    if (write->data.empty()) continue;
    const Regime r = DrawRegime(&power_);
    WriteSectors(inode, *write, static_cast<uint64_t>(r));
  }
}

void SimDisk::WriteSectors(Inode* inode, const InFlight& write, uint64_t regime) {
  const size_t sectors = write.data.size() / kSectorBytes;
  const size_t first = static_cast<size_t>(power_.Below(sectors + 1));
  size_t written = 0;
  for (size_t s = 0; s < sectors; ++s) {
    const bool keep = static_cast<Regime>(regime) == Regime::kKeepAll ||
                      (static_cast<Regime>(regime) == Regime::kKeepFirst && s < first) ||
                      (static_cast<Regime>(regime) == Regime::kMix && power_.Below(2) == 0);
    if (!keep) continue;
    const uint64_t at = write.offset + s * kSectorBytes;
    if (at + kSectorBytes > inode->cache.size()) continue;  // the file's size did not survive
    WriteThrough(inode, at, {write.data.data() + s * kSectorBytes, kSectorBytes});
    ++written;
  }
  if (written == 0) {
    ++counts_.log_writes_lost;
  } else if (written == sectors) {
    ++counts_.log_writes_kept;
  } else {
    ++counts_.log_writes_torn;
  }
}

void SimDisk::Restart() {
  ++counts_.process_deaths;
  ForgetHandles();
  std::vector<InodeRef> stack = {root_};
  while (!stack.empty()) {
    const InodeRef inode = std::move(stack.back());
    stack.pop_back();
    for (const auto& [name, child] : inode->names) stack.push_back(child);
    for (const auto& write : std::exchange(inode->in_flight, {})) {
      const size_t sectors = write->data.size() / kSectorBytes;
      const size_t whole = power_.Below(2) == 0 ? sectors : static_cast<size_t>(power_.Below(sectors + 1));
      WriteCache(inode.get(), write->path, write->offset, {write->data.data(), whole * kSectorBytes})
          .Ignore("a log file is laid out, so that its writes need no room");
    }
  }
  Recount();
}

void SimDisk::ForgetHandles() {
  ++generation_;
  off_ = false;
  crash_at_ = 0;
  locks_.clear();
}

void SimDisk::Recount() {
  used_pages_ = 0;
  std::unordered_set<const Inode*> seen;  // looked up only, never iterated
  std::vector<InodeRef> stack = {root_};
  while (!stack.empty()) {
    const InodeRef inode = std::move(stack.back());
    stack.pop_back();
    if (!seen.insert(inode.get()).second) continue;
    inode->links = 0;
    used_pages_ += inode->cache.page_count();
    for (const auto& [name, child] : inode->names) stack.push_back(child);
  }
  stack = {root_};
  seen.clear();
  while (!stack.empty()) {
    const InodeRef inode = std::move(stack.back());
    stack.pop_back();
    if (!seen.insert(inode.get()).second) continue;
    for (const auto& [name, child] : inode->names) {
      ++child->links;
      stack.push_back(child);
    }
  }
}

SimDisk::InodeRef SimDisk::MustFind(const std::string& path) const {
  InodeRef inode = Find(path).inode;
  QUIPU_ASSERT(inode != nullptr && !inode->is_dir, "no file {}", path);
  return inode;
}

void SimDisk::FlipBit(const std::string& path, uint64_t offset, int bit) {
  const InodeRef inode = MustFind(path);
  char byte = 0;
  const size_t n = inode->cache.Read(offset, {&byte, 1});
  QUIPU_ASSERT(n == 1, "{} ends at {}, before {}", path, inode->cache.size(), offset);
  byte = static_cast<char>(byte ^ (1 << bit));
  Overwrite(path, offset, {&byte, 1});
}

void SimDisk::Overwrite(const std::string& path, uint64_t offset, std::span<const char> data) {
  const InodeRef inode = MustFind(path);
  QUIPU_ASSERT(offset + data.size() <= inode->cache.size(), "{} ends at {}", path, inode->cache.size());
  ++counts_.damages;
  inode->cache.Write(offset, data);
  if (inode->medium.size() >= offset + data.size()) inode->medium.Write(offset, data);
}

void SimDisk::Cut(const std::string& path, uint64_t size) {
  const InodeRef inode = MustFind(path);
  ++counts_.damages;
  inode->cache.Resize(size);
  inode->medium.Resize(size);
  Recount();
}

void SimDisk::SwapFiles(const std::string& a, const std::string& b) {
  const InodeRef first = MustFind(a);
  const InodeRef second = MustFind(b);
  ++counts_.damages;
  std::swap(first->cache, second->cache);
  std::swap(first->medium, second->medium);
  std::swap(first->dirty, second->dirty);
  std::swap(first->dirty_pages, second->dirty_pages);
}

void SimDisk::CopyPage(const std::string& from, size_t from_page, const std::string& to, size_t to_page) {
  const InodeRef source = MustFind(from);
  const InodeRef target = MustFind(to);
  ++counts_.damages;
  target->cache.SetPage(to_page, source->cache.page(from_page));
  if (to_page < target->medium.page_count()) target->medium.SetPage(to_page, source->cache.page(from_page));
}

void SimDisk::Lose(const std::string& path) {
  const Place place = Find(path);
  QUIPU_ASSERT(place.inode != nullptr && !place.inode->is_dir, "no file {}", path);
  ++counts_.damages;
  place.dir->names.erase(place.name);
  place.dir->durable_names.erase(place.name);
  std::erase_if(changes_, [&](const NameChange& c) { return c.inode == place.inode; });
  Recount();
}

std::vector<std::pair<std::string, uint64_t>> SimDisk::Files() const {
  std::vector<std::pair<std::string, uint64_t>> files;
  std::vector<std::pair<std::string, const Inode*>> stack = {{"", root_.get()}};
  while (!stack.empty()) {
    const auto [path, inode] = std::move(stack.back());
    stack.pop_back();
    for (const auto& [name, child] : inode->names) {
      if (child->is_dir) {
        stack.emplace_back(path + "/" + name, child.get());
      } else {
        files.emplace_back(path + "/" + name, child->cache.size());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string SimDisk::Content(const std::string& path) const {
  const InodeRef inode = MustFind(path);
  std::string bytes(static_cast<size_t>(inode->cache.size()), '\0');
  inode->cache.Read(0, bytes);
  return bytes;
}

std::shared_ptr<const SimDisk::Image> SimDisk::Save() const {
  auto image = std::make_shared<Image>();
  image->root = std::make_shared<Image::Node>();
  std::vector<std::pair<const Inode*, Image::Node*>> stack = {{root_.get(), image->root.get()}};
  while (!stack.empty()) {
    const auto [inode, node] = stack.back();
    stack.pop_back();
    node->is_dir = inode->is_dir;
    node->content = inode->cache;
    for (const auto& [name, child] : inode->names) {
      auto& copy = node->names[name] = std::make_shared<Image::Node>();
      stack.emplace_back(child.get(), copy.get());
    }
  }
  return image;
}

void SimDisk::Load(const Image& image) {
  ForgetHandles();
  changes_.clear();
  root_ = NewInode(true);
  std::vector<std::pair<const Image::Node*, Inode*>> stack = {{image.root.get(), root_.get()}};
  while (!stack.empty()) {
    const auto [node, inode] = stack.back();
    stack.pop_back();
    inode->cache = node->content;
    inode->medium = node->content;
    for (const auto& [name, child] : node->names) {
      const InodeRef copy = NewInode(child->is_dir);
      inode->names[name] = copy;
      inode->durable_names[name] = copy;
      stack.emplace_back(child.get(), copy.get());
    }
  }
  Recount();
}

}  // namespace quipu::sim
