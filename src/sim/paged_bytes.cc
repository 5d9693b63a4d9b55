#include "sim/paged_bytes.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace quipu::sim {
namespace {

const Page kZeroPage{};

bool IsZero(std::span<const char> bytes) { return std::memcmp(bytes.data(), kZeroPage.data(), bytes.size()) == 0; }

}  // namespace

size_t PagedBytes::Read(uint64_t offset, std::span<char> out) const {
  if (offset >= size_) return 0;
  const size_t total = static_cast<size_t>(std::min<uint64_t>(out.size(), size_ - offset));
  size_t done = 0;
  while (done < total) {
    const size_t within = static_cast<size_t>((offset + done) % kPageBytes);
    const size_t n = std::min(kPageBytes - within, total - done);
    const PageRef& page = pages_[static_cast<size_t>((offset + done) / kPageBytes)];
    std::memcpy(out.data() + done, (page ? page->data() : kZeroPage.data()) + within, n);
    done += n;
  }
  return total;
}

void PagedBytes::Write(uint64_t offset, std::span<const char> data) {
  if (data.empty()) return;
  if (offset + data.size() > size_) Resize(offset + data.size());
  size_t done = 0;
  while (done < data.size()) {
    const size_t within = static_cast<size_t>((offset + done) % kPageBytes);
    const size_t n = std::min(kPageBytes - within, data.size() - done);
    PageRef& page = pages_[static_cast<size_t>((offset + done) / kPageBytes)];
    const std::span<const char> piece = data.subspan(done, n);
    done += n;
    if (n == kPageBytes) {
      if (IsZero(piece)) {
        page = nullptr;
        continue;
      }
      if (!page || page.use_count() > 1) page = std::make_shared_for_overwrite<Page>();
    } else if (!page) {
      if (IsZero(piece)) continue;
      page = std::make_shared<Page>();
    } else if (page.use_count() > 1) {
      page = std::make_shared<Page>(*page);
    }
    std::memcpy(page->data() + within, piece.data(), n);
  }
}

void PagedBytes::Resize(uint64_t size) {
  if (size < size_ && size % kPageBytes != 0) {
    // The rest of the last page must read as zeros if the file grows again.
    PageRef& last = pages_[static_cast<size_t>(size / kPageBytes)];
    if (last) {
      last = std::make_shared<Page>(*last);
      std::fill(last->begin() + static_cast<ptrdiff_t>(size % kPageBytes), last->end(), 0);
    }
  }
  pages_.resize(static_cast<size_t>((size + kPageBytes - 1) / kPageBytes));
  size_ = size;
}

void PagedBytes::SetPage(size_t index, PageRef page) {
  QUIPU_ASSERT(index < pages_.size(), "page {} of {}", index, pages_.size());
  pages_[index] = std::move(page);
}

PageRef TornPage(const PageRef& old, const PageRef& fresh, unsigned sector_mask) {
  auto page = std::make_shared<Page>();
  for (size_t s = 0; s < kSectorsPerPage; ++s) {
    const PageRef& from = (sector_mask >> s) & 1 ? fresh : old;
    if (from) std::memcpy(page->data() + s * kSectorBytes, from->data() + s * kSectorBytes, kSectorBytes);
  }
  return IsZero({page->data(), page->size()}) ? nullptr : page;
}

}  // namespace quipu::sim
