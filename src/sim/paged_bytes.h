// The content of a simulated file: pages that are shared until one side writes, and absent where they are all zero. A
// copy of a file, or of a whole disk, costs one pointer a page; a preallocated log costs nothing until it is written.
//
// Threads   One owner. Errors: none; positions outside are the caller's matter.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace quipu::sim {

inline constexpr size_t kPageBytes = 4096;
inline constexpr size_t kSectorBytes = 512;  // what a device writes whole or not at all
inline constexpr size_t kSectorsPerPage = kPageBytes / kSectorBytes;

using Page = std::array<char, kPageBytes>;
using PageRef = std::shared_ptr<Page>;  // null: all zero

class PagedBytes {
 public:
  uint64_t size() const { return size_; }
  size_t page_count() const { return pages_.size(); }

  // Copies what lies before size(); returns how much that is.
  size_t Read(uint64_t offset, std::span<char> out) const;
  // Grows as needed; a gap reads as zeros.
  void Write(uint64_t offset, std::span<const char> data);
  // Cuts or extends with zeros.
  void Resize(uint64_t size);

  // Page `index`, null when it is zero or beyond the end.
  PageRef page(size_t index) const { return index < pages_.size() ? pages_[index] : nullptr; }
  // Index below page_count(). The page is shared with where it came from, until either side writes to it.
  void SetPage(size_t index, PageRef page);

 private:
  std::vector<PageRef> pages_;
  uint64_t size_ = 0;
};

// A page whose sectors come from `fresh` where the mask has a bit, else from `old`; null for all zero.
PageRef TornPage(const PageRef& old, const PageRef& fresh, unsigned sector_mask);

}  // namespace quipu::sim
