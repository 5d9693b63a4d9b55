// sim: runs seeds of the simulation and says which ones failed, with the line that replays them.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>

#include "base/assert.h"
#include "test/simulation/campaign.h"
#include "test/simulation/plants.h"

namespace quipu::simulation {
namespace {

constexpr const char* kUsage =
    "Usage: sim [--seed=N] [--seeds=COUNT] [--scenario=NAME|FILE] [--engine=embedded|memory] [--plant=N]\n"
    "           [--jobs=PROCESSES] [--least=NAME:COUNT,...] [--verbose]\n"
    "           [--seconds=COUNT]: no seed begins later than that\n"
    "       sim --kept=FILE    Runs the seeds that the file keeps: lines of scenario, seed and what it found.\n"
    "       sim --every-call [--seed=N] [--case=N] [--jobs=PROCESSES] [--verbose]\n"
    "  Runs COUNT seeds from N on. Without a scenario each seed takes its own, by their shares. Fails too where a "
    "count\n"
    "  (adds, power_losses, ...) ends below its least.\n"
    "       sim_planted --every-plant [--seed=N] [--seeds=COUNT] [--jobs=PROCESSES]\n"
    "  With --every-call a short script crashes before each call of the disk in turn, and again in its recovery.\n"
    "  With a plant the run succeeds when a seed finds the planted bug: fails with it and passes without it.\n";

struct Options {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  std::string scenario;
  std::string engine = "embedded";
  int plant = 0;
  int jobs = 1;
  bool every_call = false;
  bool every_plant = false;
  bool one_case = false;
  uint64_t case_number = 0;
  bool verbose = false;
  std::map<std::string, double> least;
  int64_t seconds = 0;
  std::string kept;
};

bool ParseLeast(const std::string& text, std::map<std::string, double>* least) {
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    const size_t colon = item.find(':');
    char* end = nullptr;
    if (colon == 0 || colon == std::string::npos) return false;
    const double count = std::strtod(item.c_str() + colon + 1, &end);
    if (end == item.c_str() + colon + 1 || *end != '\0') return false;
    (*least)[item.substr(0, colon)] = count;
  }
  return !least->empty();
}

bool ParseOptions(int argc, char** argv, Options* o) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const size_t eq = std::min(arg.find('='), arg.size());
    const std::string key = arg.substr(0, eq);
    const std::string value = eq < arg.size() ? arg.substr(eq + 1) : "";
    char* end = nullptr;
    const uint64_t number = std::strtoull(value.c_str(), &end, 10);
    const bool is_number = !value.empty() && *end == '\0';
    if (key == "--seed" && is_number) {
      o->seed = number;
    } else if (key == "--seeds" && is_number && number > 0) {
      o->seeds = number;
    } else if (key == "--plant" && is_number) {
      o->plant = static_cast<int>(number);
    } else if (key == "--jobs" && is_number && number > 0 && number <= 64) {
      o->jobs = static_cast<int>(number);
    } else if (key == "--scenario" && !value.empty()) {
      o->scenario = value;
    } else if (key == "--engine" && !value.empty()) {
      o->engine = value;
    } else if (key == "--seconds" && is_number && number > 0) {
      o->seconds = static_cast<int64_t>(number);
    } else if (key == "--kept" && !value.empty()) {
      o->kept = value;
    } else if (key == "--least") {
      if (!ParseLeast(value, &o->least)) return false;
    } else if (key == "--case" && is_number) {
      o->one_case = true;
      o->case_number = number;
    } else if (arg == "--every-plant") {
      o->every_plant = true;
    } else if (arg == "--every-call") {
      o->every_call = true;
      o->scenario = std::string(QUIPU_SCENARIOS) + "/scripts/every_call.toml";
    } else if (arg == "--verbose") {
      o->verbose = true;
    } else {
      return false;
    }
  }
  return true;
}

