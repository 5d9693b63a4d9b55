// Which source a content is: recognised by what it holds, never by its name.
//
// A source belongs to an anchor: the digest of what is counted how (the import's specification) and of the content's
// first line. Under an anchor the server knows any number of sources, each with the place that it stands at and marks
// before that, each with the digest of everything before it. A content
//   - continues a source if its own digest at that source's place is the same: the same file, a copy, a compressed
//     form, or one that has grown since. Of several the furthest is right;
//   - is a beginning of a longer source if it ends at one of its marks with the same digest;
//   - is another one than a source with which it disagrees at any mark.
// What ends between two marks of a longer source, having agreed so far, cannot be told. Marks lie at the end of the
// first record and 1, 2, 4, 8, ... bytes behind it, so then at least half of what follows that record is the same.
//
// A content that is no known source takes the first id of the anchor that is not in use; two importers that choose the
// same id at once are told apart by the server, which applies a step only where the source stands.
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

// The first place behind `offset` where a mark is set, in a content whose first record has `head` bytes.
uint64_t NextMark(uint64_t head, uint64_t offset);

// Compares a content with the known sources while it streams by once.
class SourceMatcher {
 public:
  explicit SourceMatcher(std::vector<KnownSource> known);
  // How many bytes of content decide about the next mark; 0: nothing is left to decide.
  uint64_t BytesToNext() const;
  // The next bytes, at most BytesToNext of them. True if a source stands exactly here and is this content.
  bool Take(std::string_view bytes);

  // The furthest source that this content continues.
  const std::optional<KnownSource>& best() const { return best_; }
  // Of the sources that stand further than the content has come, and agree with it, the one that agrees at the
  // furthest mark, if that is no nearer than best().
  struct Longer {
    const KnownSource* source;
    Mark agreed;
  };
  std::optional<Longer> longer() const;
  // The digest of everything taken.
  const RunningDigest& digest() const { return digest_; }
  uint64_t offset() const { return offset_; }

 private:
  struct Point {
    Mark mark;
    size_t source;
  };
  void SkipDecided();

  std::vector<KnownSource> known_;
  std::vector<Point> points_;                // ascending by offset; where a source stands is its last
  std::vector<bool> differs_;                // by source
  std::vector<std::optional<Mark>> agreed_;  // by source: the furthest so far
  size_t next_ = 0;
  uint64_t offset_ = 0;
  RunningDigest digest_;
  std::optional<KnownSource> best_;
};

}  // namespace quipu::ingest
