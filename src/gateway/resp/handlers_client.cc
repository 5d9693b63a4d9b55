#include <fmt/core.h>

#include "gateway/resp/client_info.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {

std::string ClientLine(Connection& connection) {
  const Connection::Identity& id = connection.identity();
  int64_t now = connection.loop().MonoMicros();
  Transaction& t = connection.transaction();
  std::string_view command = "NULL";
  if (connection.command() != nullptr) command = CommandTable::Get().FullName(*connection.command());
  return fmt::format(
      "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 multi={} qbuf={} "
      "qbuf-free=0 argv-mem=0 multi-mem={} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} user=default "
      "redir=-1 resp={} lib-name={} lib-ver={}",
      id.id, id.address, id.local_address, id.name, (now - id.opened_us) / 1'000'000, (now - id.active_us) / 1'000'000,
      t.queueing() ? "x" : "N", t.queueing() ? static_cast<int64_t>(t.queue.size()) : -1, connection.input_bytes(),
      t.bytes(), connection.output_bytes(), connection.memory_bytes(), command, static_cast<int>(connection.protocol()),
      id.lib_name, id.lib_version);
}

void ClientId(Connection& c, Args) { c.reply().Integer(static_cast<int64_t>(c.identity().id)); }

void ClientGetName(Connection& c, Args) {
  if (c.identity().name.empty())
    c.reply().Null();
  else
    c.reply().Bulk(c.identity().name);
}

void ClientSetName(Connection& c, Args args) {
  if (!IsClientName(args[2])) return c.Fail(text::kBadClientName);
  c.identity().name = args[2];
  c.reply().Simple("OK");
}

void ClientSetInfo(Connection& c, Args args) {
  bool is_name = EqualsIgnoreCase(args[2], "lib-name");
  if (!is_name && !EqualsIgnoreCase(args[2], "lib-ver")) {
    return c.Fail(fmt::format("ERR Unrecognized option '{}'", args[2].substr(0, 128)));
  }
  std::string_view option = is_name ? "lib-name" : "lib-ver";
  if (!IsClientName(args[3])) {
    return c.Fail(fmt::format("ERR {} cannot contain spaces, newlines or special characters.", option));
  }
  (is_name ? c.identity().lib_name : c.identity().lib_version) = args[3];
  c.reply().Simple("OK");
}

void ClientOnOff(Connection& c, Args args) {
  bool on = EqualsIgnoreCase(args[2], "on");
  if (!on && !EqualsIgnoreCase(args[2], "off")) return c.Fail(text::kSyntax);
  (c.command()->name == "no-evict" ? c.identity().no_evict : c.identity().no_touch) = on;
  c.reply().Simple("OK");
}

void ClientReply(Connection& c, Args args) {
  if (EqualsIgnoreCase(args[2], "on")) {
    c.SetReplyMode(Connection::ReplyMode::kOn);
    c.reply().Simple("OK");
  } else if (EqualsIgnoreCase(args[2], "off")) {
    c.SetReplyMode(Connection::ReplyMode::kOff);
  } else if (EqualsIgnoreCase(args[2], "skip")) {
    c.SetReplyMode(Connection::ReplyMode::kSkipNext);
  } else {
    c.Fail(text::kSyntax);
  }
}

void ClientInfo(Connection& c, Args) { c.reply().Verbatim(ClientLine(c) + "\n"); }

void ClientList(Connection& c, Args args) {
  std::vector<uint64_t> ids;
  bool only_ids = false;
  bool normal = true;
  for (size_t i = 2; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "TYPE") && i + 1 < args.size()) {
      std::string_view type = args[++i];
      normal = EqualsIgnoreCase(type, "normal");
      bool known = normal || EqualsIgnoreCase(type, "master") || EqualsIgnoreCase(type, "replica") ||
                   EqualsIgnoreCase(type, "slave") || EqualsIgnoreCase(type, "pubsub");
      if (!known) return c.Fail(fmt::format("ERR Unknown client type '{}'", type.substr(0, 128)));
    } else if (EqualsIgnoreCase(args[i], "ID") && i + 1 < args.size()) {
      only_ids = true;
      for (++i; i < args.size(); ++i) {
        uint64_t id = 0;
        if (!ParseUint64(args[i], &id)) return c.Fail("ERR Invalid client ID");
        ids.push_back(id);
      }
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  std::string lines;
  for (Connection* other : c.server().ConnectionsById()) {
    bool listed = !only_ids || std::find(ids.begin(), ids.end(), other->identity().id) != ids.end();
    if (listed && normal) lines += ClientLine(*other) + "\n";
  }
  c.reply().Verbatim(lines);
}

namespace {

struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<std::string_view> address;
  std::optional<std::string_view> local_address;
  bool other_kind = false;  // TYPE or USER that no connection of ours has
  bool skip_me = true;

  bool Matches(const Connection::Identity& identity) const {
    return !other_kind && (!id || *id == identity.id) && (!address || *address == identity.address) &&
           (!local_address || *local_address == identity.local_address);
  }
};

// Closes what matches; ourselves only after the reply.
int64_t Kill(Connection& c, const KillFilter& filter) {
  int64_t killed = 0;
  for (Connection* other : c.server().ConnectionsById()) {
    if (!filter.Matches(other->identity()) || (filter.skip_me && other == &c)) continue;
    ++killed;
    if (other == &c)
      c.FinishAfterReplies("killed");
    else
      other->Close("killed");
  }
  return killed;
}

}  // namespace

void ClientKill(Connection& c, Args args) {
  if (args.size() == 3) {
    if (Kill(c, {.address = args[2], .skip_me = false}) == 0) return c.Fail(text::kNoSuchClient);
    return c.reply().Simple("OK");
  }
  KillFilter filter;
  for (size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return c.Fail(text::kSyntax);
    std::string_view value = args[i + 1];
    if (EqualsIgnoreCase(args[i], "ID")) {
      uint64_t id = 0;
      if (!ParseUint64(value, &id) || id == 0) return c.Fail("ERR client-id should be greater than 0");
      filter.id = id;
    } else if (EqualsIgnoreCase(args[i], "ADDR")) {
      filter.address = value;
    } else if (EqualsIgnoreCase(args[i], "LADDR")) {
      filter.local_address = value;
    } else if (EqualsIgnoreCase(args[i], "TYPE")) {
      filter.other_kind |= !EqualsIgnoreCase(value, "normal");
    } else if (EqualsIgnoreCase(args[i], "USER")) {
      if (value != "default") return c.Fail(fmt::format("ERR No such user '{}'", value.substr(0, 128)));
    } else if (EqualsIgnoreCase(args[i], "SKIPME")) {
      bool yes = EqualsIgnoreCase(value, "yes");
      if (!yes && !EqualsIgnoreCase(value, "no")) return c.Fail(text::kSyntax);
      filter.skip_me = yes;
    } else {
      return c.Fail(text::kSyntax);
    }
  }
  c.reply().Integer(Kill(c, filter));
}

}  // namespace quipu::resp
