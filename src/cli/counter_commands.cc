// add, get, clear, token: one counter at a time.
#include <charconv>
#include <cstdio>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "rt/host.h"
#include "server/log.h"

namespace quipu::cli {
namespace {

using client::Reply;

// A 64-bit signed integer in full, as the server reads it.
Status CheckDelta(std::string_view text) {
  int64_t value = 0;
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) {
    return Status(Code::kInvalidArgument, fmt::format("delta {} is out of range [-2^63, 2^63-1]", text));
  }
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return Status(Code::kInvalidArgument, fmt::format("delta `{}` is not an integer", text));
  }
  return OkStatus();
}

// Field `key` of a flat array of names and values.
const Reply* FieldOf(const Reply& map, std::string_view key) {
  for (size_t i = 0; i + 1 < map.elements.size(); i += 2) {
    if (map.elements[i].text == key) return &map.elements[i + 1];
  }
  return nullptr;
}

std::string TextOf(const Reply* reply) {
  if (reply == nullptr || reply->is_null()) return "";
  return reply->type == Reply::Type::kInteger ? std::to_string(reply->integer) : reply->text;
}

// The server tells times in unix milliseconds.
std::string TimeOf(const Reply* reply) {
  if (reply == nullptr || reply->type != Reply::Type::kInteger) return TextOf(reply);
  return server::Rfc3339Millis(reply->integer);
}

Status UnexpectedReply(std::string_view command) {
  return Status(Code::kInternal, fmt::format("the server's answer to {} has an unexpected form", command));
}

// As one word of a shell's command line.
std::string ShellWord(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  std::string word = "'";
  for (char c : text) c == '\'' ? word += "'\\''" : word += c;
  return Printable(word + "'");
}

// Says how to go on after an outcome that nobody knows, or a token that stands for something else. The call is to be
// repeated at the same server and namespace: in another one it would count anew.
int FailMutation(const Status& status, const CommonOptions& common, std::string_view call, std::string_view name,
                 std::string_view token) {
  const int code = Fail(status);
  std::string where = common.ns.empty() ? "" : fmt::format(" -n {}", ShellWord(common.ns));
  if (common.address != CommonOptions().address) where += fmt::format(" --address {}", ShellWord(common.address));
  if (code == kExitUnknown) {
    Say(fmt::format("quipu: it may have happened. To be sure, repeat it with the same token:\n  {} --token {}{}", call,
                    ShellWord(token), where));
  }
  if (status.code() == Code::kTokenConflict) {
    Say(fmt::format("quipu: what it was used for: quipu token {} {}{}", ShellWord(name), ShellWord(token), where));
  }
  return code;
}

}  // namespace

int RunAdd(const CommonOptions& common, const AddOptions& options) {
  if (const Status status = CheckDelta(options.delta); !status.ok()) return Fail(status);
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const std::string token = options.token.empty() ? (*session)->NewToken() : options.token;
  Result<Reply> reply = (*session)->CallWithRetry({"QUIPU.ADD", options.name, options.delta, "TOKEN", token});
  if (!reply.ok()) {
    const std::string call = fmt::format("quipu add {} {}", ShellWord(options.name), options.delta);
    return FailMutation(reply.status(), common, call, options.name, token);
  }
  if (reply->elements.size() < 2) return Fail(UnexpectedReply("QUIPU.ADD"));
  const Result<int64_t> value = reply->elements[0].AsInteger();
  if (!value.ok()) return Fail(UnexpectedReply("QUIPU.ADD"));
  const std::string& outcome = reply->elements[1].text;
  if ((*session)->format() == OutputFormat::kTable) {
    Print(fmt::format("{}\n", *value));
    if (outcome == "REPLAYED") Say("replayed: this token had been counted before");
    if (outcome == "UNPROTECTED") Say("unprotected: this namespace keeps no tokens; a retry would count again");
  } else {
    const std::vector<Column> columns = {{"counter"}, {"value", ColumnKind::kCount}, {"status"}, {"token"}};
    Print(RenderRecord((*session)->format(), columns, {options.name, std::to_string(*value), outcome, token}));
  }
  return outcome == "REFUSED" ? kExitConflict : kExitDone;
}

