#include "client/reply.h"

#include <charconv>

namespace quipu::client {
namespace {

bool ParseInteger(std::string_view text, int64_t* value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

Status Malformed(std::string_view what) {
  return Status(Code::kInvalidArgument, fmt::format("the reply is not RESP2: {}", what));
}

Result<size_t> Parse(std::string_view bytes, int depth, Reply* reply) {
  const size_t cr = bytes.find('\r');
  if (cr == std::string_view::npos || cr + 1 >= bytes.size()) {
    if (bytes.size() > kReplyLineBytesMax) return Malformed("a line longer than 65536 bytes");
    return size_t{0};
  }
  if (bytes[cr + 1] != '\n' || cr == 0) return Malformed("a line that does not end in CR LF");
  const std::string_view line = bytes.substr(1, cr - 1);
  size_t used = cr + 2;
  *reply = Reply();
  switch (bytes[0]) {
    case '+':
    case '-':
      reply->type = bytes[0] == '+' ? Reply::Type::kSimple : Reply::Type::kError;
      reply->text = line;
      return used;
    case ':':
      reply->type = Reply::Type::kInteger;
      if (!ParseInteger(line, &reply->integer)) return Malformed("an integer with other characters");
      return used;
    case '$': {
      int64_t size = 0;
      if (!ParseInteger(line, &size) || size < -1 || size > static_cast<int64_t>(kReplyBulkBytesMax)) {
        return Malformed("a bulk of no or too large a size");
      }
      if (size == -1) return used;
      const auto length = static_cast<size_t>(size);
      if (bytes.size() < used + length + 2) return size_t{0};
      if (bytes.substr(used + length, 2) != "\r\n") return Malformed("a bulk that does not end in CR LF");
      reply->type = Reply::Type::kBulk;
      reply->text = bytes.substr(used, length);
      return used + length + 2;
    }
    case '*': {
      int64_t count = 0;
      if (!ParseInteger(line, &count) || count < -1 || count > static_cast<int64_t>(kReplyElementsMax)) {
        return Malformed("an array of no or too large a size");
      }
      if (count == -1) return used;
      if (depth >= kReplyDepthMax) return Malformed("arrays nested more than 16 deep");
      reply->type = Reply::Type::kArray;
      for (int64_t i = 0; i < count; ++i) {
        Reply element;
        QUIPU_ASSIGN_OR_RETURN(const size_t n, Parse(bytes.substr(used), depth + 1, &element));
        if (n == 0) return size_t{0};
        used += n;
        reply->elements.push_back(std::move(element));
      }
      return used;
    }
    default:
      return Malformed(fmt::format("it starts with byte {:#04x}", static_cast<unsigned char>(bytes[0])));
  }
}

}  // namespace

Result<int64_t> Reply::AsInteger() const {
  int64_t value = 0;
  if (type == Type::kInteger) return integer;
  if ((type == Type::kBulk || type == Type::kSimple) && ParseInteger(text, &value)) return value;
  return Status(Code::kInvalidArgument, fmt::format("the reply is no integer: {:.80}", text));
}

Result<size_t> ParseReply(std::string_view bytes, Reply* reply) {
  if (bytes.empty()) return size_t{0};
  return Parse(bytes, 0, reply);
}

}  // namespace quipu::client
