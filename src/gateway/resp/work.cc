#include "gateway/resp/work.h"

#include <algorithm>

namespace quipu::resp {

std::string_view Arena::Concat(std::initializer_list<std::string_view> parts) {
  size_t bytes = 0;
  for (std::string_view part : parts) bytes += part.size();
  if (chunks_.empty() || capacity_ - used_ < bytes) {
    capacity_ = std::max(kChunkBytes, bytes);
    chunks_.emplace_back(new char[capacity_]);
    used_ = 0;
  }
  char* start = chunks_.back().get() + used_;
  char* p = start;
  for (std::string_view part : parts) {
    if (!part.empty()) std::memcpy(p, part.data(), part.size());
    p += part.size();
  }
  used_ += bytes;
  return {start, bytes};
}

void Arena::Reset() {
  if (chunks_.size() > 1 || capacity_ > kChunkBytes) {
    chunks_.clear();
    capacity_ = 0;
  }
  used_ = 0;
}

void Work::Reset() {
  constexpr size_t kOpsKept = 4096;
  ops.clear();
  slots.clear();
  if (ops.capacity() > kOpsKept) ops = {};
  if (slots.capacity() > kOpsKept) slots = {};
  literals.Clear();
  arena.Reset();
  listings.clear();
  atomic = false;
  has_source = false;
  watched = 0;
  transaction = false;
  first_command = nullptr;
}

}  // namespace quipu::resp
