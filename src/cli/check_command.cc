// check: verifies a data directory while no server runs on it.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "server/wire_check.h"

namespace quipu::cli {

int RunCheck(const CommonOptions& common, const CheckOptions& options) {
  const Result<OutputFormat> format = ParseOutputFormat(common.json ? "json" : common.output);
  if (!format.ok()) return Fail(format.status());
  const Result<server::CheckOutcome> outcome = server::CheckStore(options.data_dir);
  if (!outcome.ok()) {
    const int code = Fail(outcome.status());
    if (outcome.code() == Code::kAlreadyExists) {
      Say("quipu: one process at a time has a data directory; stop its server first, or check a copy");
      return kExitLocked;
    }
    return outcome.code() == Code::kUnavailable ? static_cast<int>(kExitOs) : code;
  }
  std::vector<Column> columns = {{"data_dir"}};
  std::vector<std::string> row = {options.data_dir};
  for (const auto& [name, value] : outcome->figures) {
    columns.push_back({name, ColumnKind::kNumber});
    row.push_back(std::to_string(value));
  }
  Print(RenderRecord(*format, columns, row));
  for (const auto& [place, text] : outcome->findings) {
    Say(fmt::format("quipu: {}: {}", Printable(place), Printable(text)));
  }
  if (outcome->findings_total > outcome->findings.size()) {
    Say(fmt::format("quipu: {} more findings", outcome->findings_total - outcome->findings.size()));
  }
  return outcome->findings_total == 0 ? kExitDone : kExitDamaged;
}

}  // namespace quipu::cli
