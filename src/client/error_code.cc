#include "client/error_code.h"

#include <algorithm>
#include <array>

namespace quipu::client {
namespace {

struct Row {
  std::string_view prefix;
  Code code;
};

// The first row that fits wins: longer prefixes come first.
constexpr std::array kRows = {
    Row{"UNCERTAIN deadline", Code::kDeadlineExceeded},
    Row{"UNCERTAIN internal", Code::kInternal},
    Row{"UNCERTAIN", Code::kUnknownOutcome},
    Row{"TOKENCONFLICT", Code::kTokenConflict},
    Row{"TOKENEXPIRED", Code::kTokenExpired},
    Row{"TOKENFUTURE", Code::kTokenInFuture},
    Row{"NOAUTH", Code::kUnauthenticated},
    Row{"WRONGPASS", Code::kUnauthenticated},
    Row{"NOPERM", Code::kPermissionDenied},
    Row{"READONLY", Code::kReadOnly},
    Row{"BUSY rate limit", Code::kRateLimited},
    Row{"BUSY", Code::kOverloaded},
    Row{"OOM quota", Code::kQuotaExceeded},
    Row{"OOM", Code::kStorageFull},
    Row{"LOADING", Code::kUnavailable},
    Row{"TRYAGAIN", Code::kUnavailable},
    Row{"DATALOSS", Code::kDataLoss},
    Row{"WRONGTYPE", Code::kInvalidArgument},
    Row{"EXECABORT", Code::kInvalidArgument},
    Row{"NOPROTO", Code::kInvalidArgument},
    Row{"ERR max number of clients", Code::kUnavailable},
    Row{"ERR Protocol error", Code::kTooLarge},
    Row{"ERR batch too large", Code::kTooLarge},
    Row{"ERR unknown command", Code::kUnimplemented},
    Row{"ERR unknown subcommand", Code::kUnimplemented},
    Row{"ERR no such namespace", Code::kNamespaceNotFound},
    Row{"ERR no such", Code::kNotFound},
    Row{"ERR token required", Code::kTokenRequired},
    Row{"ERR increment or decrement would overflow", Code::kOverflow},
    Row{"ERR decrement would overflow", Code::kOverflow},
    Row{"ERR applied increment would overflow", Code::kOverflow},
    Row{"ERR condition not met", Code::kConditionNotMet},
    Row{"ERR version mismatch", Code::kVersionMismatch},
    Row{"ERR", Code::kInvalidArgument},
};

}  // namespace

Code CodeOfErrorReply(std::string_view text) {
  for (const Row& row : kRows) {
    if (!text.starts_with(row.prefix)) continue;
    const bool whole_word = text.size() == row.prefix.size() || row.prefix.find(' ') != std::string_view::npos ||
                            text[row.prefix.size()] == ' ';
    if (whole_word) return row.code;
  }
  return Code::kUnknownOutcome;
}

Status StatusOfErrorReply(std::string_view text) {
  const Code code = CodeOfErrorReply(text);
  // The first word says what the code says.
  const size_t word = text.find(' ');
  const bool known =
      std::any_of(kRows.begin(), kRows.end(), [&](const Row& row) { return row.prefix == text.substr(0, word); });
  if (known && word != std::string_view::npos) text.remove_prefix(word + 1);
  return Status(code, std::string(text));
}

bool IsRetryable(Code code) {
  return IsUnknown(code) || code == Code::kUnavailable || code == Code::kOverloaded || code == Code::kRateLimited;
}

}  // namespace quipu::client
