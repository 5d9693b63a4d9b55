// Ops that heed groups (GroupRole): a counter k[f] and the group k that it belongs to stand in one partition, so what a
// group is can be found here, at once.
#include <set>

#include "model/name.h"
#include "store/embedded/shard.h"
#include "store/group.h"
#include "store/token_rules.h"

namespace quipu::store {

// Those in the table first, whether they still exist or not; then those that only the sorted runs have.
Status Shard::VisitMemberNames(NamespaceId ns, std::string_view group, uint64_t hash,
                               const std::function<bool(std::string_view name)>& visit) const {
  if (!MayBeGroup(group)) return OkStatus();
  const uint32_t partition = PartitionOf(hash);
  bool more = true;
  if (counters_.MayHoldGroups(partition)) {
    counters_.VisitFrom(CounterTable::EndOf(partition - 1), [&](const CounterSlot* slot, uint64_t) {
      if (slot != nullptr && slot->ns == ns && IsMember(slot->name(), group)) more = visit(slot->name());
      return more;
    });
  }
  if (!more || all_resident_) return OkStatus();
  return context_.settled->ScanNames(ns, {}, std::string(group) + '[', [&](std::string_view name) {
    if (!IsMember(name, group) || counters_.Find(HashCounter(ns, name), ns, name) != nullptr) return true;
    return visit(name);
  });
}

Result<std::vector<Shard::Member>> Shard::LiveMembers(const Op& op, const Namespace& ns) {
  std::vector<Member> found;
  QUIPU_RETURN_IF_ERROR(VisitMemberNames(op.ns, op.name, op.hash, [&](std::string_view name) {
    found.push_back({.name = std::string(name), .hash = HashCounter(op.ns, name)});
    return true;
  }));
  std::vector<Member> live;
  for (Member& member : found) {
    QUIPU_ASSIGN_OR_RETURN(const CounterSlot* slot, FindOrLoad(member.hash, op.ns, member.name));
    if (slot == nullptr) continue;
    if (ns.settings.durability == Durability::kSync) Gate(slot->position);
    if (LiveSlot(slot)) live.push_back(std::move(member));
  }
  return live;
}

Code Shard::ReadGroup(Op* op, const Namespace& ns) {
  Result<std::vector<Member>> members = LiveMembers(*op, ns);
  if (!members.ok()) return members.code();
  GroupAnswer answer(*op);
  for (const Member& member : *members) {
    const CounterSlot* slot = counters_.Find(member.hash, op->ns, member.name);
    answer.Add(member.name, member.hash, StateOf(slot), slot->position);
    // As for a single counter: the version told must not outlive a change.
    if (OpenSum& sum = open_sums_[member.hash & (open_sums_.size() - 1)]; sum.position == slot->position) sum = {};
  }
  answer.Finish(op);
  return Code::kOk;
}

Result<int64_t> Shard::ExpiryOfGroup(const Op& op) const {
  const std::string_view group = SplitGrouped(op.name).group;
  if (group.empty()) return int64_t{0};
  int64_t expiry_ms = 0;
  Status failed;
  Status visited = VisitMemberNames(op.ns, group, op.hash, [&](std::string_view name) {
    const uint64_t hash = HashCounter(op.ns, name);
    if (const CounterSlot* slot = counters_.Find(hash, op.ns, name)) {
      expiry_ms = static_cast<int64_t>(slot->expiry_ms);
      return !LiveSlot(slot);
    }
    Result<std::optional<Checkpoint>> cold = context_.settled->GetCounter({.ns = op.ns, .hash = hash, .name = name});
    if (!cold.ok()) {
      failed = cold.status();
      return false;
    }
    if (!cold->has_value() || IsExpired((*cold)->expiry_ms, now_ms_)) return true;
    expiry_ms = (*cold)->expiry_ms;
    return false;
  });
  if (!visited.ok() || !failed.ok()) return visited.ok() ? failed : visited;
  return IsExpired(expiry_ms, now_ms_) ? 0 : expiry_ms;
}

void Shard::NoteCreated(const Op& op, Position position) {
  created_[op.hash % kCreatedSlots] = position;
  const std::string_view group = SplitGrouped(op.name).group;
  if (!group.empty()) created_[HashCounter(op.ns, group) % kCreatedSlots] = position;
}

size_t Shard::GroupBound(const Op& op) const {
  size_t bytes = 0;
  Status visited = VisitMemberNames(op.ns, op.name, op.hash, [&](std::string_view name) {
    const CounterSlot* slot = counters_.Find(HashCounter(op.ns, name), op.ns, name);
    if (slot == nullptr || slot->exists) bytes += CounterRecordBound(name.size(), 0);
    return true;
  });
  visited.Ignore("the op itself meets the error and tells it");
  return bytes;
}

// A record each, all in one frame.
void Shard::DecideWhole(Op* op, const Namespace& ns, const std::vector<Member>& members) {
  const bool urgent = ns.settings.durability == Durability::kSync;
  if (ns.settings.token_required && !op->in_source_step) return FailOp(op, Code::kTokenRequired);
  if (Code refuse = RefuseWrites(); refuse != Code::kOk) return FailOp(op, refuse);
  Result<CounterSlot*> own = FindOrLoad(op->hash, op->ns, op->name);
  if (!own.ok()) return FailOp(op, own.code());

  size_t bytes = kRecordBytesMax + RecordsBound(*op);
  for (const Member& member : members) bytes += CounterRecordBound(member.name.size(), 0);
  if (!StepFits(bytes)) return FailOp(op, Code::kTooLarge);
  journal_->Reserve(bytes);

  std::optional<uint64_t> frame;
  bool existed = false, exists = false;
  Op last;
  const auto change = [&](std::string_view name, uint64_t hash) {
    CounterSlot* slot = counters_.Find(hash, op->ns, name);
    const CounterState before = LiveState(StateOf(slot), now_ms_);
    if (!before.exists) return;
    Op one = *op;
    one.group = GroupRole::kNone;
    one.name = name;
    one.hash = hash;
    CounterState after;
    const Effect effect = Decide(before, now_ms_, EventTime(one, now_us_), &one, &after);
    if (effect == Effect::kChanged) {
      one.position = Commit(&one, {}, &slot, before, after, urgent);
      if (urgent) Gate(one.position);
      if (!frame) frame = journal_->frame_serial();
      QUIPU_ASSERT(*frame == journal_->frame_serial(), "a second frame; {} bytes were reserved", bytes);
    }
    existed = true;
    exists |= after.exists;
    if (last.name.empty() || effect == Effect::kChanged) last = one;
  };
  change(op->name, op->hash);
  for (const Member& member : members) change(member.name, member.hash);
  op->outcome = last.outcome;
  op->existed = existed;
  op->exists = exists;
  op->expiry_ms = exists ? last.expiry_ms : 0;
  op->position = last.position;
  op->event_us = last.event_us;
}

// A counter changed on paper has a version that nobody was told, or none where it is missing then.
Code Shard::CheckWholeOnPaper(const Op& op, const Namespace& ns, const Paper& paper) {
  const std::string key_start = fmt::format("{}/", op.ns);
  for (const auto& [key, state] : paper.states) {
    if (!state.changed || !state.state.exists || !key.starts_with(key_start)) continue;
    const std::string_view name = std::string_view(key).substr(key_start.size());
    if (name == op.name || IsMember(name, op.name)) return Code::kConditionNotMet;
  }
  const bool born = paper.born.contains(key_start + std::string(op.name));
  if (op.expected_created != kAnyCreated && (born || op.expected_created != created_[op.hash % kCreatedSlots])) {
    return Code::kConditionNotMet;
  }
  uint64_t version = 0;
  const auto add = [&](std::string_view name, uint64_t hash) {
    const auto on_paper = paper.states.find(key_start + std::string(name));
    if (on_paper != paper.states.end() && on_paper->second.changed) return;
    const CounterSlot* slot = counters_.Find(hash, op.ns, name);
    if (LiveState(StateOf(slot), now_ms_).exists) version += VersionShare(hash, slot->position);
  };
  Result<CounterSlot*> own = FindOrLoad(op.hash, op.ns, op.name);
  if (!own.ok()) return own.code();
  if (*own && ns.settings.durability == Durability::kSync) Gate((*own)->position);
  add(op.name, op.hash);
  Result<std::vector<Member>> members = LiveMembers(op, ns);
  if (!members.ok()) return members.code();
  for (const Member& member : *members) add(member.name, member.hash);
  return version == op.expected_version ? Code::kOk : Code::kConditionNotMet;
}

Code Shard::WholeOnPaper(const Op& given, Paper* paper, Op* op) {
  std::set<std::string> names = {std::string(given.name)};
  Status visited = VisitMemberNames(given.ns, given.name, given.hash, [&](std::string_view name) {
    names.emplace(name);
    return true;
  });
  if (!visited.ok()) return visited.code();
  const std::string key_start = fmt::format("{}/", given.ns);
  for (const auto& [key, state] : paper->states) {
    if (key.starts_with(key_start) && IsMember(std::string_view(key).substr(key_start.size()), given.name)) {
      names.insert(key.substr(key_start.size()));
    }
  }
  // As DecideWhole: each that exists, or the counter alone where no field does.
  bool any_field = false;
  std::vector<std::string> live;
  for (const std::string& name : names) {
    const auto on_paper = paper->states.find(key_start + name);
    CounterState state;
    if (on_paper != paper->states.end()) {
      state = on_paper->second.state;
    } else {
      Result<CounterSlot*> slot = FindOrLoad(HashCounter(given.ns, name), given.ns, name);
      if (!slot.ok()) return slot.code();
      state = StateOf(*slot);
    }
    if (!LiveState(state, now_ms_).exists) continue;
    any_field |= name != given.name;
    live.push_back(name);
  }
  if (!any_field) live = {std::string(given.name)};
  bool refused = true;
  for (const std::string& name : live) {
    Op one = given;
    one.group = GroupRole::kNone;
    one.name = name;
    one.hash = HashCounter(given.ns, name);
    Op answer;
    if (Code code = DecideOnPaper(one, paper, &answer); code != Code::kOk) return code;
    refused &= answer.outcome == Outcome::kRefused;
  }
  op->outcome = refused ? Outcome::kRefused : Outcome::kApplied;
  return Code::kOk;
}

}  // namespace quipu::store
