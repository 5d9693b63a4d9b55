// Inside SimDisk: a file or directory as the cache shows it and as the medium has it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/sim_disk.h"

namespace quipu::sim {

// A log write that was started and is not done; after power loss a part of it may be on the medium.
struct SimDisk::InFlight {
  std::weak_ptr<Inode> inode;  // which holds this in turn
  std::string path;
  rt::LogFile::WriteOp* op = nullptr;  // null: nobody waits any more
  uint64_t offset = 0;
  std::string data;
  Fault fault = Fault::kNone;
  uint64_t generation = 0;
};

struct SimDisk::Inode {
  uint64_t number = 0;
  bool is_dir = false;
  int links = 0;  // names in the cache; a file without one takes no space

  // Files.
  PagedBytes cache;
  PagedBytes medium;
  std::vector<bool> dirty;            // by page of the cache
  std::vector<uint32_t> dirty_pages;  // the same; may hold pages that are clean again
  std::vector<std::shared_ptr<InFlight>> in_flight;

  // Directories.
  std::map<std::string, InodeRef> names;
  std::map<std::string, InodeRef> durable_names;

  void MarkDirty(size_t first, size_t last) {
    if (dirty.size() <= last) dirty.resize(last + 1);
    for (size_t p = first; p <= last; ++p) {
      if (dirty[p]) continue;
      dirty[p] = true;
      dirty_pages.push_back(static_cast<uint32_t>(p));
    }
  }
  void MarkClean() {
    for (uint32_t p : dirty_pages) dirty[p] = false;
    dirty_pages.clear();
  }
  static uint64_t PagesOf(uint64_t size) { return (size + kPageBytes - 1) / kPageBytes; }
};

Status Fails(std::string_view call, std::string_view path, std::string_view why, Code code = Code::kUnavailable);
Status FaultStatus(Fault fault, Call call, std::string_view path);

class SimDisk::Image {
 public:
  struct Node {
    bool is_dir = false;
    PagedBytes content;
    std::map<std::string, std::shared_ptr<Node>> names;
  };
  std::shared_ptr<Node> root;
};

}  // namespace quipu::sim
