// Which source a content is: recognised by what it holds, never by its name.
//
// A source belongs to an anchor: the digest of what is counted how (the import's specification) and of the content's
// first line. Under an anchor the server knows any number of sources, each with an offset and the digest of everything
// before it. A content *is* a source if its own digest up to that offset is the same: the same file, a copy, a
// compressed form, or one that has grown since. Of several the furthest is right. Otherwise the content is new and
// takes the first id of the anchor that is not in use; two importers that choose the same id at once are told apart by
// the server, which applies a step only where the source stands.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "ingest/ingest_link.h"

namespace quipu::ingest {

Digest AnchorOf(std::string_view specification, std::string_view first_line);

// The id of the n-th source of an anchor, from 0.
Digest SourceIdOf(Digest anchor, uint64_t n);
// The first id that none of them has.
Digest UnusedSourceId(Digest anchor, const std::vector<KnownSource>& known);

// Finds the furthest known source that a content is, while the content streams by once.
class SourceMatcher {
 public:
  explicit SourceMatcher(std::vector<KnownSource> known);
  // How many bytes of content decide about the next one; 0: all are decided.
  uint64_t BytesToNext() const;
  // The next bytes, at most BytesToNext of them. True if a source ends exactly here and is this content.
  bool Take(std::string_view bytes);
  // The furthest so far.
  const std::optional<KnownSource>& best() const { return best_; }
  // The digest of everything taken.
  const RunningDigest& digest() const { return digest_; }
  uint64_t offset() const { return offset_; }

 private:
  std::vector<KnownSource> known_;  // ascending by offset
  size_t next_ = 0;
  uint64_t offset_ = 0;
  RunningDigest digest_;
  std::optional<KnownSource> best_;
};

}  // namespace quipu::ingest
