// COMMAND and its subcommands, made from the table.
#include <fmt/core.h>

#include "gateway/resp/formats.h"
#include "gateway/resp/glob.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

void WriteKeySpec(ReplyBuffer& out, const CommandSpec& spec) {
  out.Map(3);
  out.Bulk("flags");
  bool write = (spec.flags & kWrite) != 0;
  out.Set(2);
  out.Simple(write ? "RW" : "RO");
  out.Simple(write ? "update" : "access");
  out.Bulk("begin_search");
  out.Map(2);
  out.Bulk("type");
  out.Bulk("index");
  out.Bulk("spec");
  out.Map(1);
  out.Bulk("index");
  out.Integer(spec.first_key);
  out.Bulk("find_keys");
  out.Map(2);
  out.Bulk("type");
  out.Bulk("range");
  out.Bulk("spec");
  out.Map(3);
  out.Bulk("lastkey");
  out.Integer(spec.last_key < 0 ? spec.last_key : spec.last_key - spec.first_key);
  out.Bulk("keystep");
  out.Integer(spec.key_step);
  out.Bulk("limit");
  out.Integer(0);
}

void WriteInfo(ReplyBuffer& out, const CommandSpec& spec) {
  out.Array(10);
  out.Bulk(CommandTable::Get().FullName(spec));
  out.Integer(spec.arity);
  std::vector<std::string_view> flags = CommandTable::FlagNames(spec);
  out.Set(flags.size());
  for (std::string_view flag : flags) out.Simple(flag);
  out.Integer(spec.first_key);
  out.Integer(spec.last_key);
  out.Integer(spec.key_step);
  std::vector<std::string_view> categories = CommandTable::Categories(spec);
  out.Set(categories.size());
  for (std::string_view category : categories) out.Simple(category);
  out.Set(0);  // tips
  out.Set(spec.first_key == 0 ? 0 : 1);
  if (spec.first_key != 0) WriteKeySpec(out, spec);
  out.Array(spec.subcommands.size());
  for (const CommandSpec& sub : spec.subcommands) WriteInfo(out, sub);
}

void WriteArguments(ReplyBuffer& out, std::span<const ArgumentDoc> docs) {
  out.Array(docs.size());
  for (const ArgumentDoc& doc : docs) {
    bool is_key = doc.type == "key";
    bool has_flags = doc.optional || doc.multiple;
    out.Map(2 + (is_key ? 1u : 0u) + (doc.token.empty() ? 0u : 1u) + (has_flags ? 1u : 0u) +
            (doc.parts.empty() ? 0u : 1u));
    out.Bulk("name");
    out.Bulk(doc.name);
    out.Bulk("type");
    out.Bulk(doc.type);
    if (is_key) {
      out.Bulk("key_spec_index");
      out.Integer(0);
    }
    if (!doc.token.empty()) {
      out.Bulk("token");
      out.Bulk(doc.token);
    }
    if (has_flags) {
      out.Bulk("flags");
      out.Set((doc.optional ? 1u : 0u) + (doc.multiple ? 1u : 0u));
      if (doc.optional) out.Simple("optional");
      if (doc.multiple) out.Simple("multiple");
    }
    if (!doc.parts.empty()) {
      out.Bulk("arguments");
      WriteArguments(out, doc.parts);
    }
  }
}

void WriteDocs(ReplyBuffer& out, const CommandSpec& spec) {
  std::vector<ArgumentDoc> arguments = ParseSynopsis(spec.synopsis);
  bool has_subcommands = !spec.subcommands.empty();
  out.Bulk(CommandTable::Get().FullName(spec));
  out.Map(4 + (arguments.empty() ? 0u : 1u) + (has_subcommands ? 1u : 0u));
  out.Bulk("summary");
  out.Bulk(spec.summary);
  out.Bulk("since");
  out.Bulk(spec.since);
  out.Bulk("group");
  out.Bulk(spec.group);
  out.Bulk("complexity");
  out.Bulk(spec.complexity);
  if (!arguments.empty()) {
    out.Bulk("arguments");
    WriteArguments(out, arguments);
  }
  if (has_subcommands) {
    out.Bulk("subcommands");
    out.Map(spec.subcommands.size());
    for (const CommandSpec& sub : spec.subcommands) WriteDocs(out, sub);
  }
}

