#include "test/simulation/campaign.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "base/assert.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

constexpr uint64_t kFailuresMax = 10;
constexpr uint64_t kNoSeed = ~uint64_t{0};
constexpr uint64_t kTwiceEvery = 100;  // seeds that run twice, to show that one seed is one run
// Where much is settled, RocksDB reads blocks of its runs in an order that differs from run to run (docs/open.md).
constexpr std::string_view kVaries = "flood";

// What the processes share.
struct Shared {
  std::atomic<uint64_t> next_seed = 0;
  std::atomic<uint64_t> failures = 0;
  std::atomic<bool> over = false;  // the time is
};

}  // namespace

const Scenario& ScenarioOf(const CampaignOptions& options, uint64_t seed) {
  uint64_t shares = 0;
  for (const Scenario& scenario : options.scenarios) shares += scenario.share;
  uint64_t at = seed % shares;
  size_t index = 0;
  while (at >= options.scenarios[index].share) at -= options.scenarios[index++].share;
  return options.scenarios[index];
}

namespace {

Script CaseOf(const CampaignOptions& options, uint64_t number) {
  // Some recoveries are left alone.
  const uint64_t recoveries = options.recovery_calls + options.recovery_calls / 4;
  return {.crash_at = 1 + number / 2, .recovery_crash_at = 1 + number % recoveries, .power = number % 2 == 0};
}

std::string ReplayLine(const CampaignOptions& options, uint64_t seed) {
  if (options.script_seed != 0) return fmt::format("make sim-calls SEED={} CASE={}", options.script_seed, seed);
  return fmt::format("make sim SEED={}{}", seed, options.replay_suffix);
}

// ---- in a process of its own. It reports in lines: `begin SEED`, then `end SEED HASH NAME=COUNT...` or
// `fail SEED HASH WHAT`.

void Report(int to, const std::string& line) {
  for (size_t at = 0; at < line.size();) {
    const ssize_t n = write(to, line.data() + at, line.size() - at);
    if (n <= 0) std::_Exit(1);
    at += static_cast<size_t>(n);
  }
}

void RunSeed(const CampaignOptions& options, uint64_t seed, int to) {
  Report(to, fmt::format("begin {}\n", seed));
  const auto run = [&] {
    if (options.script_seed != 0) {
      return Run(options.script_seed, options.scenarios[0], *options.engine, options.plant, options.verbose)
          .ExecuteScript(CaseOf(options, seed));
    }
    return Run(seed, ScenarioOf(options, seed), *options.engine, options.plant, options.verbose).Execute();
  };
  RunResult result = run();
  const bool varies = options.script_seed == 0 && ScenarioOf(options, seed).name == kVaries;
  if (seed % kTwiceEvery == 0 && !varies && result.failure.empty()) {
    const uint64_t again = run().trace_hash;
    if (again != result.trace_hash) {
      result.failure = fmt::format("two runs differ: trace {:016x} and {:016x}", result.trace_hash, again);
    }
  }
  std::string line = fmt::format("{} {} {}", result.failure.empty() ? "end" : "fail", seed, result.trace_hash);
  if (result.failure.empty()) {
    for (const auto& [name, count] : result.counts) line += fmt::format(" {}={}", name, count);
  } else {
    for (char& c : result.failure) c = c == '\n' ? ' ' : c;
    line += " " + result.failure;
  }
  Report(to, line + "\n");
}

[[noreturn]] void Work(const CampaignOptions& options, Shared* shared, int to) {
  const uint64_t end = options.seed + options.seeds;
  while (shared->failures.load() < kFailuresMax && !shared->over.load()) {
    const uint64_t seed = shared->next_seed.fetch_add(1);
    if (seed >= end) break;
    RunSeed(options, seed, to);
  }
  std::fflush(stdout);
  std::_Exit(0);
}

// ---- in the process that started them

struct Job {
  pid_t pid = 0;
  int from = -1;
  std::string text;         // received, and not a line yet
  uint64_t seed = kNoSeed;  // in progress
};

class Collector {
 public:
  Collector(const CampaignOptions& options, Shared* shared) : options_(options), shared_(shared) {}

  void Line(const std::string& line, Job* job) {
    std::istringstream in(line);
    std::string word;
    uint64_t seed = 0, hash = 0;
    in >> word >> seed;
    if (word == "begin") {
      job->seed = seed;
      return;
    }
    job->seed = kNoSeed;
    in >> hash;
    hashes_[seed] = hash;
    if (word == "fail") {
      std::string what;
      std::getline(in >> std::ws, what);
      return Failed(seed, what);
    }
    auto& counts = counts_[seed];
    while (in >> word) {
      const size_t eq = word.find('=');
      counts[word.substr(0, eq)] = std::strtod(word.c_str() + eq + 1, nullptr);
    }
  }

