#include "test/simulation/ledger.h"

#include <fmt/core.h>

#include <algorithm>

namespace quipu::simulation {
namespace {

// Beyond this many unknown adds only the bounds of their sums are checked.
constexpr size_t kSubsetsMax = 16;

bool IsSubsetSum(const std::vector<int64_t>& deltas, __int128 residue) {
  if (deltas.size() <= kSubsetsMax) {
    for (uint32_t mask = 0; mask < (1u << deltas.size()); ++mask) {
      __int128 sum = 0;
      for (size_t i = 0; i < deltas.size(); ++i) sum += (mask >> i) & 1 ? deltas[i] : 0;
      if (sum == residue) return true;
    }
    return false;
  }
  __int128 low = 0, high = 0;
  for (int64_t d : deltas) (d < 0 ? low : high) += d;
  return low <= residue && residue <= high;
}

}  // namespace

void Ledger::Applied(int counter, int64_t delta) {
  std::vector<int64_t>& open = open_[counter];
  const auto it = std::find(open.begin(), open.end(), delta);
  if (it != open.end()) open.erase(it);
  sums_[counter] += delta;
}

std::string Ledger::TokenApplied(int counter, int token, uint64_t position, int64_t applied) {
  const auto [it, is_new] = tokens_.emplace(std::pair(token, position), applied);
  if (is_new) sums_[counter] += applied;
  if (it->second == applied) return "";
  return fmt::format("token {} on counter {} applied {}, and now says {}", token, counter, it->second, applied);
}

bool Ledger::IsKnown(int token) const {
  const auto it = tokens_.lower_bound({token, 0});
  return it != tokens_.end() && it->first.first == token;
}

void Ledger::Crash() {
  for (auto& [counter, deltas] : open_) {
    std::vector<int64_t>& unknown = unknown_[counter];
    unknown.insert(unknown.end(), deltas.begin(), deltas.end());
  }
  open_.clear();
}

std::string Ledger::Check(int counter, int64_t value, __int128* residue) {
  *residue = value - sums_[counter];
  if (IsSubsetSum(unknown_[counter], *residue)) return "";
  return fmt::format("counter {} reads {}, the ledger's sum is off by {} and {} unknown adds do not explain it",
                     counter, value, static_cast<int64_t>(*residue), unknown_[counter].size());
}

std::string Ledger::Judge(int counter, int64_t value) {
  __int128 residue = 0;
  return Check(counter, value, &residue);
}

std::string Ledger::Settle(int counter, int64_t value) {
  __int128 residue = 0;
  std::string wrong = Check(counter, value, &residue);
  if (wrong.empty()) {
    sums_[counter] += residue;
    unknown_.erase(counter);
  }
  return wrong;
}

std::string Ledger::JudgeTickets(std::vector<int64_t> results, bool all_resolved) {
  std::sort(results.begin(), results.end());
  for (size_t i = 1; i < results.size(); ++i) {
    if (results[i] == results[i - 1]) return fmt::format("two adds returned {}", results[i]);
    if (all_resolved && results[i] != results[i - 1] + 1) {
      return fmt::format("nobody got {}, between {} and {}", results[i - 1] + 1, results[i - 1], results[i]);
    }
  }
  return "";
}

}  // namespace quipu::simulation
