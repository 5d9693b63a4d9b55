// Batches as a whole, and steps that are undone.
#include <algorithm>

#include "base/assert.h"
#include "test/simulation/model.h"

namespace quipu::simulation {

std::string Model::Decide(const std::vector<Request>& requests, const store::Batch& batch, CodeSet allowed) {
  QUIPU_ASSERT(requests.size() == batch.ops.size(), "{} requests, {} ops", requests.size(), batch.ops.size());
  versions_seen_.clear();
  revealed_.assign(shards(), 0);
  in_source_step_ = batch.source != nullptr;
  if ((allowed & SetOf(batch.code)) != 0) {
    for (const Op& op : batch.ops) {
      if (op.code == Code::kOk) return fmt::format("the batch failed with {}, yet an op says OK", CodeName(batch.code));
    }
    return "";
  }
  if (batch.source != nullptr) {
    const auto known = sources_.find(batch.source->id);
    const uint64_t stands = known == sources_.end() ? 0 : known->second.offset;
    if (stands != batch.source->from) {
      if (batch.code != Code::kConditionNotMet || batch.source_offset != stands) {
        return fmt::format("source stands at {}, not at {}: got {} and offset {}", stands, batch.source->from,
                           CodeName(batch.code), batch.source_offset);
      }
      for (const Op& op : batch.ops) {
        if (op.code != Code::kConditionNotMet) {
          return fmt::format("op of a source step that stands elsewhere: {}", CodeName(op.code));
        }
      }
      return "";
    }
  }
  if (batch.code == Code::kConditionNotMet) return DecideUndone(requests, batch, allowed);
  if (batch.code != Code::kOk) return fmt::format("batch code {}", CodeName(batch.code));

  const bool one_step = batch.atomic || batch.all_or_nothing || batch.source != nullptr;
  const std::vector<uint64_t> before = LastSteps();
  for (size_t i = 0; i < requests.size(); ++i) {
    const Op& op = batch.ops[i];
    if (std::string wrong = DecideOp(requests[i], op, allowed); !wrong.empty()) {
      return fmt::format("op {} of {}: {}", i, requests.size(), wrong);
    }
    uint64_t& revealed = revealed_[counters_[static_cast<size_t>(requests[i].counter)].shard];
    revealed = std::max(revealed, RevealedStep(requests[i], op));
    const bool failed = op.code != Code::kOk;
    const bool refused = IsMutating(op.kind) && op.outcome == Outcome::kRefused;
    if ((batch.source != nullptr && store::UndoesSourceStep(op.code)) ||
        (batch.all_or_nothing && (failed || refused)) || (one_step && op.kind == OpKind::kCheckVersion && failed)) {
      return fmt::format("op {} failed ({}), yet the batch was not undone", i, CodeName(op.code));
    }
  }
  if (batch.source != nullptr) {
    if (batch.source_offset != batch.source->to) {
      return fmt::format("source_offset {}, not {}", batch.source_offset, batch.source->to);
    }
    store::SourceState& state = sources_[batch.source->id];
    state.id = batch.source->id;
    Step step;
    step.source_before = std::make_shared<const store::SourceState>(state);
    store::TakeSourceStep(*batch.source, batch.ops, 0, &state);
    const uint32_t shard = ShardOfSource(state.id);
    logs_[shard].steps.push_back(std::move(step));
    revealed_[shard] = logs_[shard].last();
  }
  if (one_step) {
    Across across;
    for (uint32_t shard = 0; shard < shards(); ++shard) {
      ShardLog& log = logs_[shard];
      for (uint64_t s = before[shard] + 1; s < log.last(); ++s) log.at(s).ends_group = false;
      if (log.last() > before[shard]) across.parts.emplace_back(shard, log.last());
    }
    if (across.parts.size() > 1) across_.push_back(std::move(across));
  }
  return "";
}

// The batch says that op `failed_index` undid it: that op must have had to, and nothing of the batch may have happened.
std::string Model::DecideUndone(const std::vector<Request>& requests, const store::Batch& batch, CodeSet allowed) {
  if (!batch.atomic && !batch.all_or_nothing && batch.source == nullptr) return "a batch that is not atomic was undone";
  if (batch.failed_index >= requests.size())
    return fmt::format("failed_index {} of {} ops", batch.failed_index, requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    if (i != batch.failed_index && batch.ops[i].code != Code::kConditionNotMet) {
      return fmt::format("op {} of an undone batch says {}", i, CodeName(batch.ops[i].code));
    }
  }
  const std::vector<uint64_t> before = LastSteps();
  const Tally tally = tally_;
  unsure_ = false;
  // The answers before the failing one are blank; kInternal tells the model to follow its own view.
  for (size_t i = 0; i < batch.failed_index; ++i) {
    Op guess = batch.ops[i];
    guess.code = Code::kInternal;
    DecideOp(requests[i], guess, allowed).clear();
  }
  const Request& request = requests[batch.failed_index];
  Op op = batch.ops[batch.failed_index];
  std::string wrong;
  if (op.code == Code::kConditionNotMet && IsMutating(op.kind)) {
    // A refusal. Its fields are blank, so only that it was one can be judged.
    Counter counter = Live(counters_[static_cast<size_t>(request.counter)]);
    const Token* token = request.token >= 0 ? &tokens_[static_cast<size_t>(request.token)] : nullptr;
    Verdict verdict;
    Apply(request.content, LogOf(counter).now_us, &counter, &verdict);
    const bool refused = verdict.answer.outcome == Outcome::kRefused ||
                         (token != nullptr && token->kept && token->answer.outcome == Outcome::kRefused);
    if (!batch.all_or_nothing || !refused) wrong = fmt::format("{} is no refusal", NameOf(counter));
  } else if (!batch.all_or_nothing && op.kind != OpKind::kCheckVersion &&
             !(batch.source != nullptr && store::UndoesSourceStep(op.code))) {
    wrong = fmt::format("an op with {} does not undo an atomic batch", CodeName(op.code));
  } else if (op.code == Code::kOk) {
    wrong = "it says OK";
  } else {
    wrong = DecideOp(request, op, allowed);
  }
  for (uint32_t shard = 0; shard < shards(); ++shard) {
    while (last_step(shard) > before[shard]) {
      const uint64_t changes = logs_[shard].steps.back().changes_before;
      const Touched touched = UndoLast(shard);
      if (touched.counter >= 0) counters_[static_cast<size_t>(touched.counter)].changes = changes;
    }
  }
  if (unsure_) wrong.clear();
  // Whether a version moved meanwhile is not said.
  for (const Request& r : requests) ++counters_[static_cast<size_t>(r.counter)].events;
  const uint64_t comparisons = tally_.comparisons;
  tally_ = tally;
  tally_.comparisons = comparisons;
  ++tally_.undone_batches;
  if (!wrong.empty()) return fmt::format("op {} undid a batch of {}: {}", batch.failed_index, requests.size(), wrong);
  return "";
}

bool Model::IsBoundary(uint32_t shard, uint64_t step) const {
  const ShardLog& log = logs_[shard];
  return step < log.first_step || log.steps[static_cast<size_t>(step - log.first_step)].ends_group;
}

Model::Touched Model::UndoLast(uint32_t shard) {
  std::deque<Step>& steps = logs_[shard].steps;
  QUIPU_ASSERT(!steps.empty(), "nothing left to undo on shard {}", shard);
  Step step = std::move(steps.back());
  steps.pop_back();
  Touched touched{.counter = step.counter,
                  .token = step.token,
                  .is_namespace = step.namespace_before.has_value(),
                  .is_source = step.source_before != nullptr};
  if (step.namespace_before) namespaces_[step.namespace_before->id] = *step.namespace_before;
  if (step.source_before != nullptr) {
    const store::SourceId id = step.source_before->id;
    if (step.source_before->offset == 0) {
      sources_.erase(id);
    } else {
      sources_[id] = *step.source_before;
    }
  }
  if (step.counter >= 0) {
    Counter& counter = counters_[static_cast<size_t>(step.counter)];
    static_cast<CounterState&>(counter) = step.counter_before;
    ++counter.changes;  // a version seen before must not seem to hold again
  }
  if (step.token >= 0) static_cast<TokenState&>(tokens_[static_cast<size_t>(step.token)]) = step.token_before;
  return touched;
}

void Model::Forget(uint32_t shard, uint64_t through) {
  ShardLog& log = logs_[shard];
  while (!log.steps.empty() && log.first_step <= through) {
    log.steps.pop_front();
    ++log.first_step;
  }
  std::erase_if(across_, [this](const Across& across) {
    const auto forgotten = [&](const auto& part) { return part.second < logs_[part.first].first_step; };
    const auto undone = [&](const auto& part) { return part.second > logs_[part.first].last(); };
    return std::ranges::all_of(across.parts, forgotten) || std::ranges::all_of(across.parts, undone);
  });
}

}  // namespace quipu::simulation
