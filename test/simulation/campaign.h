// Many seeds over several processes: a seed that ends its process fails, with the line that replays it, and the others
// run on.
//
// Threads   One, in each process; forks.
// Errors    In CampaignResult: what failed, seed by seed. Broken invariants and crashes of a run count as failures.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "test/simulation/engine.h"
#include "test/simulation/scenario.h"

namespace quipu::simulation {

struct CampaignOptions {
  uint64_t seed = 1;
  uint64_t seeds = 1;
  std::vector<Scenario> scenarios;  // each seed has one, by their shares
  std::string replay_suffix;        // of the line that replays a failure
  const Engine* engine = nullptr;
  int plant = 0;  // 0 = none; a campaign with a plant ends with the first failure
  int jobs = 1;   // processes side by side
  // Not 0: seeds are numbers of cases of the script that this seed is. Case n crashes before one call of the disk in
  // its life and before one in its recovery; EveryCall counts them.
  uint64_t script_seed = 0;
  uint64_t script_calls = 0, recovery_calls = 0;
  int64_t seconds = 0;  // no seed begins later than that; 0 = all of them run
  bool verbose = false;
};

// The scenario that a seed runs.
const Scenario& ScenarioOf(const CampaignOptions& options, uint64_t seed);

struct ScenarioSum {
  uint64_t seeds = 0;
  std::map<std::string, double> counts;  // RunResult::counts, summed
};

struct CampaignResult {
  std::map<std::string, ScenarioSum> sums;   // by scenario
  std::map<uint64_t, std::string> failures;  // by seed
  uint64_t trace_hash = 0;                   // of all runs in the order of their seeds
};

// Runs the script without a crash, and sets its calls and the range of the cases: each call of the life once with loss
// of power and once with the death of the process, those of the recovery in turn. Empty, or what is wrong already.
std::string EveryCall(CampaignOptions* options);

// Prints each failure when it happens. Stops early after the tenth.
CampaignResult RunCampaign(const CampaignOptions& options);

}  // namespace quipu::simulation
