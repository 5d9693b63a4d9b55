#include "gateway/resp/input_buffer.h"

#include <cstring>

namespace quipu::resp {
namespace {
constexpr size_t kRestBytes = 1024;  // a rest up to this size gives its block back
}

std::unique_ptr<char[]> BlockPool::Take() {
  if (free_.empty()) return std::unique_ptr<char[]>(new char[kInputBlockBytes]);
  std::unique_ptr<char[]> block = std::move(free_.back());
  free_.pop_back();
  return block;
}

void BlockPool::Give(std::unique_ptr<char[]> block) {
  if (free_.size() < kKept) free_.push_back(std::move(block));
}

void InputBuffer::MoveTo(std::unique_ptr<char[]> block, size_t capacity) {
  size_t held = size();
  if (held > 0) std::memcpy(block.get(), block_.get() + begin_, held);
  if (capacity_ == kInputBlockBytes) pool_->Give(std::move(block_));
  block_ = std::move(block);
  capacity_ = capacity;
  begin_ = 0;
  end_ = held;
}

std::span<char> InputBuffer::Writable() {
  if (capacity_ < kInputBlockBytes) MoveTo(pool_->Take(), kInputBlockBytes);
  if (capacity_ - end_ < kInputBlockBytes / 4) {
    if (begin_ >= size() && begin_ > 0) {
      std::memcpy(block_.get(), block_.get() + begin_, size());
      end_ = size();
      begin_ = 0;
    } else {
      MoveTo(std::unique_ptr<char[]>(new char[capacity_ * 2]), capacity_ * 2);
    }
  }
  return {block_.get() + end_, capacity_ - end_};
}

void InputBuffer::Trim() {
  if (size() == 0) return Clear();
  if (size() <= kRestBytes && capacity_ > kRestBytes) MoveTo(std::unique_ptr<char[]>(new char[kRestBytes]), kRestBytes);
}

void InputBuffer::Clear() {
  begin_ = end_ = 0;
  MoveTo(nullptr, 0);
}

}  // namespace quipu::resp
