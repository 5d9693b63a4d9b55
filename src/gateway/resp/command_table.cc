#include "gateway/resp/command_table.h"

#include <fmt/core.h>

#include <cstdlib>
#include <cstring>

#include "base/assert.h"
#include "gateway/resp/command_rows.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

constexpr size_t kNameBytesMax = 16;
constexpr uint64_t kLowerCase = 0x2020202020202020u;

uint64_t Load(const char* p, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, p, bytes);
  return word;
}

}  // namespace

const CommandTable& CommandTable::Get() {
  static const CommandTable table;
  return table;
}

std::span<const CommandSpec> CommandTable::all() const { return CommandRows(); }

CommandTable::CommandTable() {
  std::span<const CommandSpec> rows = CommandRows();
  containers_.push_back({.first = rows.data(), .count = rows.size(), .base = 0});
  for (const CommandSpec& spec : rows) full_names_.emplace_back(spec.name);
  for (const CommandSpec& spec : rows) {
    if (spec.subcommands.empty()) continue;
    containers_.push_back(
        {.first = spec.subcommands.data(), .count = spec.subcommands.size(), .base = full_names_.size()});
    for (const CommandSpec& sub : spec.subcommands) full_names_.push_back(fmt::format("{}|{}", spec.name, sub.name));
  }
  for (bool placed = false; !placed;) {
    seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
    std::memset(static_cast<void*>(slots_), 0, sizeof(slots_));
    placed = true;
    for (const CommandSpec& spec : rows) {
      Entry entry;
      QUIPU_ASSERT(MakeEntry(spec.name, &entry), "name of command {} does not fit", spec.name);
      entry.spec = &spec;
      Entry& slot = slots_[SlotOf(entry)];
      if (slot.spec != nullptr) {
        placed = false;
        break;
      }
      slot = entry;
    }
  }
}

// Two words that overlap where the name is short hold every byte of it. Folding the case is exact for letters; of the
// other bytes in our names only '.' has a twin (0x0e), which Find checks.
bool CommandTable::MakeEntry(std::string_view name, Entry* entry) {
  size_t n = name.size();
  if (n == 0 || n > kNameBytesMax) return false;
  const char* p = name.data();
  if (n >= 8) {
    entry->head = Load(p, 8);
    entry->tail = Load(p + n - 8, 8);
  } else if (n >= 4) {
    entry->head = Load(p, 4);
    entry->tail = Load(p + n - 4, 4);
  } else {
    entry->head = static_cast<unsigned char>(p[0]);
    entry->tail = static_cast<unsigned char>(p[n / 2]) | static_cast<uint64_t>(static_cast<unsigned char>(p[n - 1]))
                                                             << 8;
  }
  entry->head |= kLowerCase;
  entry->tail |= kLowerCase;
  entry->length = static_cast<uint32_t>(n);
  return true;
}

size_t CommandTable::SlotOf(const Entry& entry) const {
  uint64_t h = (entry.head ^ seed_) * 0x9e3779b97f4a7c15u;
  h = (h ^ (h >> 32) ^ entry.tail ^ entry.length) * 0xd6e8feb86659fd93u;
  return h >> (64 - 10);
}

const CommandSpec* CommandTable::Find(std::string_view name) const {
  static_assert(kSlots == 1u << 10, "SlotOf keeps ten bits");
  Entry wanted;
  if (!MakeEntry(name, &wanted)) return nullptr;
  const Entry& slot = slots_[SlotOf(wanted)];
  if (slot.spec == nullptr || slot.head != wanted.head || slot.tail != wanted.tail || slot.length != wanted.length) {
    return nullptr;
  }
  size_t dot = slot.spec->group == "quipu" ? slot.spec->name.find('.') : std::string_view::npos;
  if (dot != std::string_view::npos && name[dot] != '.') return nullptr;
  return slot.spec;
}

const CommandSpec* CommandTable::FindSubcommand(const CommandSpec& container, std::string_view name) {
  for (const CommandSpec& sub : container.subcommands) {
    if (EqualsIgnoreCase(sub.name, name)) return &sub;
  }
  return nullptr;
}

size_t CommandTable::IndexOf(const CommandSpec& spec) const {
  for (const Container& c : containers_) {
    if (&spec >= c.first && &spec < c.first + c.count) return c.base + static_cast<size_t>(&spec - c.first);
  }
  QUIPU_ASSERT(false, "command {} is not of this table", spec.name);
  return 0;
}

std::vector<std::string_view> CommandTable::FlagNames(const CommandSpec& spec) {
  static constexpr std::pair<uint32_t, std::string_view> kNames[] = {{kWrite, "write"},
                                                                     {kReadOnly, "readonly"},
                                                                     {kDenyOom, "denyoom"},
                                                                     {kAdmin, "admin"},
                                                                     {kNoScript, "noscript"},
                                                                     {kLoading, "loading"},
                                                                     {kStale, "stale"},
                                                                     {kFast, "fast"},
                                                                     {kNoAuth, "no_auth"},
                                                                     {kNoMulti, "no_multi"},
                                                                     {kMovableKeys, "movablekeys"}};
  std::vector<std::string_view> names;
  for (auto [flag, name] : kNames) {
    if ((spec.flags & flag) != 0) names.push_back(name);
  }
  return names;
}

std::vector<std::string_view> CommandTable::Categories(const CommandSpec& spec) {
  std::vector<std::string_view> names;
  if (spec.group == "generic" && spec.first_key != 0) names.push_back("@keyspace");
  if ((spec.flags & kReadOnly) != 0) names.push_back("@read");
  if ((spec.flags & kWrite) != 0) names.push_back("@write");
  if (spec.group == "string") names.push_back("@string");
  if (spec.group == "hash") names.push_back("@hash");
  names.push_back((spec.flags & kFast) != 0 ? "@fast" : "@slow");
  if ((spec.flags & kAdmin) != 0) names.push_back("@admin");
  if ((spec.flags & (kAdmin | kOff)) != 0) names.push_back("@dangerous");
  if (spec.group == "connection") names.push_back("@connection");
  if (spec.group == "transactions") names.push_back("@transaction");
  if (spec.group == "quipu") names.push_back("@quipu");
  return names;
}

bool KeyPositions(const CommandSpec& spec, size_t args, std::vector<size_t>* positions) {
  positions->clear();
  auto given = static_cast<int>(args);
  if (spec.arity >= 0 ? given != spec.arity : given < -spec.arity) return false;
  if (spec.first_key == 0) return true;
  int last = spec.last_key < 0 ? given + spec.last_key : spec.last_key;
  for (int i = spec.first_key; i <= last && i < given; i += spec.key_step) positions->push_back(static_cast<size_t>(i));
  return true;
}

}  // namespace quipu::resp
