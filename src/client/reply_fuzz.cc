// Any bytes as replies of a server: never a byte read beyond the end, a reply cut short is not complete yet, and it is
// the same reply whatever stands behind it. The first byte says where the input is cut.
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "client/reply.h"

namespace quipu::client {
namespace {

bool Same(const Reply& a, const Reply& b) {
  if (a.type != b.type || a.integer != b.integer || a.text != b.text) return false;
  if (a.elements.size() != b.elements.size()) return false;
  for (size_t i = 0; i < a.elements.size(); ++i) {
    if (!Same(a.elements[i], b.elements[i])) return false;
  }
  return true;
}

void Run(std::string_view bytes, size_t cut) {
  while (!bytes.empty()) {
    Reply reply, again;
    const auto used = ParseReply(bytes, &reply);
    if (!used.ok()) {
      QUIPU_ASSERT(used.code() == Code::kInvalidArgument, "{}", used.status().ToString());
      return;
    }
    if (*used == 0) return;
    QUIPU_ASSERT(*used <= bytes.size(), "{} of {} bytes", *used, bytes.size());
    const auto alone = ParseReply(bytes.substr(0, *used), &again);
    QUIPU_ASSERT(alone.ok() && *alone == *used && Same(reply, again), "{} bytes are another reply alone", *used);
    const auto shorter = ParseReply(bytes.substr(0, cut % *used), &again);
    QUIPU_ASSERT(shorter.ok() && *shorter == 0, "{} of {} bytes are no beginning", cut % *used, *used);
    const auto number = reply.AsInteger();
    QUIPU_ASSERT(reply.type != Reply::Type::kInteger || (number.ok() && *number == reply.integer), "a lost integer");
    bytes.remove_prefix(*used);
  }
}

}  // namespace
}  // namespace quipu::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  quipu::client::Run({reinterpret_cast<const char*>(data) + 1, size - 1}, data[0]);
  return 0;
}
