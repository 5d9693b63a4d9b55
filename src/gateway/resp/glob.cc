#include "gateway/resp/glob.h"

#include <utility>

namespace quipu::resp {
namespace {

unsigned char Fold(char c, LetterCase letters) {
  auto u = static_cast<unsigned char>(c);
  return letters == LetterCase::kIgnore && u >= 'A' && u <= 'Z' ? static_cast<unsigned char>(u | 0x20) : u;
}

// Matches one byte against the pattern's element at `p` and moves `p` behind it.
bool MatchElement(std::string_view pattern, size_t& p, char c, LetterCase letters) {
  unsigned char u = Fold(c, letters);
  char element = pattern[p++];
  if (element == '?') return true;
  if (element == '\\' && p < pattern.size()) return Fold(pattern[p++], letters) == u;
  if (element != '[') return Fold(element, letters) == u;
  bool negated = p < pattern.size() && pattern[p] == '^';
  if (negated) ++p;
  bool match = false;
  while (p < pattern.size() && pattern[p] != ']') {
    if (pattern[p] == '\\' && p + 1 < pattern.size()) {
      ++p;
      match |= Fold(pattern[p++], letters) == u;
    } else if (p + 2 < pattern.size() && pattern[p + 1] == '-') {
      unsigned char low = Fold(pattern[p], letters);
      unsigned char high = Fold(pattern[p + 2], letters);
      if (low > high) std::swap(low, high);
      match |= u >= low && u <= high;
      p += 3;
    } else {
      match |= Fold(pattern[p++], letters) == u;
    }
  }
  if (p < pattern.size()) ++p;
  return match != negated;
}

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view text, LetterCase letters) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // behind the last star, and how much of the text it has taken
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      star_text = t;
      continue;
    }
    size_t next = p;
    if (p < pattern.size() && MatchElement(pattern, next, text[t], letters)) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string GlobPrefix(std::string_view pattern) {
  std::string prefix;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '*' || c == '?' || c == '[') break;
    if (c == '\\' && i + 1 < pattern.size()) c = pattern[++i];
    prefix += c;
  }
  return prefix;
}

}  // namespace quipu::resp