int RunGet(const CommonOptions& common, const GetOptions& options) {
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const OutputFormat format = (*session)->format();
  const std::vector<Column> columns = {{"counter"},
                                       {"count", ColumnKind::kCount},
                                       {"as_of", ColumnKind::kTime},
                                       {"lag_ms", ColumnKind::kNumber},
                                       {"exact", ColumnKind::kFlag},
                                       {"last_write_time", ColumnKind::kTime},
                                       {"durability"}};
  std::vector<std::vector<std::string>> rows;
  for (const std::string& name : options.names) {
    const Result<Reply> reply = (*session)->CallWithRetry({"QUIPU.GET", name});
    if (!reply.ok()) return Fail(reply.status());
    const std::string count = TextOf(FieldOf(*reply, "count"));
    if (count.empty()) return Fail(UnexpectedReply("QUIPU.GET"));
    rows.push_back({name, count, TimeOf(FieldOf(*reply, "as_of")), TextOf(FieldOf(*reply, "lag_ms")),
                    TextOf(FieldOf(*reply, "exact")) == "1" ? "true" : "false",
                    TimeOf(FieldOf(*reply, "last_write_time")), TextOf(FieldOf(*reply, "durability"))});
  }
  if (format == OutputFormat::kTable) {
    for (const auto& row : rows) Print(row[1] + "\n");
  } else if (rows.size() == 1) {
    Print(RenderRecord(format, columns, rows[0]));
  } else {
    Print(RenderRows(format, columns, rows));
  }
  return kExitDone;
}

int RunClear(const CommonOptions& common, const ClearOptions& options) {
  if (!options.yes) {
    if (!rt::IsTerminal(rt::StandardStream::kIn)) return FailUsage("clear: add --yes, or answer at a terminal");
    fmt::print(stderr, "{} {} to 0? Type yes: ", options.remove ? "Delete" : "Clear", Printable(options.name));
    char answer[8] = {};
    if (std::fgets(answer, sizeof answer, stdin) == nullptr || std::string_view(answer) != "yes\n") {
      return FailUsage("clear: not confirmed, nothing done");
    }
  }
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const std::string token = options.token.empty() ? (*session)->NewToken() : options.token;
  Result<Reply> reply = options.remove
                            ? (*session)->CallWithRetry({"QUIPU.CLEAR", options.name, "TOKEN", token, "DELETE"})
                            : (*session)->CallWithRetry({"QUIPU.CLEAR", options.name, "TOKEN", token});
  if (!reply.ok()) {
    const std::string call =
        fmt::format("quipu clear {} --yes{}", ShellWord(options.name), options.remove ? " --delete" : "");
    return FailMutation(reply.status(), common, call, options.name, token);
  }
  if (reply->elements.size() < 2) return Fail(UnexpectedReply("QUIPU.CLEAR"));
  if ((*session)->format() == OutputFormat::kTable) {
    Say(reply->elements[1].text == "REPLAYED" ? "replayed: this token had cleared it before" : "cleared");
  } else {
    const std::vector<Column> columns = {{"counter"}, {"value", ColumnKind::kCount}, {"status"}, {"token"}};
    Print(RenderRecord((*session)->format(), columns, {options.name, "0", reply->elements[1].text, token}));
  }
  return kExitDone;
}

int RunToken(const CommonOptions& common, const TokenOptions& options) {
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const Result<Reply> reply = (*session)->CallWithRetry({"QUIPU.TOKEN", options.name, options.token});
  if (!reply.ok()) return Fail(reply.status());
  if (reply->is_null()) {
    return Fail(Status(Code::kNotFound, fmt::format("counter {} has not seen token {}", options.name, options.token)));
  }
  const std::vector<Column> columns = {{"counter"},
                                       {"token"},
                                       {"status"},
                                       {"kind"},
                                       {"delta", ColumnKind::kCount},
                                       {"result", ColumnKind::kCount},
                                       {"applied", ColumnKind::kCount},
                                       {"event_time", ColumnKind::kTime},
                                       {"position", ColumnKind::kNumber},
                                       {"expires_at", ColumnKind::kTime}};
  std::vector<std::string> row = {options.name, options.token};
  for (size_t i = 2; i < columns.size(); ++i) {
    const Reply* field = FieldOf(*reply, columns[i].name);
    row.push_back(columns[i].kind == ColumnKind::kTime ? TimeOf(field) : TextOf(field));
  }
  Print(RenderRecord((*session)->format(), columns, row));
  return kExitDone;
}

}  // namespace quipu::cli
