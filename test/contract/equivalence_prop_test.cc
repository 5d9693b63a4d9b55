// Any history on the engine equals the same history on the model: adds, replays, conflicts, clears, sets, expiries,
// groups, batches, sources, changed namespaces, with settles, restarts, kills and power losses of the engine in
// between, some of them while a batch is in flight. Both run on one loop, so that both see the same time. Every result
// is compared.
//
// Time stands at half a second whenever a step begins, and counters end at whole seconds: the retry after a crash, a
// few milliseconds later, then cannot meet another expiry than the first try did.
#include <map>
#include <set>

#include "model/name.h"
#include "model/token.h"
#include "store/decide.h"
#include "store/memory/memory_store.h"
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

struct OpSpec {
  OpKind kind = OpKind::kAdd;
  int ns = 0;
  int name = 0;
  int token = 0;
  int stamp = 0;
  int64_t delta = 0;
  int bounds = 0;
  Condition condition = Condition::kNone;
  ExpireRule rule = ExpireRule::kKeep;
  int expire_in_s = 0;
  bool remove = false;
  bool joined = false;
  bool heeds_group = false;
};

struct Step {
  enum class What : uint8_t { kBatch, kCrash, kPass, kTrouble, kNamespace, kCompare };
  What what = What::kBatch;
  std::vector<OpSpec> ops;
  int mode = 0;
  int amount = 0;
};

constexpr std::string_view kNames[] = {"k[f]", "k", "b", "k[größe]", "k[f][g]"};
constexpr std::string_view kNamespaceNames[] = {"default", "small", "brief"};
constexpr Trouble kTroubles[] = {Trouble::kSettle, Trouble::kReopen, Trouble::kKill, Trouble::kPowerLoss,
                                 Trouble::kReshard};
constexpr int64_t kPassSeconds[] = {1, 2, 7, 30, 59, 65, 130, 601, 3600};
constexpr int64_t kHorizonMs[] = {60'000, 120'000, 600'000};
constexpr int kStepsMax = 40;  // a history; more of them, rather than longer ones: RC_PARAMS=max_success=5000
constexpr SourceId kSource{1, 1}, kAnchor{2, 2};

void showValue(const OpSpec& o, std::ostream& out) {
  out << fmt::format(
      "\n    kind {} ns {} name {} token {} stamp {} delta {} bounds {} condition {} rule {} in {} s remove {} "
      "joined {} group {}",
      static_cast<int>(o.kind), o.ns, o.name, o.token, o.stamp, o.delta, o.bounds, static_cast<int>(o.condition),
      static_cast<int>(o.rule), o.expire_in_s, o.remove, o.joined, o.heeds_group);
}
void showValue(const Step& s, std::ostream& out) {
  out << fmt::format("\n  step {} mode {} amount {}", static_cast<int>(s.what), s.mode, s.amount);
  for (const OpSpec& o : s.ops) showValue(o, out);
}

// A uniform choice that shrinks to the first. (inRange alone reaches its upper end only at the nominal size.)
rc::Gen<int> Choice(int n) { return rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, n)); }

template <class T>
rc::Gen<T> Weighted(std::vector<T> values) {
  return rc::gen::map(Choice(static_cast<int>(values.size())),
                      [values](int i) { return values[static_cast<size_t>(i)]; });
}

