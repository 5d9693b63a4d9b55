// Sorting millions of rows by a word that is spread evenly, such as a hash.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace quipu::store {

// Sorts by `less`, whose first word is `word`, into `sorted`, which has room for as many. A first pass deals the rows
// out by the word's upper bits, so that what std::sort then sees fits the core's cache.
template <class Row, class Word, class Less>
void SortByWord(std::span<const Row> rows, Row* sorted, Word word, Less less) {
  // About 2,000 rows in a pile of the largest runs, and few piles where there are few rows.
  const int deal_bits = rows.size() < 4096 ? 1 : 11;
  const auto pile_of = [&](const Row& row) { return word(row) >> (64 - deal_bits); };
  std::vector<size_t> ends((size_t{1} << deal_bits) + 1);
  for (const Row& row : rows) ++ends[pile_of(row) + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  for (const Row& row : rows) sorted[ends[pile_of(row)]++] = row;
  for (size_t begin = 0, pile = 0; pile + 1 < ends.size(); begin = ends[pile++]) {
    std::sort(sorted + begin, sorted + ends[pile], less);
  }
}

}  // namespace quipu::store
