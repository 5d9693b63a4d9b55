// What engines share about groups: the counters k[f] as the thing k (GroupRole in op.h).
#pragma once
#include <algorithm>
#include <string_view>

#include "model/name.h"
#include "store/decide.h"

namespace quipu::store {

// Whether a group can have this name at all.
inline bool MayBeGroup(std::string_view group) {
  return !group.empty() && group.find_first_of("[]") == std::string_view::npos;
}
// `group` may be one.
inline bool IsMember(std::string_view name, std::string_view group) {
  return name.size() > group.size() && name.starts_with(group) && SplitGrouped(name).group.size() == group.size();
}

// One counter's share in a group's version, which is the sum of them all: it changes with every change of one, and with
// each that comes or goes.
inline uint64_t VersionShare(uint64_t hash, uint64_t version) {
  uint64_t x = (hash ^ (version * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
  return x ^ (x >> 29);
}

// Gathers a group's live counters into the answer of a read with kElseGroup or kWhole, which holds the counter's own.
class GroupAnswer {
 public:
  explicit GroupAnswer(const Op& op) : whole_(op.group == GroupRole::kWhole), listing_(op.listing) {
    if (listing_ != nullptr) listing_->clear();
  }
  void Add(std::string_view name, uint64_t hash, const CounterState& state, Position version) {
    endless_ |= state.expiry_ms == 0;
    expiry_ms_ = std::max(expiry_ms_, state.expiry_ms);
    version_ += VersionShare(hash, version);
    any_ = true;
    if (listing_ == nullptr) return;
    listing_->push_back({.name = std::string(name),
                         .value = state.value,
                         .expiry_ms = state.expiry_ms,
                         .last_write_us = state.last_write_us});
  }
  void Finish(Op* op) {
    if (whole_) op->version = version_ + (op->exists ? VersionShare(op->hash, op->version) : 0);
    if (!op->exists && any_) {
      op->existed = op->exists = true;
      op->expiry_ms = endless_ ? 0 : expiry_ms_;
    }
    if (listing_ != nullptr) {
      std::sort(listing_->begin(), listing_->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    }
  }

 private:
  const bool whole_;
  std::vector<CounterEntry>* const listing_;
  bool any_ = false;
  bool endless_ = false;
  int64_t expiry_ms_ = 0;
  uint64_t version_ = 0;
};

}  // namespace quipu::store
