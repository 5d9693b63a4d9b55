#include "sim/sim_random.h"

#include <bit>

#include "base/assert.h"

namespace quipu::sim {
namespace {

uint64_t SplitMix(uint64_t* state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t MixSeed(uint64_t a, uint64_t b) {
  uint64_t state = a;
  uint64_t first = SplitMix(&state);
  state = first ^ b;
  return SplitMix(&state);
}

SimRandom::SimRandom(uint64_t seed, std::string_view purpose) {
  uint64_t name = 0xCBF29CE484222325ull;
  for (char c : purpose) name = (name ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  uint64_t state = MixSeed(seed, name);
  for (uint64_t& word : s_) word = SplitMix(&state);
}

uint64_t SimRandom::Next() {
  const uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

uint64_t SimRandom::Below(uint64_t bound) {
  QUIPU_ASSERT(bound > 0, "nothing lies below 0");
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
}

int64_t SimRandom::Between(int64_t low, int64_t high) {
  QUIPU_ASSERT(low <= high, "low={} high={}", low, high);
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  return static_cast<int64_t>(static_cast<uint64_t>(low) + (span == 0 ? Next() : Below(span)));
}

bool SimRandom::Chance(double probability) {
  if (!(probability > 0)) return false;
  if (probability >= 1) return true;
  return static_cast<double>(Next() >> 11) * 0x1p-53 < probability;
}

uint64_t SimRandom::Skewed(uint64_t high) {
  QUIPU_ASSERT(high > 0, "nothing lies in [1, 0]");
  const int bits = static_cast<int>(Below(static_cast<uint64_t>(std::bit_width(high)))) + 1;
  const uint64_t top = bits == 64 ? ~0ull : (1ull << bits) - 1;
  const uint64_t low = 1ull << (bits - 1);
  const uint64_t capped = top < high ? top : high;
  return low + Below(capped - low + 1);
}

}  // namespace quipu::sim
