// What a Run checks after a restart.
#include <algorithm>
#include <set>

#include "base/assert.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

constexpr size_t kReadsPerBatch = 200;
constexpr size_t kOldTokens = 300;  // asked about again, of those before this life
constexpr int kTriesForContent = 200;

std::string ReadText(const Op& op) {
  return op.exists ? fmt::format("{} expiring {} written {}", op.value, op.expiry_ms, op.last_write_us) : "missing";
}

}  // namespace

std::vector<uint64_t> Run::Each(uint64_t ShardView::* figure) const {
  std::vector<uint64_t> each;
  for (const ShardView& shard : shards_) each.push_back(shard.*figure);
  return each;
}

std::vector<int> Run::TokensSince(const std::vector<uint64_t>& steps) const {
  std::vector<int> tokens;
  for (size_t i = 0; i < model_.tokens().size(); ++i) {
    const Token& token = model_.tokens()[i];
    const uint32_t shard = model_.counters()[static_cast<size_t>(token.counter)].shard;
    if (i >= tokens_at_start_ || (token.kept && token.step > steps[shard])) tokens.push_back(static_cast<int>(i));
  }
  return tokens;
}

bool Run::Collect(const std::vector<int>& tokens, Recovered* out) {
  std::vector<std::unique_ptr<ClientBatch>> batches;
  const size_t counters = model_.counters().size();
  for (size_t i = 0; i < counters; i += kReadsPerBatch) batches.push_back(workload_.Reads(i, kReadsPerBatch));
  for (size_t i = 0; i < tokens.size(); i += kReadsPerBatch)
    batches.push_back(workload_.Outcomes(tokens, i, kReadsPerBatch));
  for (auto& batch : batches) batch->unjudged = true;
  collected_.clear();
  if (!SendAndWait(std::move(batches))) return false;
  out->counters.resize(counters);
  for (const auto& client : collected_) {
    for (const ClientBatch::Part& part : client->parts) {
      if (part.judged_us == shards_[part.shard].judged_us) continue;
      Fail(
          fmt::format("reads of one moment are judged by {} and by {}", part.judged_us, shards_[part.shard].judged_us));
      return false;
    }
    if (client->batch.code != Code::kOk || !client->batch.status.ok()) {
      if (damaged_) {
        out->complete = false;
        continue;
      }
      Fail(fmt::format("reads after a restart: {} {}", CodeName(client->batch.code), client->batch.status.ToString()));
      return false;
    }
    for (size_t i = 0; i < client->ops.size(); ++i) {
      const Op& op = client->ops[i];
      const Request& request = client->requests[i];
      if (op.code == Code::kDataLoss && damaged_) {
        out->complete = false;
      } else if (request.token < 0 && op.code != Code::kOk) {
        Fail(fmt::format("read after a restart: {}", CodeName(op.code)));
      }
      if (request.token < 0) {
        out->counters[static_cast<size_t>(request.counter)] = op;
      } else {
        out->tokens[request.token] = op;
      }
    }
  }
  collected_.clear();
  out->namespaces = store_->Namespaces()->all();
  return ok() && CollectSources(&out->sources);
}

bool Run::Differs(const Recovered& recovered, int index) const {
  const Counter& counter = model_.counters()[static_cast<size_t>(index)];
  const Op& op = recovered.counters[static_cast<size_t>(index)];
  if (op.code != Code::kOk) return false;  // refused for damage
  if (!op.exists) return model_.IsLive(counter);
  return !model_.IsLive(counter) || op.value != counter.value || op.expiry_ms != counter.expiry_ms ||
         op.last_write_us != counter.last_write_us;
}

bool Run::TokenDiffers(const Recovered& recovered, int index) const {
  const auto it = recovered.tokens.find(index);
  if (it == recovered.tokens.end() || it->second.code == Code::kDataLoss) return false;
  const Token& token = model_.tokens()[static_cast<size_t>(index)];
  const Op& op = it->second;
  if (op.code != Code::kOk) return token.kept && model_.MustBeKnown(token);
  return !token.kept || AnswerOf(op) != token.answer || op.position != token.position;
}

