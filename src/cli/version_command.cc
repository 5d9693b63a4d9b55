// version: what this binary is.
#include "cli/commands.h"
#include "cli/exit_code.h"

namespace quipu::cli {
namespace {

#if defined(__clang__)
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

}  // namespace

std::string VersionLine() { return "quipu " QUIPU_VERSION; }

int RunVersion(const CommonOptions& common, const VersionOptions& options) {
  const Result<OutputFormat> format = ParseOutputFormat(common.json ? "json" : common.output);
  if (!format.ok()) return Fail(format.status());
  if (!options.features && *format == OutputFormat::kTable) {
    Print(VersionLine() + "\n");
    return kExitDone;
  }
  const std::vector<Column> columns = {{"version"}, {"build"}, {"compiler"}, {"engines"}, {"protocols"}, {"formats"}};
  Print(RenderRecord(
      *format, columns,
      {QUIPU_VERSION, QUIPU_BUILD, kCompiler, "embedded", "RESP2 RESP3", "clf csv tsv ndjson lines gzip zstd"}));
  return kExitDone;
}

}  // namespace quipu::cli
