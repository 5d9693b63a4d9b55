// The bytes read from a connection and not yet executed. An idle connection holds no memory: blocks come from a pool
// of the server and go back when everything is executed; a short rest of a request moves into a small allocation.
//
// Threads   One owner.
// Memory    data() stays where it is until Writable, Trim or the destructor, so that arguments may point into it.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace quipu::resp {

inline constexpr size_t kInputBlockBytes = 64 * 1024;

class BlockPool {
 public:
  std::unique_ptr<char[]> Take();
  void Give(std::unique_ptr<char[]> block);

 private:
  static constexpr size_t kKept = 64;
  std::vector<std::unique_ptr<char[]>> free_;
};

class InputBuffer {
 public:
  explicit InputBuffer(BlockPool* pool) : pool_(pool) {}
  ~InputBuffer() { Clear(); }
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;

  char* data() { return block_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  size_t capacity() const { return capacity_; }

  // Room to read into, at least a quarter of a block; moves or doubles the buffer if need be.
  std::span<char> Writable();
  void Filled(size_t bytes) { end_ += bytes; }
  void Consume(size_t bytes) { begin_ += bytes; }
  // Gives back what is not needed to hold the rest.
  void Trim();
  void Clear();

 private:
  void MoveTo(std::unique_ptr<char[]> block, size_t capacity);

  BlockPool* const pool_;
  std::unique_ptr<char[]> block_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace quipu::resp