Result<std::vector<Scenario>> LoadScenarios(const std::string& wanted) {
  std::vector<std::string> paths;
  if (wanted.find('/') != std::string::npos || wanted.ends_with(".toml")) {
    paths.push_back(wanted);
  } else {
    for (const auto& entry : std::filesystem::directory_iterator(QUIPU_SCENARIOS)) {
      const std::filesystem::path& path = entry.path();
      if (path.extension() == ".toml" && (wanted.empty() || path.stem() == wanted)) paths.push_back(path);
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Scenario> scenarios;
  for (const std::string& path : paths) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return Status(Code::kNotFound, fmt::format("cannot read {}", path));
    Result<Scenario> scenario = ParseScenario(std::filesystem::path(path).stem(), text.str());
    QUIPU_RETURN_IF_ERROR(scenario.status());
    scenarios.push_back(std::move(scenario).value());
  }
  if (scenarios.empty()) return Status(Code::kNotFound, fmt::format("no scenario {}", wanted));
  return scenarios;
}

// What a campaign must have done to count as one. Too few seeds say nothing.
bool JudgeGates(const std::vector<Scenario>& scenarios, const std::map<std::string, ScenarioSum>& sums) {
  constexpr uint64_t kSeedsMin = 100;
  bool ok = true;
  for (const Scenario& scenario : scenarios) {
    const auto it = sums.find(scenario.name);
    if (it == sums.end() || it->second.seeds < kSeedsMin) continue;
    for (const auto& [gate, least] : scenario.gates) {
      const auto count = it->second.counts.find(gate);
      const double per_seed =
          (count == it->second.counts.end() ? 0 : count->second) / static_cast<double>(it->second.seeds);
      if (per_seed >= least) continue;
      fmt::print("FAILED: scenario {} did too little: {} {} per seed, at least {}\n", scenario.name, per_seed, gate,
                 least);
      ok = false;
    }
  }
  return ok;
}

// What all scenarios did together. False if that is less than `least`.
bool JudgeTotals(const std::map<std::string, ScenarioSum>& sums, const std::map<std::string, double>& least) {
  std::map<std::string, double> totals;
  for (const auto& [scenario, sum] : sums) {
    totals["seeds"] += static_cast<double>(sum.seeds);
    for (const auto& [name, count] : sum.counts) totals[name] += count;
  }
  totals["crashes"] = totals["power_losses"] + totals["process_deaths"];
  fmt::print("in all:");
  for (const char* name : {"seeds", "adds", "replays", "power_losses", "crashes", "recoveries", "faults", "damages",
                           "comparisons", "virtual_hours"}) {
    fmt::print(" {:.0f} {}{}", totals[name], name, std::string_view(name) == "virtual_hours" ? "\n" : ",");
  }
  bool enough = true;
  for (const auto& [name, count] : least) {
    if (totals[name] >= count) continue;
    fmt::print("FAILED: the campaign did too little: {:.0f} {}, at least {:.0f}\n", totals[name], name, count);
    enough = false;
  }
  return enough;
}

void PrintTable(const std::map<std::string, ScenarioSum>& sums) {
  constexpr std::array kColumns = {"adds",         "replays",        "conflicts",  "recoveries",
                                   "power_losses", "process_deaths", "faults",     "unknown",
                                   "comparisons",  "damages_found",  "ns_changes", "virtual_hours"};
  fmt::print("{:12} {:>7}", "scenario", "seeds");
  for (const char* column : kColumns) fmt::print(" {:>14}", column);
  fmt::print("\n");
  for (const auto& [name, sum] : sums) {
    fmt::print("{:12} {:>7}", name, sum.seeds);
    for (const char* column : kColumns) {
      const auto it = sum.counts.find(column);
      fmt::print(" {:>14.0f}", it == sum.counts.end() ? 0 : it->second);
    }
    fmt::print("\n");
  }
}

// The first seed that fails with the bug and passes without it, and what it found.
std::optional<std::pair<uint64_t, std::string>> FindPlant(CampaignOptions campaign) {
  const uint64_t end = campaign.seed + campaign.seeds;
  while (campaign.seed < end) {
    campaign.seeds = end - campaign.seed;
    const CampaignResult result = RunCampaign(campaign);
    if (result.failures.empty()) break;
    for (const auto& found : result.failures) {
      CampaignOptions control = campaign;
      control.plant = 0;
      control.jobs = 1;
      control.seed = found.first;
      control.seeds = 1;
      if (RunCampaign(control).failures.empty()) return found;
      campaign.seed = found.first + 1;
    }
  }
  return std::nullopt;
}

constexpr uint64_t kSoundSeeds = 100;

// Each planted bug must be found within the campaign's seeds. Without one nothing may be: a build that is broken in
// another way would seem to find them all.
int FindEveryPlant(CampaignOptions campaign) {
  CampaignOptions sound = campaign;
  sound.seeds = std::min<uint64_t>(campaign.seeds, kSoundSeeds);
  if (!RunCampaign(sound).failures.empty()) {
    fmt::print("FAILED: something is found without any plant\n");
    return 1;
  }
  std::vector<EnginePlant> plants;
  for (int number : Plants()) plants.push_back({.number = number, .what = "of the disk or of answers", .scenario = ""});
  plants.insert(plants.end(), EnginePlants().begin(), EnginePlants().end());
  int missed = 0;
  const std::vector<Scenario> all = campaign.scenarios;
  for (const EnginePlant& plant : plants) {
    campaign.plant = plant.number;
    campaign.scenarios = all;
    if (*plant.scenario != '\0') {
      std::erase_if(campaign.scenarios, [&](const Scenario& s) { return s.name != plant.scenario; });
    }
    const auto found = FindPlant(campaign);
    missed += found ? 0 : 1;
    if (!found) {
      fmt::print("FAILED: plant {} ({}) was not found in {} seeds\n", plant.number, plant.what, campaign.seeds);
    } else {
      const auto& [seed, what] = *found;
      fmt::print("plant {} ({}): seed {}: {}\n", plant.number, plant.what, seed, what.substr(0, 120));
    }
    std::fflush(stdout);
  }
  fmt::print("{} plants, {} not found\n", plants.size(), missed);
  return missed == 0 ? 0 : 1;
}

// Seeds that once found something, each with its scenario.
int RunKept(const std::string& path, CampaignOptions campaign) {
  std::ifstream file(path);
  int kept = 0, failed = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string scenario;
    if (!(in >> scenario) || scenario[0] == '#') continue;
    if (!(in >> campaign.seed)) return fmt::print(stderr, "sim: {}: no seed in '{}'\n", path, line), 2;
    Result<std::vector<Scenario>> scenarios = LoadScenarios(scenario);
    if (!scenarios.ok()) return fmt::print(stderr, "sim: {}\n", scenarios.status().message()), 2;
    campaign.scenarios = *scenarios;
    campaign.replay_suffix = " SCENARIO=" + scenario;
    campaign.seeds = 1;
    failed += RunCampaign(campaign).failures.empty() ? 0 : 1;
    ++kept;
  }
  fmt::print("{} kept seeds, {} failed\n", kept, failed);
  return kept > 0 && failed == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  if (!ParseOptions(argc, argv, &options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  const Engine* engine = FindEngine(options.engine);
  if (engine == nullptr) {
    fmt::print(stderr, "sim: no engine {}\n", options.engine);
    return 2;
  }
  Result<std::vector<Scenario>> scenarios = LoadScenarios(options.scenario);
  if (!scenarios.ok()) {
    fmt::print(stderr, "sim: {}\n", scenarios.status().message());
    return 2;
  }
  const bool is_of_engine = std::ranges::count(EnginePlants(), options.plant, &EnginePlant::number) > 0;
  if (options.plant != 0 && !is_of_engine &&
      std::find(Plants().begin(), Plants().end(), options.plant) == Plants().end()) {
    fmt::print(stderr, "sim: no plant {}\n", options.plant);
    return 2;
  }

  CampaignOptions campaign{.seed = options.seed,
                           .seeds = options.seeds,
                           .scenarios = *scenarios,
                           .replay_suffix = options.scenario.empty() ? "" : " SCENARIO=" + options.scenario,
                           .engine = engine,
                           .plant = options.plant,
                           .jobs = options.jobs,
                           .seconds = options.seconds,
                           .verbose = options.verbose};
  if (!options.kept.empty()) return RunKept(options.kept, campaign);
  if (options.every_plant) return FindEveryPlant(campaign);
  if (options.every_call) {
    if (std::string wrong = EveryCall(&campaign); !wrong.empty()) {
      fmt::print("FAILED: script {} without any crash: {}\n", options.seed, wrong);
      return 1;
    }
    if (options.one_case) campaign.seed = options.case_number, campaign.seeds = 1;
    fmt::print("script {}: {} calls, {} in its recovery\n", options.seed, campaign.script_calls,
               campaign.recovery_calls);
  }
  if (options.plant != 0) {
    const auto found = FindPlant(campaign);
    if (!found) {
      fmt::print("FAILED: plant {} was not found in {} seeds\n", options.plant, options.seeds);
      return 1;
    }
    const auto& [seed, what] = *found;
    fmt::print("plant {} found by seed {} ({}): {}\n", options.plant, seed, ScenarioOf(campaign, seed).name, what);
    return 0;
  }
  const CampaignResult result = RunCampaign(campaign);
  PrintTable(result.sums);
  const bool enough = JudgeTotals(result.sums, options.least) && JudgeGates(*scenarios, result.sums);
  uint64_t seeds = 0;
  for (const auto& [name, sum] : result.sums) seeds += sum.seeds;
  fmt::print("{} seeds from {}, {} failed, trace {:016x}\n", seeds, options.seed, result.failures.size(),
             result.trace_hash);
  return result.failures.empty() && enough ? 0 : 1;
}

}  // namespace
}  // namespace quipu::simulation

int main(int argc, char** argv) { return quipu::simulation::Main(argc, argv); }