rc::Gen<OpSpec> AnyOp() {
  using enum OpKind;
  return rc::gen::build<OpSpec>(
      rc::gen::set(&OpSpec::kind, Weighted<OpKind>({kAdd, kAdd, kAdd, kAdd, kAdd, kGet, kClear, kSet, kDelete, kExpire,
                                                    kTokenOutcome, kCheckVersion})),
      rc::gen::set(&OpSpec::ns, Weighted<int>({0, 0, 0, 1, 2, 2})), rc::gen::set(&OpSpec::name, Choice(5)),
      rc::gen::set(&OpSpec::token, Weighted<int>({0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7})),
      rc::gen::set(&OpSpec::stamp, Weighted<int>({0, 0, 0, 0, 1, 2, 3, 4})),
      rc::gen::set(&OpSpec::delta, Weighted<int64_t>({1, 1, 1, 2, -1, 5, 0, 100, kInt64Max, kInt64Min})),
      rc::gen::set(&OpSpec::bounds, Weighted<int>({0, 0, 0, 0, 1, 2, 3, 4, 5})),
      rc::gen::set(&OpSpec::condition, Weighted<Condition>({Condition::kNone, Condition::kNone, Condition::kNone,
                                                            Condition::kIfExists, Condition::kIfMissing})),
      rc::gen::set(&OpSpec::rule,
                   Weighted<ExpireRule>({ExpireRule::kKeep, ExpireRule::kKeep, ExpireRule::kKeep, ExpireRule::kKeep,
                                         ExpireRule::kClear, ExpireRule::kSet, ExpireRule::kSet, ExpireRule::kSetIfNone,
                                         ExpireRule::kSetIfAny, ExpireRule::kSetIfLater, ExpireRule::kSetIfEarlier,
                                         ExpireRule::kSetIfAnyEarlier})),
      rc::gen::set(&OpSpec::expire_in_s, Weighted<int>({2, 1, 10, 100, 4000, -1})),
      rc::gen::set(&OpSpec::remove, rc::gen::arbitrary<bool>()),
      rc::gen::set(&OpSpec::joined, Weighted<bool>({false, false, true})),
      rc::gen::set(&OpSpec::heeds_group, rc::gen::arbitrary<bool>()));
}

rc::Gen<Step> AnyStep() {
  using enum Step::What;
  return rc::gen::build<Step>(
      rc::gen::set(&Step::what, Weighted<Step::What>({kBatch, kBatch, kBatch, kBatch, kBatch, kCrash, kPass, kPass,
                                                      kTrouble, kTrouble, kNamespace, kCompare})),
      rc::gen::set(&Step::ops, rc::gen::resize(6, rc::gen::container<std::vector<OpSpec>>(AnyOp()))),
      rc::gen::set(&Step::mode, Weighted<int>({0, 0, 0, 1, 2, 3, 4})), rc::gen::set(&Step::amount, Choice(9)));
}

