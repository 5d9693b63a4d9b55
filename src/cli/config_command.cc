// config print, check, schema; and what serve shares with them.
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "server/config_inputs.h"

namespace quipu::cli {

Result<server::LoadedConfig> LoadConfigForCommand(const ConfigOptions& options) {
  QUIPU_ASSIGN_OR_RETURN(server::ConfigInputs in, server::GatherConfigInputs(options.file, options.flags));
  return server::LoadConfig(in);
}

int FailConfig(const std::vector<std::string>& problems) {
  for (const std::string& problem : problems) Say(fmt::format("quipu: {}", Printable(problem)));
  Say(fmt::format("quipu: {} in the configuration; nothing was started or changed",
                  problems.size() == 1 ? std::string("1 problem") : fmt::format("{} problems", problems.size())));
  return kExitConfig;
}

int RunConfigPrint(const CommonOptions& common, const ConfigOptions& options) {
  const Result<server::LoadedConfig> loaded = LoadConfigForCommand(options);
  if (!loaded.ok()) return FailConfig({std::string(loaded.status().message())});
  const bool json = common.json || common.output == "json";
  Print(json ? server::ConfigToJson(*loaded) : server::ConfigToToml(*loaded));
  return loaded->problems.empty() ? kExitDone : FailConfig(loaded->problems);
}

int RunConfigCheck(const ConfigOptions& options) {
  const Result<server::LoadedConfig> loaded = LoadConfigForCommand(options);
  if (!loaded.ok()) return FailConfig({std::string(loaded.status().message())});
  if (!loaded->problems.empty()) return FailConfig(loaded->problems);
  Say("the configuration holds");
  return kExitDone;
}

int RunConfigSchema(bool markdown) {
  Print(markdown ? server::ConfigReference() : server::ConfigSchema());
  return kExitDone;
}

}  // namespace quipu::cli
