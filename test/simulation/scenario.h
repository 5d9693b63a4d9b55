// A scenario as data (test/simulation/*.toml): how long a run is, what goes wrong in it, and what it must have done to
// count. Ranges are drawn from per seed; a probability range [low, high] is off in half of the seeds, so that faults
// are tested alone and in mixtures (swarm).
//
// Errors    Unknown keys, wrong types and reversed ranges are kInvalidArgument and name the key.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "base/status.h"
#include "sim/sim_random.h"

namespace quipu::simulation {

struct Range {
  double low = 0, high = 0;
};

struct Scenario {
  std::string name;
  std::string description;
  uint64_t share = 1;  // of a campaign's seeds, against the other scenarios' shares
  // Key -> range; what a scenario does not name keeps the default. The table in scenario.cc says what each is.
  std::map<std::string, Range> knobs;
  // Sums over a campaign, per seed on average: a campaign below them has proved nothing and fails.
  std::map<std::string, double> gates;

  // Draws from the knob's range: uniformly.
  double Draw(const std::string& knob, sim::SimRandom* random) const;
  int64_t DrawInt(const std::string& knob, sim::SimRandom* random) const;
  // As Draw, but 0 in half of the cases, and otherwise a magnitude between low and high.
  double DrawProbability(const std::string& knob, sim::SimRandom* random) const;
};

Result<Scenario> ParseScenario(const std::string& name, const std::string& text);

}  // namespace quipu::simulation
