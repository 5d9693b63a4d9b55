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
// A listing sees counters that expire within this, or does not.
constexpr int64_t kListingMsMax = 60'000;

std::string ReadText(const Op& op) {
  return op.exists ? fmt::format("{} expiring {} written {}", op.value, op.expiry_ms, op.last_write_us) : "missing";
}

std::string SourcesText(const std::map<store::SourceId, store::SourceState>& sources) {
  std::string text;
  for (const auto& [id, s] : sources) {
    text += fmt::format("{:x} at {} ({} taken, {} refused, {} marks, {} ends) ", id.lo, s.offset, s.taken, s.refused,
                        s.marks.size(), s.ends.size());
  }
  return text;
}

}  // namespace

std::vector<int> Run::TokensSince(uint64_t step) const {
  std::vector<int> tokens;
  for (size_t i = 0; i < model_.tokens().size(); ++i) {
    const Token& token = model_.tokens()[i];
    if (i >= tokens_at_start_ || (token.kept && token.step > step)) tokens.push_back(static_cast<int>(i));
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
    if (client->batch.judged_us != judged_us_) {
      Fail(fmt::format("reads of one moment are judged by {} and by {}", client->batch.judged_us, judged_us_));
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

std::string Run::FindPrefix(const Recovered& recovered, const std::vector<int>& tokens, uint64_t floor) {
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
    for (size_t i = 0; i < recovered.counters.size(); ++i) look(static_cast<int>(i), -1);
    for (int token : tokens) look(-1, token);
  };
  look_at_all();
  const uint64_t end = model_.last_step();
  std::string best;
  size_t best_count = ~size_t{0};
  while (true) {
    result_.counts["comparisons"] += 1;
    const bool sources_off = recovered.complete && recovered.sources != model_.sources();
    // Damaged before anything was shown: the last synced batch is the one that made the namespaces.
    const bool in_window = damaged_ && floor == 0;
    const bool namespaces_off =
        !in_window && !std::ranges::equal(recovered.namespaces, model_.namespaces(), SameNamespace);
    const size_t off = counters_off.size() + tokens_off.size() + (sources_off ? 1 : 0) + (namespaces_off ? 1 : 0);
    const uint64_t step = model_.last_step();
    if (off == 0 && model_.IsBoundary(step)) {
      if (step >= floor) return "";
      return fmt::format(
          "the store came back at step {} of {}, although step {} had been shown: acknowledged work is lost", step, end,
          floor);
    }
    if (off < best_count && step >= floor) {
      best_count = off;
      best = off == 0 ? fmt::format("the middle of an atomic batch, step {}", step)
                      : fmt::format("{} things differ at step {}", off, step);
      if (namespaces_off) best += "; namespaces differ";
      if (sources_off) {
        best += "; sources " + SourcesText(recovered.sources) + ", should be " + SourcesText(model_.sources());
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
    if (step + 1 == model_.first_undoable()) break;
    const Model::Touched touched = model_.UndoLast();
    if (touched.token >= 0) lost_.insert(touched.token);
    touched.is_namespace ? look_at_all() : look(touched.counter, touched.token);
  }
  return fmt::format("what came back is no prefix of what was decided (steps {} to {}); nearest: {}", floor, end, best);
}

void Run::VerifyRecovery() {
  const uint64_t end = model_.last_step();
  const std::vector<int> tokens = TokensSince(acked_);
  Recovered recovered;
  if (!Collect(tokens, &recovered)) return;
  if (std::string wrong = FindPrefix(recovered, tokens, acked_); !wrong.empty()) return Fail(std::move(wrong));
  result_.counts["steps_lost"] += static_cast<double>(end - model_.last_step());
  acked_ = model_.last_step();
  // What a restart found is on the medium, but only the next frame will say so: until then the last one looks torn when
  // it is damaged.
  acked_prior_ = std::min(acked_prior_, acked_);
  acked_before_ = std::min(acked_before_, acked_);
  model_.Forget(acked_before_);
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
  Micros from_us = kNoTime;
  for (const Unanswered& request : requests) {
    if (request.judged_us < from_us || std::max(request.judged_us, t.own_us) + horizon_us > judged_us_) continue;
    ledger_.Unresolved(t.counter, request.delta);
    from_us = t.own_us != kNoTime ? std::numeric_limits<Micros>::max() : request.judged_us + horizon_us;
  }
}

void Run::CompareAll() {
  std::vector<int> tokens;
  for (size_t i = 0; i < 200 && !model_.tokens().empty(); ++i) {
    tokens.push_back(static_cast<int>(random_.Below(model_.tokens().size())));
  }
  std::vector<std::unique_ptr<ClientBatch>> batches;
  for (size_t i = 0; i < model_.counters().size(); i += kReadsPerBatch)
    batches.push_back(workload_.Reads(i, kReadsPerBatch));
  for (; tokens_compared_ < model_.tokens().size(); ++tokens_compared_)
    tokens.push_back(static_cast<int>(tokens_compared_));
  for (size_t i = 0; i < tokens.size(); i += kReadsPerBatch)
    batches.push_back(workload_.Outcomes(tokens, i, kReadsPerBatch));
  if (!SendAndWait(std::move(batches))) return;
  JudgeLedger();
  CompareSources();
  for (NamespaceId ns = 0; ns < store_->Namespaces()->all().size() && ok(); ++ns) CompareListings(ns);
}

void Run::CompareAlive() {
  disk_.CrashAt(0);
  SetFaults(false);
  if (!WaitFor([this] { return in_flight_.empty(); }, "batches are not answered")) return;
  const size_t compared = tokens_compared_;
  CompareAll();
  tokens_compared_ = compared;  // they have to outlive the crash too
  result_.counts["looks"] += 1;
}

void Run::JudgeLedger() {
  for (size_t i = 0; i < model_.counters().size() && ok(); ++i) {
    const Counter& counter = model_.counters()[i];
    if (!InLedger(static_cast<int>(i))) continue;
    result_.counts["comparisons"] += 1;
    // The reads just judged have shown that the store's value is the model's.
    std::string wrong = ledger_.Settle(static_cast<int>(i), counter.value);
    if (!wrong.empty()) Fail(std::move(wrong));
  }
}

void Run::CheckData() {
  if (engine_.check == nullptr) return;
  SetFaults(false);
  result_.counts["comparisons"] += 1;
  const std::string wrong = engine_.check(&disk_);
  if (!wrong.empty()) Fail("check: " + wrong);
  loop_.Abandon();
}

bool Run::CollectSources(std::map<store::SourceId, store::SourceState>* out) {
  for (uint64_t anchor = 0; anchor < kSourceAnchors && ok(); ++anchor) {
    bool done = false;
    loop_.Post([&] {
      store_->FindSources({anchor, 7}, [&](Result<std::vector<store::SourceState>> result) {
        done = true;
        if (!result.ok() && damaged_) return;
        if (!result.ok()) return Fail("sources: " + result.status().ToString());
        for (const store::SourceState& s : *result) {
          store::SourceState& state = (*out)[s.id] = s;
          state.updated_us = 0;
        }
      });
    });
    if (!WaitFor([&] { return done; }, "sources are not listed")) return false;
  }
  return ok();
}

void Run::CompareSources() {
  std::map<store::SourceId, store::SourceState> found;
  if (!CollectSources(&found)) return;
  if (found != model_.sources())
    Fail("sources: " + SourcesText(found) + "; should be " + SourcesText(model_.sources()));
}

namespace {

struct Page {
  store::ScanOp op;
  bool done = false;
};

}  // namespace

void Run::CompareListings(NamespaceId ns) {
  if (!model_.NamespaceExists(ns)) return;
  std::map<std::string, int64_t> want, may_go;
  const int64_t soon_ms = std::max(judged_us_, clock_.WallMicros()) / 1000 + kListingMsMax;
  for (const Counter& counter : model_.counters()) {
    if (counter.ns != ns || !model_.IsLive(counter)) continue;
    const bool expires = counter.expiry_ms != 0 && counter.expiry_ms <= soon_ms;
    (expires ? may_go : want)[counter.name] = counter.value;
  }

  const auto scan = [&](Page* page) {
    page->done = false;
    page->op.owner = page;
    page->op.ns = ns;
    page->op.on_done = [](store::ScanOp* op) { static_cast<Page*>(op->owner)->done = true; };
    loop_.Post([&] { store_->Scan(&page->op); });
    if (!WaitFor([&] { return page->done; }, "a listing does not end")) return false;
    if (!page->op.status.ok()) Fail("listing: " + page->op.status.ToString());
    return ok();
  };
  const auto differs = [&](std::map<std::string, int64_t> got, const char* order) {
    result_.counts["comparisons"] += 1;
    for (const auto& [name, value] : may_go) {
      const auto it = got.find(name);
      if (it != got.end() && it->second == value) got.erase(it);
    }
    if (got == want) return;
    std::string first;
    for (const auto& [name, value] : want) {
      const auto it = got.find(name);
      if (it == got.end() || it->second != value)
        first = fmt::format("'{}' should be {}, is {}", name.substr(0, 40), value,
                            it == got.end() ? "missing" : std::to_string(it->second));
    }
    for (const auto& [name, value] : got) {
      if (!want.contains(name)) first = fmt::format("'{}' = {} should not be there", name.substr(0, 40), value);
    }
    Fail(fmt::format("listing of namespace {} by {}: {} entries, should be {}: {}", ns, order, got.size(), want.size(),
                     first));
  };

  Page page;
  std::map<std::string, int64_t> by_hash;
  page.op.limit = random_.Skewed(100);
  page.op.cursor = 0;
  do {
    if (!scan(&page)) return;
    for (const store::CounterEntry& e : page.op.entries) {
      if (!by_hash.emplace(e.name, e.value).second) return Fail(fmt::format("a full scan shows '{}' twice", e.name));
    }
    page.op.cursor = page.op.next_cursor;
  } while (page.op.cursor != 0);
  differs(by_hash, "hash");

  std::map<std::string, int64_t> by_name;
  page.op.order = store::ScanOp::Order::kName;
  page.op.limit = random_.Skewed(100);
  do {
    if (!scan(&page)) return;
    for (const store::CounterEntry& e : page.op.entries) {
      if (e.name <= page.op.after_name)
        return Fail(fmt::format("listing by name: '{}' after '{}'", e.name, page.op.after_name));
      page.op.after_name = e.name;
      by_name.emplace(e.name, e.value);
    }
  } while (page.op.more);
  differs(by_name, "name");

  if (!may_go.empty()) return;  // who is in the first places cannot be said
  page.op.order = store::ScanOp::Order::kTop;
  page.op.ascending = random_.Below(2) == 0;
  page.op.limit = random_.Skewed(20);
  if (!scan(&page)) return;
  std::vector<std::pair<int64_t, std::string>> top;
  for (const auto& [name, value] : want) top.emplace_back(value, name);
  std::stable_sort(top.begin(), top.end(), [&](const auto& a, const auto& b) {
    return page.op.ascending ? a.first < b.first : a.first > b.first;
  });
  top.resize(std::min(top.size(), page.op.limit));
  std::vector<std::pair<int64_t, std::string>> got;
  for (const store::CounterEntry& e : page.op.entries) got.emplace_back(e.value, e.name);
  if (got != top) Fail(fmt::format("listing by value of namespace {} differs", ns));

  // Expired ones leave the count with the next sweep, which writes.
  if (pressed_ && store_->Info().memory_bytes > limits_.memory_bytes_enough) return;
  WaitFor([&] { return store_->CountCounters(ns) == want.size(); }, "the count of counters is wrong");
  if (!ok())
    result_.failure +=
        fmt::format(": namespace {} counts {}, should be {}", ns, store_->CountCounters(ns), want.size());
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
    Result<std::unique_ptr<store::EventStore>> opened = engine_.open(
        {.loop = &loop_, .disk = planted_disk_.get(), .random = &store_random_, .tuning = &tuning_, .seed = seed_});
    if (!opened.ok()) {
      result_.counts["damages_found"] += 1;
    } else {
      store_ = std::move(opened).value();
      next_done_ = 0;
      judged_us_ = kNoTime;
      // Once as it comes, and again when it has settled and merged what it could.
      for (const int64_t for_us : {int64_t{0}, static_cast<int64_t>(random_.Skewed(300)) * 1'000'000}) {
        if (for_us > 0) loop_.RunFor(for_us);
        const std::vector<int> tokens = TokensSince(acked_before_);
        Recovered recovered;
        if (!Collect(tokens, &recovered)) break;
        if (!recovered.complete) result_.counts["damages_found"] += 1;
        // The last two synced batches, with nothing after them, look torn when they are damaged.
        const std::string wrong = FindPrefix(recovered, tokens, acked_before_);
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
