// The store compared with the model when nothing else happens: counters, tokens, sources, listings, data.
#include <algorithm>

#include "base/assert.h"
#include "test/simulation/run.h"

namespace quipu::simulation {
namespace {

constexpr size_t kReadsPerBatch = 200;
// A listing sees counters that expire within this, or does not.
constexpr int64_t kListingMsMax = 60'000;

}  // namespace

std::string Run::SourcesText(const std::map<store::SourceId, store::SourceState>& sources) {
  std::string text;
  for (const auto& [id, s] : sources) {
    text += fmt::format("{:x} at {} ({} taken, {} refused, {} marks, {} ends) ", id.lo, s.offset, s.taken, s.refused,
                        s.marks.size(), s.ends.size());
  }
  return text;
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
  const int64_t soon_ms = std::max(JudgedLast(), clock_.WallMicros()) / 1000 + kListingMsMax;
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

}  // namespace quipu::simulation
