// A RESP2 reply as a value, and the parser that makes it from bytes as they arrive.
//
// Memory    A reply owns its text.
// Errors    Bytes that are no RESP2 reply: kInvalidArgument.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace quipu::client {

inline constexpr size_t kReplyBulkBytesMax = 64u << 20;
inline constexpr size_t kReplyLineBytesMax = 64u << 10;
inline constexpr size_t kReplyElementsMax = 1u << 22;
inline constexpr int kReplyDepthMax = 16;

struct Reply {
  enum class Type : uint8_t { kSimple, kError, kInteger, kBulk, kArray, kNull };
  Type type = Type::kNull;
  int64_t integer = 0;
  std::string text;             // kSimple, kError, kBulk
  std::vector<Reply> elements;  // kArray

  bool is_error() const { return type == Type::kError; }
  bool is_null() const { return type == Type::kNull; }
  bool is_array() const { return type == Type::kArray; }
  // An integer, or a text that is one in full.
  Result<int64_t> AsInteger() const;
};

// Parses one reply from the front of `bytes`. Returns its size, or 0 if it is not complete yet. `reply` is only to be
// used when the result is not 0. An incomplete reply is parsed again from its start when more has come.
Result<size_t> ParseReply(std::string_view bytes, Reply* reply);

}  // namespace quipu::client
