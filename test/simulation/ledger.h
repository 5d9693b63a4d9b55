// What the clients know for themselves, by nothing but their own notes: which adds were acknowledged, and which are
// unknown. It knows counters that get plain adds only, and demands that the sum is right to the last unit.
//
// Threads   One. Errors: a text that says which sum is wrong.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace quipu::simulation {

class Ledger {
 public:
  // An add without a token: acknowledged once `Applied`; until then it may be there or not.
  void Sent(int counter, int64_t delta) { open_[counter].push_back(delta); }
  void Applied(int counter, int64_t delta);
  // An add with a token was applied at this position, now or before: whoever names the position names the same amount.
  // A token whose protection is over counts again, at another position.
  std::string TokenApplied(int counter, int token, uint64_t position, int64_t applied);
  // A request with a token that got no answer and that nobody can ask about any more: counted or not.
  void Unresolved(int counter, int64_t delta) { unknown_[counter].push_back(delta); }
  bool IsKnown(int token) const;
  // Nobody waits for answers any more: what is open stays unknown for ever.
  void Crash();
  // The counter's value as read, all tokens being resolved: the sum of the applied, plus some of the unknown.
  std::string Judge(int counter, int64_t value);
  // As Judge, and takes the unknown ones as decided by this value.
  std::string Settle(int counter, int64_t value);

  // One-unit adds with the value that each returned: all different, and none skipped once everything is resolved.
  static std::string JudgeTickets(std::vector<int64_t> results, bool all_resolved);

 private:
  std::string Check(int counter, int64_t value, __int128* residue);

  std::map<int, __int128> sums_;
  std::map<int, std::vector<int64_t>> open_;
  std::map<int, std::vector<int64_t>> unknown_;
  std::map<std::pair<int, uint64_t>, int64_t> tokens_;  // by token and position
};

}  // namespace quipu::simulation
