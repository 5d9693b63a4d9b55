// list, top: many counters.
#include <algorithm>
#include <map>

#include "cli/commands.h"
#include "cli/exit_code.h"

namespace quipu::cli {
namespace {

using client::Reply;

constexpr std::string_view kScanPage = "1000";
constexpr int64_t kTopMax = 10'000;  // the server's limit
constexpr size_t kReadPage = 10'000;
const std::vector<Column> kColumns = {{"value", ColumnKind::kCount}, {"counter"}};

// A pattern for SCAN that matches names with exactly this beginning.
std::string PatternOfPrefix(std::string_view prefix) {
  std::string out;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out + "*";
}

Status UnexpectedReply(std::string_view command) {
  return Status(Code::kInternal, fmt::format("the server's answer to {} has an unexpected form", command));
}

// The first `limit` names in order, from a scan of all; `*total` is how many there are. Holds `limit` names.
Status ScanNames(Session* session, const std::string& prefix, size_t limit, std::map<std::string, std::string>* names,
                 uint64_t* total) {
  const std::string pattern = PatternOfPrefix(prefix);
  std::string cursor = "0";
  do {
    QUIPU_ASSIGN_OR_RETURN(const Reply page,
                           session->CallWithRetry({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanPage}));
    if (page.elements.size() != 2) return UnexpectedReply("SCAN");
    cursor = page.elements[0].text;
    for (const Reply& name : page.elements[1].elements) {
      *total += 1;
      if (names->size() == limit && name.text > names->rbegin()->first) continue;
      names->emplace(name.text, "");
      if (names->size() > limit) names->erase(std::prev(names->end()));
    }
  } while (cursor != "0");
  return OkStatus();
}

Status ReadValues(Session* session, std::map<std::string, std::string>* names) {
  for (auto at = names->begin(); at != names->end();) {
    std::vector<std::string_view> command = {"MGET"};
    auto end = at;
    for (; end != names->end() && command.size() <= kReadPage; ++end) command.push_back(end->first);
    QUIPU_ASSIGN_OR_RETURN(const Reply values, session->CallWithRetry(command));
    if (values.elements.size() != command.size() - 1) return UnexpectedReply("MGET");
    for (const Reply& value : values.elements) (at++)->second = value.text;
  }
  return OkStatus();
}

}  // namespace

int RunList(const CommonOptions& common, const ListOptions& options) {
  if (options.limit < 1 || options.limit > 1'000'000) {
    return FailUsage(fmt::format("--limit {} is outside 1 to 1000000", options.limit));
  }
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  std::map<std::string, std::string> names;
  uint64_t total = 0;
  Status status = ScanNames(session->get(), options.prefix, static_cast<size_t>(options.limit), &names, &total);
  if (status.ok() && !names.empty()) status = ReadValues(session->get(), &names);
  if (!status.ok()) return Fail(status);
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : names) {
    if (!value.empty()) rows.push_back({value, name});  // an empty value: deleted since the scan
  }
  Print(RenderRows((*session)->format(), kColumns, rows));
  if (total > names.size()) Say(fmt::format("{} of {} counters; --limit shows more", names.size(), total));
  return kExitDone;
}

int RunTop(const CommonOptions& common, const TopOptions& options) {
  if (options.count < 1 || options.count > kTopMax) {
    return FailUsage(fmt::format("top {}: outside 1 to {}", options.count, kTopMax));
  }
  Result<std::unique_ptr<Session>> session = Session::Make(common);
  if (!session.ok()) return Fail(session.status());
  const std::string count = std::to_string(options.count);
  const Result<Reply> reply = options.ascending
                                  ? (*session)->CallWithRetry({"QUIPU.TOP", count, "PREFIX", options.prefix, "ASC"})
                                  : (*session)->CallWithRetry({"QUIPU.TOP", count, "PREFIX", options.prefix});
  if (!reply.ok()) return Fail(reply.status());
  std::vector<std::vector<std::string>> rows;
  for (const Reply& entry : reply->elements) {
    if (entry.elements.size() != 2) return Fail(UnexpectedReply("QUIPU.TOP"));
    const Result<int64_t> value = entry.elements[1].AsInteger();
    if (!value.ok()) return Fail(UnexpectedReply("QUIPU.TOP"));
    rows.push_back({std::to_string(*value), entry.elements[0].text});
  }
  Print(RenderRows((*session)->format(), kColumns, rows));
  return kExitDone;
}

}  // namespace quipu::cli