std::string Run::FindPrefix(const Recovered& recovered, const std::vector<int>& tokens,
                            const std::vector<uint64_t>& floors) {
  for (uint32_t s = 0; s < shards_.size(); ++s) {
    if (std::string wrong = FindShardPrefix(s, recovered, tokens, floors[s]); !wrong.empty()) return wrong;
  }
  // An atomic batch is there on all of its shards or on none: where one lacks it, the others must have come back
  // without it too, which may take a further one away.
  for (bool changed = true; changed;) {
    changed = false;
    for (const Model::Across& across : model_.across()) {
      const auto holds = [this](const auto& part) { return part.second <= model_.last_step(part.first); };
      if (std::ranges::all_of(across.parts, holds)) continue;
      for (const auto& [shard, last] : across.parts) {
        if (last > model_.last_step(shard)) continue;
        changed = true;
        const std::string half = fmt::format(
            "an atomic batch is there on shard {} up to step {}, but not on all of its "
            "shards",
            shard, last);
        while (model_.last_step(shard) >= last) {
          if (model_.last_step(shard) < model_.first_undoable(shard)) return half;
          const Model::Touched touched = model_.UndoLast(shard);
          if (touched.token >= 0) lost_.insert(touched.token);
        }
        if (std::string wrong = FindShardPrefix(shard, recovered, tokens, floors[shard]); !wrong.empty()) {
          return fmt::format("{}: {}", half, wrong);
        }
      }
    }
  }
  return "";
}

std::string Run::FindShardPrefix(uint32_t shard, const Recovered& recovered, const std::vector<int>& tokens,
                                 uint64_t floor) {
  const auto of_shard = [&](const std::map<store::SourceId, store::SourceState>& all) {
    std::map<store::SourceId, store::SourceState> mine;
    for (const auto& [id, state] : all) {
      if (model_.ShardOfSource(id) == shard) mine.emplace(id, state);
    }
    return mine;
  };
  const auto sources = of_shard(recovered.sources);
  bool sources_off = recovered.complete && sources != of_shard(model_.sources());
  std::set<int> counters_off, tokens_off;
  const auto look = [&](int counter, int token) {
    if (counter >= 0) {
      if (Differs(recovered, counter))
        counters_off.insert(counter);
      else
        counters_off.erase(counter);
    }
    if (token >= 0) {
      if (TokenDiffers(recovered, token))
        tokens_off.insert(token);
      else
        tokens_off.erase(token);
    }
  };
  const auto look_at_all = [&] {
    for (size_t i = 0; i < recovered.counters.size(); ++i) {
      if (model_.counters()[i].shard == shard) look(static_cast<int>(i), -1);
    }
    for (int token : tokens) {
      const int counter = model_.tokens()[static_cast<size_t>(token)].counter;
      if (model_.counters()[static_cast<size_t>(counter)].shard == shard) look(-1, token);
    }
  };
  look_at_all();
  const uint64_t end = model_.last_step(shard);
  std::string best;
  size_t best_count = ~size_t{0};
  while (true) {
    result_.counts["comparisons"] += 1;
    // Damaged before anything was shown: the last synced batch is the one that made the namespaces.
    const bool in_window = damaged_ && floor == 0;
    const bool namespaces_off =
        shard == 0 && !in_window && !std::ranges::equal(recovered.namespaces, model_.namespaces(), SameNamespace);
    const size_t off = counters_off.size() + tokens_off.size() + (sources_off ? 1 : 0) + (namespaces_off ? 1 : 0);
    const uint64_t step = model_.last_step(shard);
    if (off == 0 && model_.IsBoundary(shard, step)) {
      if (step >= floor) return "";
      return fmt::format(
          "shard {} came back at step {} of {}, although step {} had been shown: acknowledged work is lost", shard,
          step, end, floor);
    }
    if (off < best_count && step >= floor) {
      best_count = off;
      best = off == 0 ? fmt::format("the middle of an atomic batch, step {}", step)
                      : fmt::format("{} things differ at step {}", off, step);
      if (namespaces_off) best += "; namespaces differ";
      if (sources_off) {
        best += "; sources " + SourcesText(sources) + ", should be " + SourcesText(of_shard(model_.sources()));
      }
      for (int i : counters_off) {
        const Counter& c = model_.counters()[static_cast<size_t>(i)];
        best += fmt::format("; counter '{}' of {} reads {}, should be {} expiring {} written {}", c.name.substr(0, 40),
                            c.ns, ReadText(recovered.counters[static_cast<size_t>(i)]),
                            model_.IsLive(c) ? std::to_string(c.value) : "missing", c.expiry_ms, c.last_write_us);
        if (best.size() > 1000) break;
      }
      for (int i : tokens_off) {
        const Token& t = model_.tokens()[static_cast<size_t>(i)];
        const Op& op = recovered.tokens.at(i);
        best += fmt::format("; token {} of counter {}: {} at position {}, should be {} at {}", t.text, t.counter,
                            op.code == Code::kOk ? Describe(AnswerOf(op)) : std::string(CodeName(op.code)), op.position,
                            t.kept ? Describe(t.answer) : "unknown", t.position);
        if (best.size() > 1500) break;
      }
    }
    if (step + 1 == model_.first_undoable(shard)) break;
    const Model::Touched touched = model_.UndoLast(shard);
    if (touched.token >= 0) lost_.insert(touched.token);
    if (touched.is_source) sources_off = recovered.complete && sources != of_shard(model_.sources());
    touched.is_namespace ? look_at_all() : look(touched.counter, touched.token);
  }
  return fmt::format("what came back is no prefix of what was decided (shard {}, steps {} to {}); nearest: {}", shard,
                     floor, end, best);
}

