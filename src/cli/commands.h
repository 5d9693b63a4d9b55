// The commands. Each takes its own options (filled by the command tree), does its work, and returns an exit code.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cli/session.h"
#include "ingest/record_parser.h"
#include "server/config.h"

namespace quipu::cli {

struct AddOptions {
  std::string name;
  std::string delta = "1";
  std::string token;
};
int RunAdd(const CommonOptions& common, const AddOptions& options);

struct GetOptions {
  std::vector<std::string> names;
};
int RunGet(const CommonOptions& common, const GetOptions& options);

struct ClearOptions {
  std::string name;
  std::string token;
  bool remove = false;
  bool yes = false;
};
int RunClear(const CommonOptions& common, const ClearOptions& options);

struct TokenOptions {
  std::string name;
  std::string token;
};
int RunToken(const CommonOptions& common, const TokenOptions& options);

struct ListOptions {
  std::string prefix;
  int64_t limit = 100;
};
int RunList(const CommonOptions& common, const ListOptions& options);

struct TopOptions {
  int64_t count = 10;
  std::string prefix;
  bool ascending = false;
};
int RunTop(const CommonOptions& common, const TopOptions& options);

struct VersionOptions {
  bool features = false;
};
std::string VersionLine();  // "quipu 1.2.3"
int RunVersion(const CommonOptions& common, const VersionOptions& options);

struct ImportOptions {
  ingest::ImportSpec spec;
  std::string dead_letter;
  bool final_line = false;
  std::vector<std::string> files;
};
int RunImport(CommonOptions common, const ImportOptions& options);

struct CheckOptions {
  std::string data_dir;
};
int RunCheck(const CommonOptions& common, const CheckOptions& options);

struct BenchOptions {
  int64_t clients = 50;
  int64_t pipeline = 16;
  std::string duration = "5s";
  int64_t keys = 1'000'000;
  std::string token = "uuidv7";  // none, uuidv7, uuidv4
  std::string op = "add";        // add, incr, get
};
int RunBench(const CommonOptions& common, const BenchOptions& options);

struct ConfigOptions {
  std::string file;
  std::vector<std::string> flags;  // --journal.segment_size=64MiB and the like
};
// `dev`: a data directory that is removed at the end.
int RunServe(const ConfigOptions& options, bool dev);
int RunConfigPrint(const CommonOptions& common, const ConfigOptions& options);
int RunConfigCheck(const ConfigOptions& options);
int RunConfigSchema(bool markdown);
// An error is the file's: missing or unreadable. Problems inside are listed in the result.
Result<server::LoadedConfig> LoadConfigForCommand(const ConfigOptions& options);
// Lists the problems; kExitConfig.
int FailConfig(const std::vector<std::string>& problems);

}  // namespace quipu::cli
