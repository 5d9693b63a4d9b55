// Requests of the Redis protocol out of a stream of bytes: multibulk (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) and inline
// (`GET k\r\n`). Incremental: an incomplete request is continued where it stopped, so the work is linear in the bytes
// however they are cut. The arguments are views into the caller's buffer.
//
// Threads   One owner.
// Memory    The bytes of a request belong to the caller and must stay valid, at the place given last, for as long as
//           the arguments are used. An inline request is unquoted in place. The list of arguments is reused by the
//           next Parse.
// Errors    kError with error(): a protocol error; the stream cannot be continued. Every limit is checked on the
//           length announced, before the bytes come.
// Cost      About 5 ns an argument; no allocation once warm.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quipu::resp {

struct ParserLimits {
  size_t elements_max = 1024 * 1024;     // arguments of a request
  size_t bulk_bytes_max = 512 * 1024;    // one argument
  size_t inline_bytes_max = 64 * 1024;   // an inline request
  size_t elements_max_before_auth = 10;  // the same before AUTH
  size_t bulk_bytes_max_before_auth = 16 * 1024;  // of an inline request: the line
};

class RespParser {
 public:
  enum class Result : uint8_t { kCommand, kNeedMore, kError };

  explicit RespParser(const ParserLimits& limits) : limits_(limits) {}

  // Which limits hold for requests that begin from now on.
  void SetAuthenticated(bool authenticated) { authenticated_ = authenticated; }

  // `data` is where the current request starts: the same bytes as last time and more if the last answer was kNeedMore
  // (less the consumed() ones, perhaps moved), else what follows them. Empty requests are skipped.
  Result Parse(char* data, size_t size);

  // After kCommand: the request, never empty.
  std::span<const std::string_view> args() const { return args_; }
  // Bytes that are done with: after kCommand the whole request, after kNeedMore skipped empty requests.
  size_t consumed() const { return consumed_; }
  // After kNeedMore: the request cannot be complete with fewer bytes than this from its start.
  size_t bytes_wanted() const { return bytes_wanted_; }
  // After kError: the text of the reply, without "ERR Protocol error: ".
  const std::string& error() const { return error_; }

 private:
  // These take the request's start and leave position_ behind what they took; kCommand means done.
  Result ParseHeader(const char* data, size_t size);
  Result ParseBulks(const char* data, size_t size);
  Result ParseInline(char* data, size_t size);
  Result SplitInline(char* line, char* end);
  Result NeedMore(size_t wanted);
  Result Fail(std::string text);
  void Rebase(const char* data);

  const ParserLimits limits_;
  bool authenticated_ = true;
  bool multibulk_ = false;      // the form of the request under way
  bool begun_ = false;          // a request is under way: the fields below hold
  size_t position_ = 0;         // bytes of it that are parsed
  size_t elements_left_ = 0;    // multibulk: arguments to come
  int64_t bulk_bytes_ = -1;     // multibulk: of the argument under way; -1 before its header
  const char* base_ = nullptr;  // where `data` was when the views in args_ were made
  std::vector<std::string_view> args_;
  size_t consumed_ = 0;
  size_t bytes_wanted_ = 0;
  std::string error_;
};

}  // namespace quipu::resp
