#include <fmt/core.h>

#include "gateway/resp/client_info.h"
#include "gateway/resp/errors.h"
#include "gateway/resp/formats.h"
#include "gateway/resp/handlers.h"
#include "gateway/resp/number.h"

namespace quipu::resp {
namespace {

// Takes the same time wherever the two differ; only the length shows.
bool EqualsConstantTime(std::string_view given, std::string_view secret) {
  size_t difference = given.size() ^ secret.size();
  for (size_t i = 0; i < given.size(); ++i) {
    char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<size_t>(static_cast<unsigned char>(given[i] ^ expected));
  }
  return difference == 0;
}

bool IsPassword(Connection& c, std::string_view user, std::string_view password) {
  const std::string& secret = c.server().options().password;
  bool good = secret.empty() || EqualsConstantTime(password, secret);
  if (good && user == "default") return true;
  c.server().observer().OnAuthFailed(c.identity().address);
  return false;
}

// The namespace of that name, or null after an error reply.
const Namespace* FindNamespace(Connection& c, const NamespaceTable& table, std::string_view name) {
  const Namespace* found = table.Find(name);
  if (found == nullptr) c.Fail(NoNamespaceError(name));
  return found;
}

}  // namespace

bool IsClientName(std::string_view name) {
  for (char c : name) {
    if (c < '!' || c > '~') return false;
  }
  return true;
}

void WriteModules(ReplyBuffer& out, const RespOptions& options) {
  int64_t version = 0;
  for (char c : options.version) {  // 1.2.3 as 10203
    if (c == '.')
      version *= 10;
    else if (c >= '0' && c <= '9')
      version = version * 10 + (c - '0');
    else
      break;
  }
  out.Array(1);
  out.Map(4);
  out.Bulk("name");
  out.Bulk("quipu");
  out.Bulk("ver");
  out.Integer(version);
  out.Bulk("path");
  out.Bulk("");
  out.Bulk("args");
  out.Array(0);
}

void Ping(Connection& c, Args args) {
  if (args.size() > 2) return c.FailArity(*c.command());
  if (args.size() == 2)
    c.reply().Bulk(args[1]);
  else
    c.reply().Simple("PONG");
}

void Echo(Connection& c, Args args) { c.reply().Bulk(args[1]); }

void Time(Connection& c, Args) {
  int64_t now = c.loop().WallMicros();
  c.reply().Array(2);
  c.reply().BulkInteger(now / 1'000'000);
  c.reply().BulkInteger(now % 1'000'000);
}

void Select(Connection& c, Args args) {
  int64_t index = 0;
  if (!ParseInt64(args[1], &index)) return c.Fail(text::kNotInteger);
  if (index < INT32_MIN || index > INT32_MAX) return c.Fail(text::kNotInt32);
  const std::vector<std::string>& databases = c.server().options().databases;
  if (index < 0 || index >= static_cast<int64_t>(databases.size())) return c.Fail(text::kDbIndex);
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  const Namespace* found = FindNamespace(c, *table, databases[static_cast<size_t>(index)]);
  if (found == nullptr) return;
  c.SetNamespace(found->id);
  c.reply().Simple("OK");
}

void Quit(Connection& c, Args) {
  c.reply().Simple("OK");
  c.FinishAfterReplies("quit");
}

void ResetConnection(Connection& c, Args) {
  c.ResetState();
  c.reply().Simple("RESET");
}

void Auth(Connection& c, Args args) {
  if (args.size() > 3) return c.Fail(text::kSyntax);
  if (args.size() == 2 && c.server().options().password.empty()) return c.Fail(text::kNoPassword);
  std::string_view user = args.size() == 3 ? args[1] : "default";
  if (!IsPassword(c, user, args.back())) return c.Fail(text::kWrongPass);
  c.SetAuthenticated(true);
  c.reply().Simple("OK");
}

void Hello(Connection& c, Args args) {
  int64_t version = static_cast<int64_t>(c.protocol());
  if (args.size() > 1) {
    if (!ParseInt64(args[1], &version)) return c.Fail(text::kProtoNotInteger);
    if (version != 2 && version != 3) return c.Fail(text::kNoProto);
  }
  std::optional<std::string_view> name;
  for (size_t i = 2; i < args.size(); ++i) {
    if (EqualsIgnoreCase(args[i], "AUTH") && i + 2 < args.size()) {
      if (!IsPassword(c, args[i + 1], args[i + 2])) return c.Fail(text::kWrongPass);
      c.SetAuthenticated(true);
      i += 2;
    } else if (EqualsIgnoreCase(args[i], "SETNAME") && i + 1 < args.size()) {
      name = args[++i];
      if (!IsClientName(*name)) return c.Fail(text::kBadClientName);
    } else {
      return c.Fail(fmt::format("ERR Syntax error in HELLO option '{}'", args[i].substr(0, 128)));
    }
  }
  if (!c.authenticated()) return c.Fail(text::kHelloNoAuth);
  if (name) c.identity().name = *name;
  c.SetProtocol(version == 3 ? Protocol::kResp3 : Protocol::kResp2);
  ReplyBuffer& out = c.reply();
  out.Map(7);
  out.Bulk("server");
  out.Bulk("redis");
  out.Bulk("version");
  out.Bulk("7.2.0");
  out.Bulk("proto");
  out.Integer(version);
  out.Bulk("id");
  out.Integer(static_cast<int64_t>(c.identity().id));
  out.Bulk("mode");
  out.Bulk("standalone");
  out.Bulk("role");
  out.Bulk("master");
  out.Bulk("modules");
  WriteModules(out, c.server().options());
}

void QuipuNs(Connection& c, Args args) {
  if (args.size() > 2) return c.FailArity(*c.command());
  std::shared_ptr<const NamespaceTable> table = c.store().Namespaces();
  if (args.size() == 1) return c.reply().Bulk(table->Get(c.ns()).name);
  const Namespace* found = FindNamespace(c, *table, args[1]);
  if (found == nullptr) return;
  c.SetNamespace(found->id);
  c.reply().Simple("OK");
}

}  // namespace quipu::resp
