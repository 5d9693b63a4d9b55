// The judges judged: histories that must pass, and histories that must not.
#include <gtest/gtest.h>

#include <csignal>

#include "test/simulation/campaign.h"
#include "test/simulation/ledger.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

TEST(LedgerTest, AnEmptyHistoryReadsZeroAndNothingElse) {
  Ledger ledger;
  EXPECT_EQ(ledger.Judge(0, 0), "");
  EXPECT_NE(ledger.Judge(0, 1), "");
}

TEST(LedgerTest, AcknowledgedAddsCountExactly) {
  Ledger ledger;
  ledger.Sent(0, 2);
  ledger.Applied(0, 2);
  ledger.Applied(0, 3);
  EXPECT_EQ(ledger.Judge(0, 5), "");
  EXPECT_EQ(ledger.Judge(0, 4),
            "counter 0 reads 4, the ledger's sum is off by -1 and 0 unknown adds do not explain it");
  EXPECT_NE(ledger.Judge(0, 6), "");
}

TEST(LedgerTest, UnknownAddsCountWhollyOrNotAtAll) {
  Ledger ledger;
  ledger.Applied(0, 10);
  for (int64_t delta : {5, -1, -1}) ledger.Sent(0, delta);
  ledger.Crash();
  for (int64_t value : {8, 9, 10, 13, 14, 15}) EXPECT_EQ(ledger.Judge(0, value), "") << value;
  for (int64_t value : {7, 11, 12, 16}) EXPECT_NE(ledger.Judge(0, value), "") << value;
}

TEST(LedgerTest, WhatTheFirstReadDecidedStaysDecided) {
  Ledger ledger;
  ledger.Sent(0, 4);
  ledger.Crash();
  EXPECT_EQ(ledger.Settle(0, 4), "");
  EXPECT_EQ(ledger.Judge(0, 4), "");
  EXPECT_NE(ledger.Judge(0, 0), "");
}

TEST(LedgerTest, ATokenCountsOnceHoweverOftenItIsAnswered) {
  Ledger ledger;
  EXPECT_EQ(ledger.TokenApplied(0, 7, 100, 3), "");
  EXPECT_EQ(ledger.TokenApplied(0, 7, 100, 3), "");
  EXPECT_EQ(ledger.Judge(0, 3), "");
  EXPECT_EQ(ledger.TokenApplied(0, 7, 100, 4), "token 7 on counter 0 applied 3, and now says 4");
}

TEST(LedgerTest, TicketsAreDistinctAndWithoutGaps) {
  EXPECT_EQ(Ledger::JudgeTickets({3, 1, 2}, true), "");
  EXPECT_EQ(Ledger::JudgeTickets({1, 2, 2}, true), "two adds returned 2");
  EXPECT_EQ(Ledger::JudgeTickets({1, 2, 4}, true), "nobody got 3, between 2 and 4");
  EXPECT_EQ(Ledger::JudgeTickets({1, 2, 4}, false), "");
}

TEST(ScenarioTest, UnknownKeysAndReversedRangesAreErrorsThatNameTheKey) {
  EXPECT_TRUE(ParseScenario("s", "[knobs]\nlives = [1, 2]\nsync_error = 0.1\n[gates]\nadds = 5\n").ok());
  EXPECT_EQ(ParseScenario("s", "[knobs]\nlifes = 1\n").status().message(), "s: knobs.lifes: unknown knob");
  EXPECT_EQ(ParseScenario("s", "[knobs]\nlives = [2, 1]\n").status().message(),
            "s: knobs.lives: neither a number nor a range [low, high]");
  EXPECT_EQ(ParseScenario("s", "[gates]\nadd = 5\n").status().message(), "s: gates.add: unknown gate");
  EXPECT_EQ(ParseScenario("s", "seeds = 5\n").status().message(), "s: seeds: unknown key");
  EXPECT_EQ(ParseScenario("s", "[knobs\n").status().message().substr(0, 9), "s: line 1");
}

RunResult RunMemory(uint64_t seed, int plant) {
  const Scenario scenario = ParseScenario("calm", "").value();
  return Run(seed, scenario, *FindEngine("memory"), plant, false).Execute();
}

TEST(RunTest, TheModelAndTheMemoryStoreAgree) {
  double comparisons = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    RunResult result = RunMemory(seed, 0);
    EXPECT_EQ(result.failure, "") << "seed " << seed;
    comparisons += result.counts["comparisons"];
  }
  EXPECT_GT(comparisons, 10000);
}

TEST(RunTest, OneSeedIsOneRun) {
  EXPECT_EQ(RunMemory(5, 0).trace_hash, RunMemory(5, 0).trace_hash);
  EXPECT_NE(RunMemory(5, 0).trace_hash, RunMemory(6, 0).trace_hash);
}

TEST(CampaignTest, ASeedThatEndsItsProcessFailsAndTheOthersRunOn) {
  Engine brittle = *FindEngine("memory");
  brittle.open = [open = brittle.open](const EngineContext& c) {
    if (c.seed == 3) std::raise(SIGKILL);
    return open(c);
  };
  CampaignOptions options{.seed = 1, .seeds = 6, .scenarios = {ParseScenario("calm", "").value()}, .engine = &brittle};
  for (int jobs : {1, 2}) {
    options.jobs = jobs;
    const CampaignResult result = RunCampaign(options);
    EXPECT_EQ(result.failures, (std::map<uint64_t, std::string>{{3, "the process died of signal 9"}}));
    EXPECT_EQ(result.sums.at("calm").seeds, 6u);
  }
}

TEST(CampaignTest, AnyNumberOfProcessesComesToTheSameEnd) {
  CampaignOptions options{
      .seeds = 8, .scenarios = {ParseScenario("calm", "").value()}, .engine = FindEngine("memory"), .jobs = 1};
  const CampaignResult alone = RunCampaign(options);
  options.jobs = 3;
  const CampaignResult together = RunCampaign(options);
  EXPECT_EQ(alone.trace_hash, together.trace_hash);
  EXPECT_EQ(alone.sums.at("calm").counts, together.sums.at("calm").counts);
  EXPECT_GT(alone.sums.at("calm").counts.at("comparisons"), 1000);
}

// Bugs in what the store answers are found without a single crash.
TEST(RunTest, EveryPlantedBugOfTheStoreIsFound) {
  for (int plant : Plants()) {
    if (plant < 20) continue;
    uint64_t seed = 0;
    while (seed < 200 && RunMemory(seed, plant).failure.empty()) ++seed;
    EXPECT_LT(seed, 200u) << "plant " << plant << " was not found";
  }
}

}  // namespace
}  // namespace quipu::simulation
