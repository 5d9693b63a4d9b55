// "Did you mean ...?": the known word nearest to an unknown one, for configuration keys, flags and JSON fields.
#pragma once
#include <span>
#include <string_view>

namespace quipu {

// The first known word with the smallest edit distance (insert, delete, replace, swap of neighbours). If even that one
// differs in more than a third of its letters (at least one is always allowed): the first known word that begins with
// `word`, if that has three letters, else empty. Cost: words' lengths multiplied.
std::string_view NearestWord(std::string_view word, std::span<const std::string_view> known);

}  // namespace quipu
