#include "ingest/source_identity.h"

#include <algorithm>
#include <set>

#include "base/assert.h"

namespace quipu::ingest {

Digest AnchorOf(std::string_view specification, std::string_view first_line) {
  return DigestOf(fmt::format("quipu-import-1\n{}\n{}\n{}", specification.size(), specification, first_line));
}

Digest SourceIdOf(Digest anchor, uint64_t n) { return DigestOf(fmt::format("{} {}", DigestToHex(anchor), n)); }

Digest UnusedSourceId(Digest anchor, const std::vector<KnownSource>& known) {
  std::set<Digest> used;
  for (const KnownSource& source : known) used.insert(source.id);
  for (uint64_t n = 0;; ++n) {
    const Digest id = SourceIdOf(anchor, n);
    if (!used.contains(id)) return id;
  }
}

uint64_t NextMark(uint64_t head, uint64_t offset) {
  if (offset < head) return head;
  constexpr int kDistanceBits = 62;
  for (int bit = 0; bit <= kDistanceBits; ++bit) {
    const uint64_t place = head + (uint64_t{1} << bit);
    if (place > offset) return place;
  }
  return UINT64_MAX;
}

SourceMatcher::SourceMatcher(std::vector<KnownSource> known)
    : known_(std::move(known)), differs_(known_.size()), agreed_(known_.size()) {
  for (size_t i = 0; i < known_.size(); ++i) {
    const Mark& stands = known_[i].stands;
    for (const Mark& mark : known_[i].marks) {
      if (mark.offset > 0 && mark.offset < stands.offset) points_.push_back({.mark = mark, .source = i});
    }
    if (stands.offset > 0) points_.push_back({.mark = stands, .source = i});
  }
  std::sort(points_.begin(), points_.end(),
            [](const Point& a, const Point& b) { return a.mark.offset < b.mark.offset; });
}

void SourceMatcher::SkipDecided() {
  while (next_ < points_.size() && differs_[points_[next_].source]) ++next_;
}

uint64_t SourceMatcher::BytesToNext() const {
  return next_ == points_.size() ? 0 : points_[next_].mark.offset - offset_;
}

bool SourceMatcher::Take(std::string_view bytes) {
  QUIPU_ASSERT(bytes.size() <= BytesToNext(), "{} bytes, {} to the next mark", bytes.size(), BytesToNext());
  digest_.Update(bytes);
  offset_ += bytes.size();
  if (BytesToNext() > 0) return false;
  const Digest here = digest_.Value();
  bool stands_here = false;
  for (; next_ < points_.size() && points_[next_].mark.offset == offset_; ++next_) {
    const auto& [mark, i] = points_[next_];
    if (differs_[i]) continue;
    differs_[i] = mark.fingerprint != here;
    if (differs_[i]) continue;
    agreed_[i] = mark;
    if (mark.offset < known_[i].stands.offset) continue;
    best_ = known_[i];
    stands_here = true;
  }
  SkipDecided();
  return stands_here;
}

std::optional<SourceMatcher::Longer> SourceMatcher::longer() const {
  std::optional<Longer> found;
  for (size_t i = 0; i < known_.size(); ++i) {
    // Without a mark there is nothing but the first line to go by.
    if (differs_[i] || !agreed_[i] || known_[i].stands.offset <= offset_) continue;
    if (best_ && agreed_[i]->offset < best_->stands.offset) continue;
    if (!found || agreed_[i]->offset > found->agreed.offset) found = {.source = &known_[i], .agreed = *agreed_[i]};
  }
  return found;
}

}  // namespace quipu::ingest