void Run::VerifyRecovery() {
  std::vector<uint64_t> ends;
  for (uint32_t s = 0; s < shards_.size(); ++s) ends.push_back(model_.last_step(s));
  const std::vector<uint64_t> floors = Each(&ShardView::acked);
  const std::vector<int> tokens = TokensSince(floors);
  Recovered recovered;
  if (!Collect(tokens, &recovered)) return;
  if (std::string wrong = FindPrefix(recovered, tokens, floors); !wrong.empty()) return Fail(std::move(wrong));
  for (uint32_t s = 0; s < shards_.size(); ++s) {
    ShardView& shard = shards_[s];
    result_.counts["steps_lost"] += static_cast<double>(ends[s] - model_.last_step(s));
    shard.acked = model_.last_step(s);
    // What a restart found is on the medium, but only the next frame will say so: until then the last one looks torn
    // when it is damaged.
    shard.acked_prior = std::min(shard.acked_prior, shard.acked);
    shard.acked_before = std::min(shard.acked_before, shard.acked);
  }
  for (uint32_t s = 0; s < shards_.size(); ++s) model_.Forget(s, shards_[s].acked_before);
  ResolveUnknown();
  if (ok()) CompareAll();
}

// A client that does not know what became of its requests sends them again: those without an answer, those that the
// crash took back, those since the last comparison that are not counted, and some of such from before.
void Run::ResolveUnknown() {
  const auto unanswered = std::exchange(unanswered_, {});
  std::set<int> all;
  for (const auto& [token, requests] : unanswered) all.insert(token);
  all.merge(std::exchange(lost_, {}));
  for (size_t i = tokens_compared_; i < model_.tokens().size(); ++i) {
    if (!model_.tokens()[i].kept) all.insert(static_cast<int>(i));
  }
  for (size_t i = 0; i < kOldTokens && tokens_compared_ > 0; ++i) {
    const size_t old = random_.Below(tokens_compared_);
    if (!model_.tokens()[old].kept) all.insert(static_cast<int>(old));
  }
  const std::vector<int> unknown(all.begin(), all.end());
  std::vector<std::unique_ptr<ClientBatch>> batches;
  for (size_t i = 0; i < unknown.size(); i += kReadsPerBatch)
    batches.push_back(workload_.Retries(unknown, i, kReadsPerBatch));
  // A token may have become too old for a retry, and still be known.
  for (size_t i = 0; i < unknown.size(); i += kReadsPerBatch)
    batches.push_back(workload_.Outcomes(unknown, i, kReadsPerBatch));
  if (!batches.empty() && !SendAndWait(std::move(batches))) return;
  for (const auto& [token, requests] : unanswered) NoteUnresolved(token, requests);
}

// What the horizon has passed over nobody can ask about any more. Of the requests with one token that lie within one
// horizon at most one was counted, and a token that carries its time is never counted again.
void Run::NoteUnresolved(int token, const std::vector<Unanswered>& requests) {
  const Token& t = model_.tokens()[static_cast<size_t>(token)];
  if (!InLedger(t.counter) || (t.own_us != kNoTime && ledger_.IsKnown(token))) return;
  const NamespaceId ns = model_.counters()[static_cast<size_t>(t.counter)].ns;
  const auto least_ms = horizon_ms_least_.find(ns);
  const Micros horizon_us =
      1000 * (least_ms == horizon_ms_least_.end() ? model_.settings(ns).token_horizon_ms : least_ms->second);
  const Micros now_us = shards_[model_.counters()[static_cast<size_t>(t.counter)].shard].judged_us;
  Micros from_us = kNoTime;
  for (const Unanswered& request : requests) {
    if (request.judged_us < from_us || std::max(request.judged_us, t.own_us) + horizon_us > now_us) continue;
    ledger_.Unresolved(t.counter, request.delta);
    from_us = t.own_us != kNoTime ? std::numeric_limits<Micros>::max() : request.judged_us + horizon_us;
  }
}

