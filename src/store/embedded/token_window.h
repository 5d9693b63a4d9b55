// The tokens of the recent past, with the result each one had: rotating generations. A new token goes into the newest
// one; when that is full (or old) the next one begins, and the oldest is dropped as a whole once it is settled. Older
// tokens are found in the sorted runs.
//
// A generation's entries stand densely in the order they came, so that its memory grows with them; an open-addressed
// index of 4 bytes a place leads to them: eight bits of the print, by which 255 of 256 strangers are told apart without
// a look at their entries, and the entry's number.
//
// A token that carries its own time can only be in generations that saw such times: each knows the newest own time it
// holds, so that a fresh UUIDv7 is looked for in one or two tables and a random token in all of them.
//
// Threads   One owner.
// Memory    32 bytes a token and 6 to 11 for the index, 47 in all while the next index is made ready; more for results
//           that are not a plain add's.
// Identity  96 of the print's 128 bits, and eight by the index (the others choose the place): two tokens of one store
//           are taken for one with a probability of about 1e-20 for 1e8 tokens in the window.
// Cost      Find: one cache miss per generation asked, which Prefetch hides, and one for the entry of a token that is
//           there. Insert: none more.
#pragma once
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/ids.h"
#include "rt/table_memory.h"
#include "store/embedded/settled.h"
#include "store/op.h"

namespace quipu::store {

// What a token did: enough to answer a replay word for word.
struct TokenResult {
  uint64_t content = 0;  // Find: the low 32 bits only
  OpKind kind = OpKind::kAdd;
  Outcome outcome = Outcome::kApplied;
  bool existed = false;
  bool exists = true;
  int64_t delta = 0;
  int64_t value = 0;
  int64_t applied = 0;  // value - old value, modulo 2^64
  int64_t expiry_ms = 0;
  Micros event_us = 0;
  Micros last_write_us = 0;
  Micros kept_from_us = 0;  // TokenKeptFrom
  Position position = 0;
};

class TokenWindow {
 public:
  // Of a generation that is full, by the places of its index.
  static constexpr size_t kPlaceBytes = 27;
  struct Options {
    size_t places_first = 1u << 14;                // in the first generation's index; each next one has twice as many
    size_t places_max = 1u << 24;                  // in one generation's; at most this default
    int64_t generation_us = 3600ll * 1000 * 1000;  // a generation is closed after this time even if not full
  };
  explicit TokenWindow(const Options& options);

  // Must be inlined: g++ 12 drops a call that only prefetches.
  [[gnu::always_inline]] void Prefetch(const TokenPrint& print, Micros own_us) const {
    for (size_t i = generations_.size(); i > 0; --i) {
      const Generation& g = *generations_[i - 1];
      if (i != generations_.size() && own_us > g.newest_own_us) continue;
      __builtin_prefetch(g.index + Home(g, print));
    }
  }
  // own_us: the token's own time, or kNoTime.
  bool Find(const TokenPrint& print, Micros own_us, TokenResult* out) const;
  // A token that is there already (one whose protection is over) is replaced. frame_us: commit time of the frame that
  // holds the position. own_us as above.
  void Insert(const TokenPrint& print, const TokenResult& result, Micros own_us, Micros frame_us);

  // The memory of a generation: its index, which is touched all over from the start, then its entries.
  struct Room {
    Room() = default;
    explicit Room(size_t index_places);
    size_t index_bytes() const { return places * sizeof(uint32_t); }
    size_t places = 0;
    rt::TableMemory memory;
  };
  // How many places the index of the next generation should have, ready once the newest one is half full; 0 if there is
  // no need yet, or so little that its first touch does not matter.
  size_t next_places() const;
  void GiveNext(Room room);

  // Commit time from which on every token is in here; INT64_MIN if nothing was ever dropped.
  Micros complete_since_us() const { return complete_since_us_; }
  // The newest own time among tokens that are not in here any more (kNoTime: none).
  Micros newest_dropped_own_us() const { return newest_dropped_own_us_; }
  // For recovery: tokens up to commit time `us` are in the sorted runs only.
  void SetDropped(Micros commit_us, Micros newest_own_us);

  // Drops oldest generations while memory is above `bytes_max`, or all of whose tokens were committed before
  // `expired_us`, as far as they are settled (last position <= settled).
  void Trim(size_t bytes_max, Position settled, Micros expired_us);

  size_t memory_bytes() const { return other_bytes_ + size_ * sizeof(Entry); }
  size_t size() const { return size_; }
  size_t generations() const { return generations_.size(); }
  const void* newest_memory() const { return generations_.back()->room.memory.data(); }

 private:
  struct Entry {  // 32 bytes, two to a cache line
    uint64_t lo;
    uint32_t hi;
    uint32_t content;
    int64_t value;
    uint64_t position_rel : 40;  // position - generation's base
    uint64_t delta : 14;         // + kDeltaInlineMax
    uint64_t kind : 3;
    uint64_t outcome : 2;
    uint64_t existed : 1;
    uint64_t exists : 1;
    uint64_t event_is_frame : 1;  // event time, last write and kept-from are the frame's commit time
    uint64_t event_is_own : 1;    // event time and last write are the token's own time, kept-from the frame's
    uint64_t detail : 1;          // everything is in Generation::details
  };
  static_assert(sizeof(Entry) == 32);
  struct Generation {
    Room room;
    uint32_t* index = nullptr;  // in the room; 0 marks a free place, else see TagOf
    Entry* entries = nullptr;   // in the room
    uint64_t mask = 0;
    size_t used = 0;
    size_t used_max = 0;
    Position base = 0;
    Position last = 0;
    Micros first_us = 0, last_us = 0;
    Micros newest_own_us = kNoTime;
    std::vector<std::pair<Position, Micros>> frames;  // first position seen of each frame
    boost::unordered_flat_map<Position, TokenResult> details;
  };

  [[gnu::always_inline]] static uint64_t Home(const Generation& g, const TokenPrint& print) {
    return (print.hi >> 32 | print.hi << 32) & g.mask;
  }
  // A place of the index: in its upper eight bits a share of the print that neither chooses the place nor stands in the
  // entry, below them the entry's number plus 1.
  static constexpr uint32_t kNumberMask = (1u << 24) - 1;
  [[gnu::always_inline]] static uint32_t TagOf(const TokenPrint& print) {
    return static_cast<uint32_t>(print.hi >> 32) & ~kNumberMask;
  }
  // The place in the index of the print, or the free one where it would go.
  static uint32_t* PlaceOf(const Generation& g, const TokenPrint& print);
  static size_t UsedMax(size_t places) { return places * 7 / 10; }
  // Of the generation after the newest one.
  size_t NextPlaces() const;
  void Rotate(Position position, Micros frame_us);
  // Without its entries.
  static size_t OtherBytesOf(const Generation& g);

  Options options_;
  std::vector<std::unique_ptr<Generation>> generations_;  // few, the newest last
  Room next_;
  size_t other_bytes_ = 0;  // of all but the entries
  size_t size_ = 0;
  Micros complete_since_us_ = INT64_MIN;
  Micros newest_dropped_own_us_ = kNoTime;
};

}  // namespace quipu::store
