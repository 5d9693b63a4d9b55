#include "ingest/source_identity.h"

#include <algorithm>

#include "base/assert.h"

namespace quipu::ingest {

Digest AnchorOf(std::string_view specification, std::string_view first_line) {
  return DigestOf(fmt::format("quipu-import-1\n{}\n{}\n{}", specification.size(), specification, first_line));
}

Digest SourceIdOf(Digest anchor, uint64_t n) { return DigestOf(fmt::format("{} {}", DigestToHex(anchor), n)); }

Digest UnusedSourceId(Digest anchor, const std::vector<KnownSource>& known) {
  for (uint64_t n = 0;; ++n) {
    const Digest id = SourceIdOf(anchor, n);
    const auto same = [id](const KnownSource& source) { return source.id == id; };
    if (std::none_of(known.begin(), known.end(), same)) return id;
  }
}

SourceMatcher::SourceMatcher(std::vector<KnownSource> known) : known_(std::move(known)) {
  std::erase_if(known_, [](const KnownSource& source) { return source.offset == 0; });
  std::sort(known_.begin(), known_.end(),
            [](const KnownSource& a, const KnownSource& b) { return a.offset < b.offset; });
}

uint64_t SourceMatcher::BytesToNext() const { return next_ == known_.size() ? 0 : known_[next_].offset - offset_; }

bool SourceMatcher::Take(std::string_view bytes) {
  QUIPU_ASSERT(bytes.size() <= BytesToNext(), "{} bytes, {} to the next source", bytes.size(), BytesToNext());
  digest_.Update(bytes);
  offset_ += bytes.size();
  bool matched = false;
  const Digest here = BytesToNext() == 0 && next_ < known_.size() ? digest_.Value() : Digest{};
  for (; next_ < known_.size() && known_[next_].offset == offset_; ++next_) {
    if (known_[next_].fingerprint != here) continue;
    best_ = known_[next_];
    matched = true;
  }
  return matched;
}

}  // namespace quipu::ingest
