// All commands, once: dispatch, arity errors, COMMAND and its subcommands, completions and the reference page are
// made from this table. Subcommands (CLIENT KILL) are rows of their container.
//
// Threads   Constant after the first use. Cost: a look-up about 5 ns, any case, no allocation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quipu::resp {

class Connection;
using Args = std::span<const std::string_view>;
using Handler = void (*)(Connection&, Args);

enum CommandFlags : uint32_t {
  // Shown by COMMAND.
  kWrite = 1u << 0,
  kReadOnly = 1u << 1,
  kDenyOom = 1u << 2,
  kAdmin = 1u << 3,
  kNoScript = 1u << 4,
  kLoading = 1u << 5,
  kStale = 1u << 6,
  kFast = 1u << 7,
  kNoAuth = 1u << 8,
  kNoMulti = 1u << 9,  // not allowed inside MULTI
  kMovableKeys = 1u << 10,
  // For the connection.
  kBarrier = 1u << 16,     // runs on its own: what came before is decided first, and it is submitted at once
  kManyAtomic = 1u << 17,  // the same when it has more arguments than it needs, and in one commit
  kImmediate = 1u << 18,   // runs at once inside MULTI
  kScans = 1u << 19,       // asks the store for a listing first
  kOff = 1u << 20,         // refused with NOPERM unless switched on
};

struct CommandSpec {
  std::string_view name;  // lower case; of a subcommand its own word
  int arity = 0;          // with the name; negative: at least
  uint32_t flags = 0;
  int first_key = 0;
  int last_key = 0;  // negative: from the end
  int key_step = 0;
  std::string_view group;  // "string", "generic", "hash", "connection", "server", "transactions", "quipu"
  std::string_view since;
  std::string_view complexity;
  std::string_view summary;
  std::string_view synopsis;  // arguments as a person reads them; COMMAND DOCS is made from it
  Handler handler = nullptr;
  std::span<const CommandSpec> subcommands = {};
};

class CommandTable {
 public:
  static const CommandTable& Get();

  // Null if there is none.
  const CommandSpec* Find(std::string_view name) const;
  static const CommandSpec* FindSubcommand(const CommandSpec& container, std::string_view name);

  std::span<const CommandSpec> all() const;
  // "client|kill": what errors, statistics and COMMAND show.
  const std::string& FullName(const CommandSpec& spec) const { return full_names_[IndexOf(spec)]; }
  // Dense number of a command or subcommand, for statistics.
  size_t IndexOf(const CommandSpec& spec) const;
  size_t size() const { return full_names_.size(); }
  // "@write" and the like, derived from flags and group.
  static std::vector<std::string_view> Categories(const CommandSpec& spec);
  static std::vector<std::string_view> FlagNames(const CommandSpec& spec);

 private:
  struct Entry {
    uint64_t head = 0;  // the name in lower case: its first and last eight bytes, or less
    uint64_t tail = 0;
    uint32_t length = 0;
    const CommandSpec* spec = nullptr;
  };
  static constexpr size_t kSlots = 1024;

  CommandTable();
  static bool MakeEntry(std::string_view name, Entry* entry);
  size_t SlotOf(const Entry& entry) const;

  uint64_t seed_ = 0;  // chosen so that no two commands share a slot
  Entry slots_[kSlots];
  struct Container {
    const CommandSpec* first;
    size_t count;
    size_t base;
  };
  std::vector<Container> containers_;
  std::vector<std::string> full_names_;
};

// An argument of a command, read from its synopsis, as COMMAND DOCS describes it.
struct ArgumentDoc {
  std::string name;
  std::string_view type;  // "key", "integer", "string", "pattern", "unix-time", "pure-token", "oneof", "block"
  std::string token;
  bool optional = false;
  bool multiple = false;
  std::vector<ArgumentDoc> parts;
};
std::vector<ArgumentDoc> ParseSynopsis(std::string_view synopsis);

// Positions of the keys in a call; false if its arguments do not fit the command.
bool KeyPositions(const CommandSpec& spec, size_t args, std::vector<size_t>* positions);

}  // namespace quipu::resp
