#include "store/embedded/token_window.h"
#include "base/plant.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace quipu::store {
namespace {

constexpr int64_t kDeltaInlineMax = (1 << 13) - 1;
constexpr size_t kDetailBytes = sizeof(TokenResult) + 24;
constexpr size_t kReadyPlacesMin = 1u << 18;

}  // namespace

TokenWindow::TokenWindow(const Options& options) : options_(options) {
  QUIPU_ASSERT(std::has_single_bit(options.places_first), "places_first={}", options.places_first);
  QUIPU_ASSERT(UsedMax(options.places_max) < kNumberMask, "places_max={}", options.places_max);
}

size_t TokenWindow::OtherBytesOf(const Generation& g) {
  return g.room.index_bytes() + g.details.size() * kDetailBytes + g.frames.size() * sizeof(g.frames[0]);
}

TokenWindow::Room::Room(size_t index_places)
    : places(index_places), memory(index_bytes() + UsedMax(places) * sizeof(Entry)) {}

inline uint32_t* TokenWindow::PlaceOf(const Generation& g, const TokenPrint& print) {
  uint32_t* const index = g.index;
  const uint64_t mask = g.mask;
  const uint32_t tag = TagOf(print);
  for (uint64_t i = Home(g, print);; i = (i + 1) & mask) {
    const uint32_t place = index[i];
    if (place == 0) return &index[i];
    if ((place ^ tag) > kNumberMask) continue;
    const Entry& e = g.entries[(place & kNumberMask) - 1];
    if (e.lo == print.lo && e.hi == static_cast<uint32_t>(print.hi)) return &index[i];
  }
}

bool TokenWindow::Find(const TokenPrint& print, Micros own_us, TokenResult* out) const {
  for (size_t i = generations_.size(); i > 0; --i) {
    const Generation& g = *generations_[i - 1];
    if (own_us != kNoTime && own_us > g.newest_own_us) continue;
    const uint32_t place = *PlaceOf(g, print);
    if (place == 0) continue;
    const Entry* e = &g.entries[(place & kNumberMask) - 1];
    Position position = g.base + e->position_rel;
    if (e->detail) {
      auto it = g.details.find(position);
      QUIPU_ASSERT(it != g.details.end(), "no detail for position {}", position);
      *out = it->second;
      out->content = e->content;
      return true;
    }
    // The frame that holds the position: the last one that began at or before it.
    auto frame = std::upper_bound(g.frames.begin(), g.frames.end(), position,
                                  [](Position p, const std::pair<Position, Micros>& f) { return p < f.first; });
    QUIPU_ASSERT(frame != g.frames.begin(), "position {} lies before the generation's first frame", position);
    Micros frame_us = (frame - 1)->second;
    out->content = e->content;
    out->kind = static_cast<OpKind>(e->kind);
    out->outcome = static_cast<Outcome>(e->outcome);
    out->existed = e->existed;
    out->exists = e->exists;
    out->delta = static_cast<int64_t>(e->delta) - kDeltaInlineMax;
    out->value = e->value;
    out->applied = out->delta;
    out->expiry_ms = 0;
    out->position = position;
    out->event_us = e->event_is_own ? own_us : frame_us;
    out->last_write_us = out->event_us;
    out->kept_from_us = e->event_is_own ? std::max(own_us, frame_us) : frame_us;
    return true;
  }
  return false;
}

size_t TokenWindow::NextPlaces() const {
  if (generations_.empty()) return options_.places_first;
  const Generation& last = *generations_.back();
  // Twice the last one if that filled up, the same size if it was closed for its age.
  return std::min(options_.places_max, (last.mask + 1) * (last.used >= last.used_max ? 2 : 1));
}

size_t TokenWindow::next_places() const {
  if (generations_.empty() || next_.places != 0) return 0;
  const Generation& newest = *generations_.back();
  const size_t places = std::min(options_.places_max, (newest.mask + 1) * 2);
  return newest.used >= newest.used_max / 2 && places >= kReadyPlacesMin ? places : 0;
}

void TokenWindow::GiveNext(Room room) {
  other_bytes_ += room.index_bytes() - next_.index_bytes();
  next_ = std::move(room);
}