// The engine and the model side by side.
class Pair {
 public:
  explicit Pair(const EngineKind& kind) : engine_(kind.make(&machine_)), model_(&machine_.loop) {
    Align();
    start_us_ = machine_.NowUs();
    // Shards decide their parts of a batch side by side: which of two new counters finds no room is then open.
    PutBoth("small", 0, {.counters_max = kind.in_shards ? 0 : 2});
    PutBoth("brief", 0, {.token_horizon_ms = kHorizonMs[0], .token_skew_ms = 10'000});
  }

  void Run(const Step& step) {
    Align();
    switch (step.what) {
      case Step::What::kBatch:
        return RunBatch(step);
      case Step::What::kCrash:
        return RunCrash(step);
      case Step::What::kPass:
        return machine_.loop.RunFor(kPassSeconds[step.amount] * kSecond);
      case Step::What::kTrouble:
        return engine_->Endure(kTroubles[step.amount % 5]);
      case Step::What::kNamespace:
        return RunNamespace(step);
      case Step::What::kCompare:
        return Compare();
    }
  }

  void Compare() {
    for (NamespaceId ns = 0; ns < 3; ns++) {
      RC_ASSERT(engine_->store()->CountCounters(ns) == model_.CountCounters(ns));
      for (auto order : {ScanOp::Order::kName, ScanOp::Order::kTop}) {
        RC_ASSERT(Listing(engine_->store(), ns, order) == Listing(&model_, ns, order));
      }
      std::multiset<std::string> by_hash, by_hash_of_model;
      for (auto& entry : ByHash(engine_->store(), ns)) by_hash.insert(entry);
      for (auto& entry : ByHash(&model_, ns)) by_hash_of_model.insert(entry);
      RC_ASSERT(by_hash == by_hash_of_model);
      for (std::string_view name : kNames) {
        RC_ASSERT(EventsText(engine_->store(), ns, name) == EventsText(&model_, ns, name));
      }
    }
    StoreInfo info = engine_->store()->Info(), info_of_model = model_.Info();
    RC_ASSERT(info.counters == info_of_model.counters);
    RC_ASSERT(SourceText(engine_->store()) == SourceText(&model_));
  }

 private:
  struct Flight {
    std::vector<Op> ops;
    std::vector<std::vector<CounterEntry>> listings;  // of groups, one an op
    Batch batch;
    bool done = false;
  };

  void Align() {
    Micros past = machine_.NowUs() % kSecond;
    machine_.loop.RunFor((past <= kSecond / 2 ? kSecond / 2 : kSecond * 3 / 2) - past);
  }

  std::string_view Token(int i) {
    if (i == 0) return {};
    if (i <= 3) return Keep(fmt::format("t{}", i));
    constexpr Micros kOffsets[] = {0, -30 * kSecond, 5 * kSecond, 90 * kSecond};
    return Keep(MakeUuidV7((start_us_ + kOffsets[i - 4]) / 1000, 0, static_cast<uint64_t>(i) << 2));
  }
  Micros Stamp(int i) {
    constexpr Micros kOffsets[] = {0, -30 * kSecond, -25 * kHour, 5 * kSecond, 120 * kSecond};
    return i == 0 ? kNoTime : machine_.NowUs() + kOffsets[i];
  }
  std::string_view Keep(std::string s) { return *kept_.insert(std::move(s)).first; }

  Op Make(const OpSpec& spec) {
    Op op{.kind = spec.kind, .condition = spec.condition, .expire_rule = spec.rule, .remove = spec.remove};
    op.ns = static_cast<NamespaceId>(spec.ns);
    op.name = kNames[spec.name];
    op.hash = HashCounter(op.ns, op.name);
    op.token = Token(spec.token);
    if (op.kind == OpKind::kTokenOutcome && op.token.empty()) op.token = "t1";
    op.token_time_us = Stamp(spec.stamp);
    op.delta = spec.delta;
    op.expire_at_ms = (machine_.NowUs() / kSecond + spec.expire_in_s) * 1000;
    op.bounded = spec.bounds >= 1 && spec.bounds <= 4;
    op.saturate = spec.bounds >= 3;
    op.floor = spec.bounds % 2 == 1 ? 0 : -5;
    op.ceiling = spec.bounds % 2 == 1 ? 10 : 5;
    if (spec.heeds_group) HeedGroup(&op);
    return op;
  }
  // What the kind allows; a command on a whole group has neither token nor condition.
  static void HeedGroup(Op* op) {
    switch (op->kind) {
      case OpKind::kAdd:
      case OpKind::kSet:
        if (op->expire_rule == ExpireRule::kKeep) op->group = GroupRole::kMember;
        break;
      case OpKind::kGet:
        op->group = op->delta == 1 ? GroupRole::kElseGroup : GroupRole::kWhole;
        break;
      case OpKind::kCheckVersion:
      case OpKind::kDelete:
      case OpKind::kExpire:
        op->group = GroupRole::kWhole;
        op->condition = Condition::kNone;
        op->token = {};
        op->token_time_us = kNoTime;
        break;
      default:
        break;
    }
  }

  void Prepare(const std::vector<Op>& ops, Flight* flight) {
    flight->ops = ops;
    flight->listings.resize(ops.size());
    for (size_t i = 0; i < ops.size(); i++) {
      if (ops[i].kind == OpKind::kGet && ops[i].group == GroupRole::kWhole)
        flight->ops[i].listing = &flight->listings[i];
    }
    flight->batch.ops = flight->ops;
    flight->batch.owner = flight;
    flight->batch.on_done = [](Batch* b) { static_cast<Flight*>(b->owner)->done = true; };
  }
  void Finish(const bool& done) {
    static constexpr bool kAlready = true;
    if (done) return machine_.Run([] {}, &kAlready);
    machine_.Run([] {}, &done);
  }

  void RunBatch(const Step& step) {
    std::vector<Op> ops;
    for (const OpSpec& spec : step.ops) {
      const bool checks = spec.kind == OpKind::kCheckVersion || ops.empty() || ops.back().kind == OpKind::kCheckVersion;
      ops.push_back(Make(spec));
      ops.back().joined = spec.joined && !checks && step.mode % 2 == 1;
    }
    Flight flight, of_model;
    Prepare(ops, &flight);
    Prepare(ops, &of_model);
    // Versions are each engine's own: each checks the one that it last gave.
    for (size_t i = 0; i < ops.size(); i++) {
      flight.ops[i].expected_version = versions_[VersionOf(ops[i])];
      of_model.ops[i].expected_version = versions_of_model_[VersionOf(ops[i])];
    }
    uint64_t from = step.amount == 0 ? offset_ + 1 : offset_;
    const std::vector<SourceMark> marks = {
        {.offset = from + 1, .fingerprint = {from, 8}, .taken = 1, .refused = 0},
        {.offset = from + 10, .fingerprint = {from, 9}, .taken = from % 3, .refused = from % 2}};
    const std::vector<uint32_t> records(ops.size(), static_cast<uint32_t>(step.mode));
    SourceStep source{.id = kSource,
                      .anchor = kAnchor,
                      .fingerprint = {from, 7},
                      .from = from,
                      .to = from + 10,
                      .label = "log",
                      .reader = from % 20 == 0 ? SourceReader::kNew : SourceReader::kSame,
                      .marks = marks,
                      .refused = from % 4,
                      .records = records};
    for (Batch* b : {&flight.batch, &of_model.batch}) {
      b->atomic = step.mode == 1;
      b->all_or_nothing = step.mode == 2 || step.mode == 4;
      b->source = step.mode >= 3 ? &source : nullptr;
    }
    Submit(&flight, &of_model);
    Finish(flight.done);
    Finish(of_model.done);
    RC_ASSERT(flight.batch.status.ok());
    RC_ASSERT(flight.batch.code == of_model.batch.code);
    RC_ASSERT(flight.batch.failed_index == of_model.batch.failed_index);
    RC_ASSERT(flight.batch.source_offset == of_model.batch.source_offset);
    if (step.mode >= 3) offset_ = of_model.batch.source_offset;
    for (size_t i = 0; i < ops.size(); i++) {
      if (ops[i].group == GroupRole::kWhole && of_model.ops[i].outcome == Outcome::kRefused) {
        // Of the counters that keep their expiries any one's is told.
        flight.ops[i].expiry_ms = of_model.ops[i].expiry_ms = 0;
      }
      RC_ASSERT(ResultText(flight.ops[i]) == ResultText(of_model.ops[i]));
      if (ops[i].kind != OpKind::kGet || flight.ops[i].code != Code::kOk) continue;
      RC_ASSERT(ListedText(flight.listings[i]) == ListedText(of_model.listings[i]));
      versions_[VersionOf(ops[i])] = flight.ops[i].version;
      versions_of_model_[VersionOf(ops[i])] = of_model.ops[i].version;
    }
  }

  void Submit(Flight* flight, Flight* of_model) {
    machine_.loop.Post([this, flight, of_model] {
      engine_->store()->Submit(&flight->batch);
      model_.Submit(&of_model->batch);
    });
  }

  // The machine stops while the batch is on its way; the client sends it again with the same tokens. Whether it had
  // arrived or not: the results are those of one arrival. (Each counter once, without a quota: an error spends no
  // token, so it must not depend on what the batch itself does.)
  void RunCrash(const Step& step) {
    std::vector<Op> ops;
    std::set<std::string_view> names;
    for (OpSpec spec : step.ops) {
      spec.ns = 0;
      spec.rule = ExpireRule::kKeep;
      spec.heeds_group = false;
      Op op = Make(spec);
      if (!IsMutation(spec.kind) || spec.kind == OpKind::kExpire || !names.insert(op.name).second) continue;
      op.token = Keep(fmt::format("crash {}", ++crash_tokens_));
      op.token_time_us = kNoTime;
      op.event_time_us = machine_.NowUs();
      ops.push_back(op);
    }
    bool atomic = step.mode != 0;
    Flight first, of_model, again;
    Prepare(ops, &first);
    Prepare(ops, &of_model);
    Prepare(ops, &again);
    for (Flight* f : {&first, &of_model, &again}) f->batch.atomic = atomic;
    Submit(&first, &of_model);
    Finish(of_model.done);
    machine_.loop.RunFor(step.amount * 20);
    bool shown = first.done;
    engine_->Endure(step.amount % 2 == 0 ? Trouble::kPowerLoss : Trouble::kKill);
    machine_.loop.Post([&] { engine_->store()->Submit(&again.batch); });
    Finish(again.done);
    RC_ASSERT(again.batch.code == Code::kOk);
    std::set<bool> arrived;
    for (size_t i = 0; i < ops.size(); i++) {
      const Op& op = again.ops[i];
      const Op& expected = of_model.ops[i];
      RC_ASSERT(CodeName(op.code) == CodeName(expected.code));
      if (op.code != Code::kOk) continue;
      arrived.insert(op.replayed);
      if (shown) RC_ASSERT(op.replayed);
      Op comparable = op;
      comparable.replayed = expected.replayed;
      comparable.original_kind = expected.original_kind;
      RC_ASSERT(ResultText(comparable) == ResultText(expected));
    }
    if (atomic) RC_ASSERT(arrived.size() <= 1u);
  }

  void RunNamespace(const Step& step) {
    int i = step.amount % 3;
    std::string name(kNamespaceNames[i]);
    const Namespace* now = model_.Namespaces()->Find(name);
    NamespaceSettings settings = now->settings;
    settings.token_horizon_ms = kHorizonMs[step.mode % 3];
    settings.token_required = step.mode == 4 && i == 2;
    PutBoth(name, step.mode == 1 ? now->version + 1 : now->version, settings);
  }
  void PutBoth(const std::string& name, uint64_t version, const NamespaceSettings& settings) {
    Result<Namespace> r = Status(Code::kInternal), r_of_model = Status(Code::kInternal);
    bool done = false, done_of_model = false;
    machine_.loop.Post([&] {
      engine_->store()->PutNamespace(name, version, settings, [&](Result<Namespace> n) { r = n, done = true; });
      model_.PutNamespace(name, version, settings, [&](Result<Namespace> n) { r_of_model = n, done_of_model = true; });
    });
    Finish(done);
    Finish(done_of_model);
    RC_ASSERT(CodeName(r.code()) == CodeName(r_of_model.code()));
    if (!r.ok()) return;
    RC_ASSERT(r->id == r_of_model->id);
    RC_ASSERT(r->version == r_of_model->version);
    RC_ASSERT(r->settings == r_of_model->settings);
    RC_ASSERT(r->tokens_known_since_us == r_of_model->tokens_known_since_us);
  }

  // A group's version is another one than its namesake's.
  using VersionKey = std::tuple<NamespaceId, std::string_view, GroupRole>;
  static VersionKey VersionOf(const Op& op) { return {op.ns, op.name, op.group}; }
  static std::vector<std::string> ListedText(const std::vector<CounterEntry>& listed) {
    std::vector<std::string> out;
    for (const CounterEntry& e : listed) out.push_back(EntryText(e));
    return out;
  }
  static std::string EntryText(const CounterEntry& e) {
    return fmt::format("{} = {} until {} written {}", e.name, e.value, e.expiry_ms, e.last_write_us);
  }
  ScanOp RunScan(EventStore* store, ScanOp op) {
    bool done = false;
    op.owner = &done;
    op.on_done = [](ScanOp* o) { *static_cast<bool*>(o->owner) = true; };
    machine_.Run([&] { store->Scan(&op); }, &done);
    RC_ASSERT(op.status.ok());
    return op;
  }
  std::vector<std::string> Listing(EventStore* store, NamespaceId ns, ScanOp::Order order) {
    std::vector<std::string> out;
    for (const auto& e : RunScan(store, {.order = order, .ns = ns}).entries) out.push_back(EntryText(e));
    return out;
  }
  std::vector<std::string> ByHash(EventStore* store, NamespaceId ns) {
    std::vector<std::string> out;
    uint64_t cursor = 0;
    do {
      ScanOp page = RunScan(store, {.ns = ns, .cursor = cursor, .limit = 2});
      for (const auto& e : page.entries) out.push_back(EntryText(e));
      cursor = page.next_cursor;
    } while (cursor != 0);
    return out;
  }

  // The events with a token one by one; of those without, which may share a record, the sums. A counter's end by expiry
  // is an event or not, as the engine likes.
  std::string EventsText(EventStore* store, NamespaceId ns, std::string_view name) {
    bool done = false;
    EventsOp op{.ns = ns, .name = std::string(name), .limit = 10'000};
    op.owner = &done;
    op.on_done = [](EventsOp* o) { *static_cast<bool*>(o->owner) = true; };
    machine_.Run([&] { store->Events(&op); }, &done);
    RC_ASSERT(op.status.ok());
    std::string out;
    uint64_t adds = 0, added = 0;
    Position last = 0;
    for (const EventEntry& e : op.events) {
      RC_ASSERT(e.position > last);
      last = e.position;
      if (e.token.empty()) {
        if (e.kind == OpKind::kAdd) adds += e.events, added += static_cast<uint64_t>(e.applied);
        continue;
      }
      RC_ASSERT(e.events == 1u);
      int64_t delta = e.kind == OpKind::kAdd || e.kind == OpKind::kSet ? e.delta : 0;
      out += fmt::format("{} {} {} by {} to {} at {} token {}\n", static_cast<int>(e.kind), static_cast<int>(e.outcome),
                         delta, e.applied, e.value, e.event_us, e.token);
    }
    return out + fmt::format("{} more adds of {}", adds, static_cast<int64_t>(added));
  }
  std::string SourceText(EventStore* store) {
    bool done = false;
    std::string out;
    machine_.Run(
        [&] {
          store->FindSources(kAnchor, [&](Result<std::vector<SourceState>> r) {
            for (const SourceState& s : *r) {
              out += fmt::format("{} {} {} {} {}:", s.offset, s.fingerprint.hi, s.label, s.taken, s.refused);
              for (const auto* marks : {&s.marks, &s.ends}) {
                for (const SourceMark& m : *marks) {
                  out += fmt::format(" {} {} {} {}", m.offset, m.fingerprint.lo, m.taken, m.refused);
                }
                out += '\n';
              }
            }
            done = true;
          });
        },
        &done);
    return out;
  }

  Machine machine_;
  std::unique_ptr<EngineUnderTest> engine_;
  MemoryStore model_;
  Micros start_us_ = 0;
  std::set<std::string> kept_;
  std::map<VersionKey, uint64_t> versions_, versions_of_model_;
  uint64_t offset_ = 0;
  int crash_tokens_ = 0;
};

class Equivalence : public testing::TestWithParam<EngineKind> {};

TEST_P(Equivalence, AnyHistoryOnTheEngineEqualsTheSameHistoryOnTheModel) {
  bool holds = rc::check([] {
    auto steps = *rc::gen::resize(kStepsMax, rc::gen::container<std::vector<Step>>(AnyStep()));
    Pair pair(GetParam());
    for (const Step& step : steps) pair.Run(step);
    pair.Compare();
  });
  EXPECT_TRUE(holds) << "rapidcheck printed the smallest history and its seed above";
}

std::vector<EngineKind> EnginesLeftAlone() {
  std::vector<EngineKind> kinds;
  for (const EngineKind& kind : AllEngines()) {
    if (kind.troubles.empty()) kinds.push_back(kind);
  }
  return kinds;
}
INSTANTIATE_TEST_SUITE_P(Engine, Equivalence, testing::ValuesIn(EnginesLeftAlone()), EngineName);

}  // namespace
}  // namespace quipu::store
