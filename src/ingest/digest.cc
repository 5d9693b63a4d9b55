#include "ingest/digest.h"

#include <xxhash.h>

#include <charconv>

#include "base/assert.h"

namespace quipu::ingest {

std::string DigestToHex(Digest d) { return fmt::format("{:016x}{:016x}", d.hi, d.lo); }

Result<Digest> DigestFromHex(std::string_view text) {
  Digest d;
  const char* const end = text.data() + text.size();
  if (text.size() == 32) {
    const auto hi = std::from_chars(text.data(), text.data() + 16, d.hi, 16);
    const auto lo = std::from_chars(text.data() + 16, end, d.lo, 16);
    if (hi.ptr == text.data() + 16 && hi.ec == std::errc() && lo.ptr == end && lo.ec == std::errc()) return d;
  }
  return Status(Code::kInvalidArgument, fmt::format("`{:.40}` is no digest of 32 hexadecimal digits", text));
}

Digest DigestOf(std::string_view bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {.hi = h.high64, .lo = h.low64};
}

void RunningDigest::Free::operator()(XXH3_state_s* state) const { XXH3_freeState(state); }

RunningDigest::RunningDigest() : state_(XXH3_createState()) {
  QUIPU_ASSERT(state_ != nullptr, "out of memory");
  XXH3_128bits_reset(state_.get());
}
RunningDigest::RunningDigest(const RunningDigest& other) : RunningDigest() { *this = other; }
RunningDigest& RunningDigest::operator=(const RunningDigest& other) {
  XXH3_copyState(state_.get(), other.state_.get());
  return *this;
}
RunningDigest::~RunningDigest() = default;

void RunningDigest::Update(std::string_view bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }

Digest RunningDigest::Value() const {
  const XXH128_hash_t h = XXH3_128bits_digest(state_.get());
  return {.hi = h.high64, .lo = h.low64};
}

}  // namespace quipu::ingest