std::string Run::Damage() {
  const auto files = disk_.Files();
  const auto& [path, size] = files[random_.Below(files.size())];
  if (size == 0) return "";
  switch (random_.Below(6)) {
    case 0:
      disk_.Cut(path, random_.Below(size));
      return "cut " + path;
    case 1: {
      const auto& [other, other_size] = files[random_.Below(files.size())];
      if (other == path) return "";
      disk_.SwapFiles(path, other);
      return "swapped " + path + " and " + other;
    }
    case 2: {
      if (path.find("/journal/") != std::string::npos) {
        // As long as the least write there: a whole page of small frames may be more than the window (recovery.md).
        constexpr uint64_t kFrameBytes = 512;
        const std::string content = disk_.Content(path);
        const uint64_t sectors = (size + kFrameBytes - 1) / kFrameBytes;
        const uint64_t from = random_.Below(sectors) * kFrameBytes, to = random_.Below(sectors) * kFrameBytes;
        disk_.Overwrite(path, to, std::string_view(content).substr(from, std::min(kFrameBytes, size - to)));
        return fmt::format("misdirected {} bytes to {} of {}", kFrameBytes, to, path);
      }
      const uint64_t page = random_.Below((size + sim::kPageBytes - 1) / sim::kPageBytes);
      disk_.CopyPage(path, random_.Below((size + sim::kPageBytes - 1) / sim::kPageBytes), path, page);
      return fmt::format("misdirected a page to {} of {}", page, path);
    }
    case 3:
      disk_.Lose(path);
      return "lost " + path;
    default: {
      // Most of a segment is laid out ahead and still zero: where something stands, damage matters.
      const std::string content = disk_.Content(path);
      uint64_t at = random_.Below(size);
      for (int tries = 0; content[at] == 0 && tries < kTriesForContent; ++tries) at = random_.Below(size);
      disk_.FlipBit(path, at, static_cast<int>(random_.Below(8)));
      return fmt::format("flipped a bit at {} of {}", at, path);
    }
  }
}

// The store on a damaged medium may refuse, whole or in part; what it does answer must be right. Then the damage is
// undone.
void Run::VerifyDamaged() {
  SetFaults(false);
  const auto image = disk_.Save();
  const Model before = model_;
  for (uint64_t round = random_.Skewed(8); round > 0 && ok(); --round) {
    const std::string what = Damage();
    if (what.empty()) continue;
    result_.counts["damages"] += 1;
    damaged_ = true;
    Result<std::unique_ptr<store::EventStore>> opened = engine_.open({.loop = &loop_,
                                                                      .disk = planted_disk_.get(),
                                                                      .random = &store_random_,
                                                                      .tuning = &tuning_,
                                                                      .shards = shard_count_,
                                                                      .observer = shard_count_ > 1 ? this : nullptr,
                                                                      .opened = &opened_,
                                                                      .seed = seed_});
    if (!opened.ok()) {
      result_.counts["damages_found"] += 1;
    } else {
      store_ = std::move(opened).value();
      next_done_ = 0;
      for (ShardView& shard : shards_) {
        shard.judged_us = kNoTime;
        shard.newest_decided = 0;
      }
      // Once as it comes, and again when it has settled and merged what it could.
      for (const int64_t for_us : {int64_t{0}, static_cast<int64_t>(random_.Skewed(300)) * 1'000'000}) {
        if (for_us > 0) loop_.RunFor(for_us);
        const std::vector<uint64_t> floors = Each(&ShardView::acked_before);
        const std::vector<int> tokens = TokensSince(floors);
        Recovered recovered;
        if (!Collect(tokens, &recovered)) break;
        if (!recovered.complete) result_.counts["damages_found"] += 1;
        // The last two synced batches, with nothing after them, look torn when they are damaged.
        const std::string wrong = FindPrefix(recovered, tokens, floors);
        if (!wrong.empty()) Fail(fmt::format("after damage ({}): {}", what, wrong));
      }
      model_ = before;
    }
    disk_.PowerOff();
    opened = Status(Code::kUnavailable, "dropped");
    Destroy();
    disk_.Load(*image);
    damaged_ = false;
  }
}

}  // namespace quipu::simulation