void TokenWindow::Rotate(Position position, Micros frame_us) {
  auto g = std::make_unique<Generation>();
  other_bytes_ -= next_.index_bytes();
  g->room = next_.places != 0 ? std::exchange(next_, Room()) : Room(NextPlaces());
  g->mask = g->room.places - 1;
  g->used_max = UsedMax(g->room.places);
  g->index = static_cast<uint32_t*>(g->room.memory.data());
  g->entries = reinterpret_cast<Entry*>(g->index + g->room.places);
  g->base = position - 1;
  g->first_us = frame_us;
  other_bytes_ += OtherBytesOf(*g);
  generations_.push_back(std::move(g));
}

void TokenWindow::Insert(const TokenPrint& print, const TokenResult& r, Micros own_us, Micros frame_us) {
  if (generations_.empty() || generations_.back()->used >= generations_.back()->used_max ||
      frame_us - generations_.back()->first_us > options_.generation_us) {
    const bool again = !generations_.empty();
    Rotate(r.position, frame_us);
    if (QUIPU_PLANTED(121) && again) return;
  }
  Generation& g = *generations_.back();
  if (g.frames.empty() || g.frames.back().second != frame_us) {
    g.frames.emplace_back(r.position, frame_us);
    other_bytes_ += sizeof(g.frames[0]);
  }
  Entry e{};
  e.lo = print.lo;
  e.hi = static_cast<uint32_t>(print.hi);
  e.content = static_cast<uint32_t>(r.content);
  e.value = r.value;
  QUIPU_ASSERT(r.position > g.base && r.position - g.base < (uint64_t{1} << 40), "position {} base {}", r.position,
               g.base);
  e.position_rel = (r.position - g.base) & ((uint64_t{1} << 40) - 1);
  e.kind = static_cast<uint64_t>(r.kind) & 7;
  e.outcome = static_cast<uint64_t>(r.outcome) & 3;
  e.existed = r.existed;
  e.exists = r.exists;
  bool plain = r.applied == r.delta && r.expiry_ms == 0 && r.delta <= kDeltaInlineMax && r.delta >= -kDeltaInlineMax &&
               r.last_write_us == r.event_us;
  e.event_is_frame = plain && r.event_us == frame_us && r.kept_from_us == frame_us;
  e.event_is_own = plain && !e.event_is_frame && own_us != kNoTime && r.event_us == own_us &&
                   r.kept_from_us == std::max(own_us, frame_us);
  if (e.event_is_frame || e.event_is_own) {
    e.delta = static_cast<uint64_t>(r.delta + kDeltaInlineMax) & 0x3fff;
  } else {
    e.detail = 1;
    g.details.emplace(r.position, r);
    other_bytes_ += kDetailBytes;
  }
  uint32_t* const place = PlaceOf(g, print);
  if (*place == 0) {
    *place = TagOf(print) | static_cast<uint32_t>(++g.used);
    ++size_;
  }
  g.entries[(*place & kNumberMask) - 1] = e;
  g.last = r.position;
  g.last_us = frame_us;
  if (own_us != kNoTime) g.newest_own_us = std::max(g.newest_own_us, own_us);
}

void TokenWindow::SetDropped(Micros commit_us, Micros newest_own_us) {
  complete_since_us_ = std::max(complete_since_us_, commit_us);
  newest_dropped_own_us_ = std::max(newest_dropped_own_us_, newest_own_us);
}

void TokenWindow::Trim(size_t bytes_max, Position settled, Micros expired_us) {
  while (!generations_.empty()) {
    Generation& g = *generations_.front();
    bool old = g.last_us < expired_us;
    if ((g.last > settled && !QUIPU_PLANTED(104)) || (!old && memory_bytes() <= bytes_max) ||
        (generations_.size() == 1 && !old))
      return;
    if (!QUIPU_PLANTED(105)) SetDropped(g.last_us, g.newest_own_us);
    other_bytes_ -= OtherBytesOf(g);
    size_ -= g.used;
    generations_.erase(generations_.begin());
  }
}

}  // namespace quipu::store
