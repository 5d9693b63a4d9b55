// 128-bit digests (XXH3) of content as it streams by: what a source is recognised by. Not cryptographic: it tells files
// apart, it does not defend against a forger who may count whatever he likes anyway.
#pragma once
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct XXH3_state_s;

namespace quipu::ingest {

struct Digest {
  uint64_t hi = 0, lo = 0;
  bool operator==(const Digest&) const = default;
  auto operator<=>(const Digest&) const = default;
};

std::string DigestToHex(Digest d);  // 32 lower-case digits
Result<Digest> DigestFromHex(std::string_view text);
Digest DigestOf(std::string_view bytes);

// The digest of everything seen so far, at any moment. Copyable: a copy goes on by itself.
class RunningDigest {
 public:
  RunningDigest();
  RunningDigest(const RunningDigest& other);
  RunningDigest& operator=(const RunningDigest& other);
  ~RunningDigest();
  void Update(std::string_view bytes);
  Digest Value() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace quipu::ingest
