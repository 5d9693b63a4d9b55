#include "model/name.h"

#include <fmt/core.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/text.h"

namespace quipu {
namespace {

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

Status CheckNamespaceName(std::string_view name) {
  if (name.empty() || name.size() > kNamespaceNameBytesMax) {
    return Status(Code::kInvalidArgument,
                  fmt::format("namespace has {} bytes, allowed are 1 to {}", name.size(), kNamespaceNameBytesMax));
  }
  for (size_t i = 0; i < name.size(); i++) {
    bool allowed = IsLowerOrDigit(name[i]) || (i > 0 && (name[i] == '_' || name[i] == '-'));
    if (!allowed) {
      return Status(Code::kInvalidArgument,
                    fmt::format("namespace: byte {} is not allowed, the rule is [a-z0-9][a-z0-9_-]{{0,62}}", i));
    }
  }
  return OkStatus();
}

bool IsCounterName(std::string_view name) {
  return !name.empty() && name.size() <= kCounterNameBytesMax && IsPrintableUtf8(name);
}

Status CheckCounterName(std::string_view name) { return CheckText("counter_name", name, kCounterNameBytesMax); }

uint64_t HashCounter(NamespaceId ns, std::string_view name) {
  uint64_t whole = XXH3_64bits_withSeed(name.data(), name.size(), ns);
  std::string_view group = SplitGrouped(name).group;
  if (group.empty()) return whole;
  constexpr uint64_t kPartitionMask = ~uint64_t{0} << (64 - kPartitionBits);
  return (XXH3_64bits_withSeed(group.data(), group.size(), ns) & kPartitionMask) | (whole & ~kPartitionMask);
}

GroupedName SplitGrouped(std::string_view name) {
  if (name.empty() || name.back() != ']') return {};
  std::string_view body = name.substr(0, name.size() - 1);
  size_t open = body.find('[');
  if (open == std::string_view::npos || open == 0) return {};
  if (body.find_first_of("[]", open + 1) != std::string_view::npos) return {};
  if (body.substr(0, open).find(']') != std::string_view::npos) return {};
  return {.group = body.substr(0, open), .field = body.substr(open + 1)};
}

}  // namespace quipu
