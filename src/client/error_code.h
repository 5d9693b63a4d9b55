// What an error reply means: the table of outcomes, read from the side of the client.
#pragma once
#include <string_view>

#include "base/status.h"

namespace quipu::client {

// The code for an error reply's text (without the leading `-`). A prefix that nobody knows counts as
// kUnknownOutcome: only the same token is safe then.
Code CodeOfErrorReply(std::string_view text);
Status StatusOfErrorReply(std::string_view text);

// True if the same request may be sent again and could then succeed; after an unknown outcome, with the same token
// only.
bool IsRetryable(Code code);

}  // namespace quipu::client
