#include "gateway/resp/transaction.h"

namespace quipu::resp {

void Transaction::Push(const CommandSpec& spec, Args args) {
  queue.push_back({.spec = &spec, .first_arg = ranges_.size(), .arg_count = args.size()});
  for (std::string_view arg : args) {
    ranges_.push_back({bytes_.size(), arg.size()});
    bytes_.append(arg);
  }
}

Args Transaction::ArgsOf(const Queued& queued) {
  views_.clear();
  for (size_t i = 0; i < queued.arg_count; ++i) {
    const Range& range = ranges_[queued.first_arg + i];
    views_.push_back(std::string_view(bytes_).substr(range.at, range.size));
  }
  return views_;
}

void Transaction::Reset() {
  constexpr size_t kBytesKept = 64 * 1024;
  stage = Stage::kNone;
  aborted = false;
  queue.clear();
  current = 0;
  replies.Clear();
  bytes_.clear();
  ranges_.clear();
  if (bytes_.capacity() > kBytesKept) {
    bytes_ = {};
    ranges_ = {};
    queue = {};
    views_ = {};
  }
}

}  // namespace quipu::resp
