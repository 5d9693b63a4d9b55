#include "rt/table_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/assert.h"

namespace quipu::rt {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kHugeFromBytes = 4u << 20;

}  // namespace

TableMemory::TableMemory(size_t bytes) : bytes_(bytes) {
  data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  QUIPU_ASSERT(data_ != MAP_FAILED, "no memory for a table of {} bytes", bytes);
  if (bytes >= kHugeFromBytes) madvise(data_, bytes, MADV_HUGEPAGE);
}

TableMemory::~TableMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

void TableMemory::Populate(size_t from, size_t bytes) {
  auto* const p = static_cast<volatile char*>(data_);
  for (size_t at = from; at < std::min(from + bytes, bytes_); at += kPageBytes) p[at] = 0;
}

}  // namespace quipu::rt
