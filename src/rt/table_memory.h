// Zeroed memory for one large table, on huge pages where it is large enough for them: a look into it is then one cache
// miss, without one in the page tables before it.
//
// Threads   One owner at a time. Populate may run on another thread before the owner uses the memory.
// Memory    Address space at once, pages at the first touch of each: up to some milliseconds for a huge one.
// Errors    None; running out of memory ends the process (the engine keeps the budget).
#pragma once
#include <cstddef>
#include <utility>

namespace quipu::rt {

class TableMemory {
 public:
  TableMemory() = default;
  explicit TableMemory(size_t bytes);
  ~TableMemory();
  TableMemory(TableMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  TableMemory& operator=(TableMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  // Has the pages of [from, from + bytes) there, so that nobody waits for them later. Only before first use.
  void Populate(size_t from, size_t bytes);

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace quipu::rt
