#include "base/suggest.h"

#include <algorithm>
#include <vector>

namespace quipu {
namespace {

constexpr size_t kWordBytesMax = 64;   // longer ones are nobody's typing error
constexpr size_t kPrefixBytesMin = 3;  // shorter ones begin too much

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); i++) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); j++) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    for (size_t j = 1; j <= b.size(); j++) {
      size_t replaced = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, replaced});
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string_view NearestWord(std::string_view word, std::span<const std::string_view> known) {
  if (word.size() > kWordBytesMax) return {};
  std::string_view best;
  size_t best_distance = SIZE_MAX;
  for (std::string_view candidate : known) {
    const size_t distance_max = std::max<size_t>(1, candidate.size() / 3);
    // No word is nearer than the lengths are.
    if (std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size()) > distance_max) continue;
    size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance <= distance_max) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty() || word.size() < kPrefixBytesMin) return best;
  auto begins = std::find_if(known.begin(), known.end(), [&](auto candidate) { return candidate.starts_with(word); });
  return begins == known.end() ? best : *begins;
}

}  // namespace quipu
