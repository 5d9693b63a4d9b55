#include "test/simulation/scenario.h"

#include <toml++/toml.h>

#include <cmath>
#include <set>

#include "base/assert.h"

namespace quipu::simulation {
namespace {

// Every knob: its default, and what it is.
const std::map<std::string, Range>& Defaults() {
  static const std::map<std::string, Range> kDefaults = {
      {"lives", {1, 4}},                // starts of the store, each but the last one ended by a crash
      {"steps", {10, 200}},             // batches per life
      {"tokenless", {-1, -1}},          // share of adds without a token; negative: drawn from the seed
      {"atomic", {-1, -1}},             // share of batches that are atomic; negative: drawn from the seed
      {"counters", {1, 200}},           // in the pool
      {"shards", {1, 1}},               // of the store; its home is drawn at each start
      {"namespaces", {1, 4}},           // the default one included
      {"batch", {1, 40}},               // ops at most
      {"batch_least", {1, 1}},          // ops at least
      {"fresh_adds", {0, 0}},           // share of ops that are adds never sent before, beside the mix
      {"pause_us", {1, 20000}},         // between groups of batches, at most
      {"idle_s", {0, 7200}},            // a longer pause now and then, at most
      {"power_loss", {0.5, 0.5}},       // share of crashes; the rest is death of the process, or an orderly close
      {"orderly", {0.1, 0.1}},          // share of lives that end with Close
      {"crash_in_recovery", {0, 0.5}},  // probability that a recovery is cut off too
      {"open_error", {0, 0}},           // per call, from here on
      {"read_error", {0, 0}},
      {"write_error", {0, 0}},
      {"write_partial", {0, 0}},
      {"log_write_error", {0, 0}},
      {"sync_error", {0, 0}},
      {"sync_dir_error", {0, 0}},
      {"rename_error", {0, 0}},
      {"no_space", {0, 0}},
      {"write_back", {0.001, 0.2}},
      {"stall", {0, 0}},
      {"log_latency_us", {20, 3000}},  // at most
      {"small_segments", {0.5, 0.5}},  // probability per start that frames and segments are small
      {"memory_mb_least", {1, 1}},     // small budgets of memory begin here
      {"capacity_mb", {0, 0}},         // 0 = endless
      {"clock_jump", {0, 0}},          // probability per pause
      {"clock_jump_s", {1, 1}},        // at most, either way
      {"drift_ppm", {0, 0}},
      {"damage", {0, 0}},  // probability per restart that the medium is damaged before it
  };
  return kDefaults;
}

const std::set<std::string>& Gates() {
  static const std::set<std::string> kGates = {"adds",          "replays",        "conflicts", "recoveries",
                                               "power_losses",  "process_deaths", "faults",    "comparisons",
                                               "damages_found", "unknown",        "ns_changes"};
  return kGates;
}

Status Bad(const std::string& name, const std::string& key, const std::string& what) {
  return Status(Code::kInvalidArgument, fmt::format("{}: {}: {}", name, key, what));
}

}  // namespace

double Scenario::Draw(const std::string& knob, sim::SimRandom* random) const {
  const auto it = knobs.find(knob);
  QUIPU_ASSERT(it != knobs.end(), "no knob {}", knob);
  const Range& range = it->second;
  return range.low + (range.high - range.low) * static_cast<double>(random->Below(1u << 20)) / (1u << 20);
}

int64_t Scenario::DrawInt(const std::string& knob, sim::SimRandom* random) const {
  const auto it = knobs.find(knob);
  QUIPU_ASSERT(it != knobs.end(), "no knob {}", knob);
  return random->Between(static_cast<int64_t>(it->second.low), static_cast<int64_t>(it->second.high));
}

double Scenario::DrawProbability(const std::string& knob, sim::SimRandom* random) const {
  const double value = Draw(knob, random);
  const uint64_t smaller = random->Below(4);
  if (random->Below(2) == 0) return 0;
  return value / static_cast<double>(1u << (2 * smaller));
}

Result<Scenario> ParseScenario(const std::string& name, const std::string& text) {
  Scenario scenario;
  scenario.name = name;
  scenario.knobs = Defaults();
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Bad(name, fmt::format("line {}", error.source().begin.line), std::string(error.description()));
  }
  for (const auto& [key, value] : table) {
    const std::string section(key.str());
    if (section == "description") {
      scenario.description = value.value_or(std::string());
      continue;
    }
    if (section == "share") {
      const int64_t share = value.value_or(int64_t{0});
      if (share < 1 || share > 1000) return Bad(name, section, fmt::format("{} is out of range [1, 1000]", share));
      scenario.share = static_cast<uint64_t>(share);
      continue;
    }
    const toml::table* entries = value.as_table();
    if (entries == nullptr || (section != "knobs" && section != "gates")) return Bad(name, section, "unknown key");
    for (const auto& [entry_key, entry] : *entries) {
      const std::string k(entry_key.str());
      if (section == "gates") {
        if (!Gates().contains(k)) return Bad(name, "gates." + k, "unknown gate");
        scenario.gates[k] = entry.value<double>().value_or(0);
        continue;
      }
      if (!scenario.knobs.contains(k)) return Bad(name, "knobs." + k, "unknown knob");
      Range range;
      if (const toml::array* pair = entry.as_array(); pair != nullptr && pair->size() == 2) {
        range = {(*pair)[0].value<double>().value_or(NAN), (*pair)[1].value<double>().value_or(NAN)};
      } else {
        range.low = range.high = entry.value<double>().value_or(NAN);
      }
      if (!(range.low <= range.high)) return Bad(name, "knobs." + k, "neither a number nor a range [low, high]");
      scenario.knobs[k] = range;
    }
  }
  return scenario;
}

}  // namespace quipu::simulation
