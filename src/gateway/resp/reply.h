// Replies of the Redis protocol, written straight into a growable buffer. The forms that RESP3 added are written in
// their RESP2 stand-in until the connection says HELLO 3: maps and sets as flat arrays, null as an empty bulk,
// booleans as 1 and 0, verbatim text as a bulk.
//
// Threads   One owner.
// Memory    Grows by doubling; Release() gives the room back.
// Cost      An integer reply about 5 ns; no allocation once warm.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace quipu::resp {

enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

class ReplyBuffer {
 public:
  void SetProtocol(Protocol protocol) { protocol_ = protocol; }
  Protocol protocol() const { return protocol_; }

  void Simple(std::string_view text);  // +text; without line ends
  void Error(std::string_view text);   // -text; line ends in it become blanks
  void Integer(int64_t value);
  void Bulk(std::string_view bytes);
  void BulkInteger(int64_t value);  // the decimal as a bulk
  void Null();
  void NullArray();  // what EXEC answers when a watched key changed
  void Boolean(bool value);
  void Verbatim(std::string_view text);
  // Headers: that many replies (pairs of replies for Map) must follow.
  void Array(size_t count) { Header('*', count); }
  void Map(size_t pairs);
  void Set(size_t count);
  void Raw(std::string_view bytes);  // replies already written elsewhere

  std::string_view bytes() const { return {data_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  size_t capacity() const { return capacity_; }
  // Drops bytes at the front (they are sent) or everything behind the first `size` ones.
  void Consume(size_t count);
  void Truncate(size_t size) { end_ = begin_ + size; }
  void Clear() { begin_ = end_ = 0; }
  void Release();
  // Puts `with` in the place of the bytes from `from` to `to`. Cost: moves all that is behind.
  void Replace(size_t from, size_t to, std::string_view with);

 private:
  char* Reserve(size_t bytes) {
    if (capacity_ - end_ < bytes) [[unlikely]]
      Grow(bytes);
    return data_.get() + end_;
  }
  void Grow(size_t bytes);
  void Header(char type, size_t count);
  void Line(char type, std::string_view text);

  std::unique_ptr<char[]> data_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  Protocol protocol_ = Protocol::kResp2;
};

}  // namespace quipu::resp