// "get", "client|kill"; null if there is none.
const CommandSpec* FindByFullName(std::string_view name) {
  size_t bar = name.find('|');
  const CommandSpec* spec = CommandTable::Get().Find(name.substr(0, bar));
  if (spec == nullptr || bar == std::string_view::npos) return spec;
  return CommandTable::FindSubcommand(*spec, name.substr(bar + 1));
}

}  // namespace

void Command(Connection& c, Args) {
  std::span<const CommandSpec> all = CommandTable::Get().all();
  c.reply().Array(all.size());
  for (const CommandSpec& spec : all) WriteInfo(c.reply(), spec);
}

void CommandCount(Connection& c, Args) { c.reply().Integer(static_cast<int64_t>(CommandTable::Get().all().size())); }

void CommandList(Connection& c, Args args) {
  enum class Filter : uint8_t { kNone, kModule, kCategory, kPattern } filter = Filter::kNone;
  if (args.size() != 2) {
    if (args.size() != 5 || !EqualsIgnoreCase(args[2], "FILTERBY")) return c.Fail(text::kSyntax);
    if (EqualsIgnoreCase(args[3], "MODULE"))
      filter = Filter::kModule;
    else if (EqualsIgnoreCase(args[3], "ACLCAT"))
      filter = Filter::kCategory;
    else if (EqualsIgnoreCase(args[3], "PATTERN"))
      filter = Filter::kPattern;
    else
      return c.Fail(text::kSyntax);
  }
  std::vector<std::string_view> names;
  auto add = [&](const CommandSpec& spec) {
    const std::string& name = CommandTable::Get().FullName(spec);
    std::vector<std::string_view> categories = CommandTable::Categories(spec);
    bool listed = filter == Filter::kNone;
    if (filter == Filter::kModule) listed = spec.group == "quipu" && EqualsIgnoreCase(args[4], "quipu");
    if (filter == Filter::kPattern) listed = GlobMatch(args[4], name, LetterCase::kIgnore);
    if (filter == Filter::kCategory) {
      listed = std::any_of(categories.begin(), categories.end(),
                           [&](std::string_view category) { return EqualsIgnoreCase(category.substr(1), args[4]); });
    }
    if (listed) names.push_back(name);
  };
  for (const CommandSpec& spec : CommandTable::Get().all()) {
    add(spec);
    if (filter == Filter::kNone) continue;
    for (const CommandSpec& sub : spec.subcommands) add(sub);
  }
  c.reply().Array(names.size());
  for (std::string_view name : names) c.reply().Bulk(name);
}

void CommandInfo(Connection& c, Args args) {
  if (args.size() == 2) return Command(c, args);
  c.reply().Array(args.size() - 2);
  for (std::string_view name : args.subspan(2)) {
    const CommandSpec* spec = FindByFullName(name);
    if (spec == nullptr)
      c.reply().NullArray();
    else
      WriteInfo(c.reply(), *spec);
  }
}

void CommandDocs(Connection& c, Args args) {
  std::vector<const CommandSpec*> specs;
  if (args.size() == 2) {
    for (const CommandSpec& spec : CommandTable::Get().all()) specs.push_back(&spec);
  }
  for (std::string_view name : args.subspan(2)) {
    if (const CommandSpec* spec = FindByFullName(name)) specs.push_back(spec);
  }
  c.reply().Map(specs.size());
  for (const CommandSpec* spec : specs) WriteDocs(c.reply(), *spec);
}

void CommandGetKeys(Connection& c, Args args) {
  Args call = args.subspan(2);
  const CommandSpec* spec = CommandTable::Get().Find(call[0]);
  if (spec != nullptr && call.size() > 1) {
    if (const CommandSpec* sub = CommandTable::FindSubcommand(*spec, call[1])) spec = sub;
  }
  if (spec == nullptr) return c.Fail("ERR Invalid command specified");
  std::vector<size_t> keys;
  if (!KeyPositions(*spec, call.size(), &keys)) return c.Fail("ERR Invalid number of arguments specified for command");
  if (spec->first_key == 0) return c.Fail("ERR The command has no key arguments");
  c.reply().Array(keys.size());
  for (size_t i : keys) c.reply().Bulk(call[i]);
}

}  // namespace quipu::resp