  void Failed(uint64_t seed, const std::string& what) {
    ++shared_->failures;
    counts_[seed];
    result_.failures[seed] = what;
    if (options_.plant != 0) {
      shared_->failures = kFailuresMax;
      return;
    }
    fmt::print("FAILED: {}  ({}, trace {:016x}): {}\n", ReplayLine(options_, seed), ScenarioOf(options_, seed).name,
               hashes_[seed], what);
    std::fflush(stdout);
  }

  CampaignResult Finish() {
    for (const auto& [seed, counts] : counts_) {
      ScenarioSum& sum = result_.sums[ScenarioOf(options_, seed).name];
      ++sum.seeds;
      for (const auto& [name, count] : counts) sum.counts[name] += count;
    }
    for (const auto& [seed, hash] : hashes_) result_.trace_hash = sim::MixSeed(result_.trace_hash, hash);
    return std::move(result_);
  }

 private:
  const CampaignOptions& options_;
  Shared* const shared_;
  CampaignResult result_;
  std::map<uint64_t, uint64_t> hashes_;  // by seed, as the counts
  std::map<uint64_t, std::map<std::string, double>> counts_;
};

Job Start(const CampaignOptions& options, Shared* shared) {
  int ends[2];
  QUIPU_ASSERT(pipe2(ends, O_CLOEXEC) == 0, "pipe: errno {}", errno);
  std::fflush(stdout);
  const pid_t pid = fork();
  QUIPU_ASSERT(pid >= 0, "fork: errno {}", errno);
  if (pid == 0) {
    close(ends[0]);
    Work(options, shared, ends[1]);
  }
  close(ends[1]);
  return {.pid = pid, .from = ends[0]};
}

// Takes what the job has sent. False when it has ended.
bool Receive(Job* job, Collector* collector) {
  char buffer[4096];
  const ssize_t n = read(job->from, buffer, sizeof(buffer));
  if (n <= 0) return false;
  job->text.append(buffer, static_cast<size_t>(n));
  for (size_t end; (end = job->text.find('\n')) != std::string::npos; job->text.erase(0, end + 1)) {
    collector->Line(job->text.substr(0, end), job);
  }
  return true;
}

}  // namespace

std::string EveryCall(CampaignOptions* options) {
  options->script_seed = options->seed;
  RunResult result =
      Run(options->seed, options->scenarios[0], *options->engine, options->plant, /*verbose=*/false).ExecuteScript({});
  options->script_calls = static_cast<uint64_t>(result.counts["script_calls"]);
  options->recovery_calls = static_cast<uint64_t>(result.counts["recovery_calls"]);
  options->seed = 0;
  options->seeds = 2 * options->script_calls;
  return result.failure;
}

CampaignResult RunCampaign(const CampaignOptions& options) {
  void* const memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, /*fd=*/-1, /*offset=*/0);
  QUIPU_ASSERT(memory != MAP_FAILED, "mmap: errno {}", errno);
  auto* const shared = new (memory) Shared;
  shared->next_seed = options.seed;
  Collector collector(options, shared);
  std::vector<Job> jobs;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < options.jobs; ++i) jobs.push_back(Start(options, shared));
  while (!jobs.empty()) {
    std::vector<pollfd> fds;
    for (const Job& job : jobs) fds.push_back({.fd = job.from, .events = POLLIN, .revents = 0});
    poll(fds.data(), fds.size(), options.seconds > 0 ? 1000 : -1);
    if (options.seconds > 0 && std::chrono::steady_clock::now() - begun > std::chrono::seconds(options.seconds)) {
      shared->over = true;
    }
    for (size_t i = fds.size(); i > 0; --i) {
      Job& job = jobs[i - 1];
      if (fds[i - 1].revents == 0 || Receive(&job, &collector)) continue;
      int status = 0;
      waitpid(job.pid, &status, 0);
      close(job.from);
      const uint64_t died_in = job.seed;
      jobs.erase(jobs.begin() + static_cast<ptrdiff_t>(i - 1));
      if (died_in == kNoSeed) continue;
      collector.Failed(died_in, WIFSIGNALED(status) ? fmt::format("the process died of signal {}", WTERMSIG(status))
                                                    : fmt::format("the process ended with {}", WEXITSTATUS(status)));
      jobs.push_back(Start(options, shared));
    }
  }
  munmap(memory, sizeof(Shared));
  return collector.Finish();
}

}  // namespace quipu::simulation
