// Several ops in one step: atomic, all or nothing, tied to a version or to a source's progress.
#include "model/name.h"
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Batches : public StoreContract {
 protected:
  static constexpr SourceId kSource{1, 2}, kAnchor{3, 4};
  SourceStep Step(uint64_t from, uint64_t to) {
    return {.id = kSource, .anchor = kAnchor, .fingerprint = {from, to}, .from = from, .to = to, .label = "access.log"};
  }
  RanBatch RunStep(const SourceStep& step, std::vector<Op> ops) { return Run(std::move(ops), {.source = &step}); }

  // Nothing of the batch happened: each op has an error, and the counter, its version and the tokens are as before.
  void ExpectNothing(const std::vector<Op>& ops, BatchOptions options, size_t failed_index, Code failed_code) {
    Op before = Do(Get("c"));
    uint64_t counters = store().CountCounters(kDefaultNamespace);
    RanBatch ran = Run(ops, options);
    EXPECT_EQ(ran.code, Code::kConditionNotMet);
    EXPECT_EQ(ran.failed_index, failed_index);
    for (size_t i = 0; i < ran.ops.size(); i++) {
      EXPECT_EQ(ran.ops[i].code, i == failed_index ? failed_code : Code::kConditionNotMet) << i;
    }
    Op after = Do(Get("c"));
    EXPECT_EQ(ResultText(after), ResultText(before));
    EXPECT_EQ(after.version, before.version);
    EXPECT_EQ(store().CountCounters(kDefaultNamespace), counters);
    for (const Op& op : ops) {
      if (op.token.empty()) continue;
      EXPECT_EQ(Do(TokenOutcome(op.name, op.token)).code, Code::kNotFound) << op.token;
    }
  }
};
QUIPU_CONTRACT_ON_ALL_ENGINES(Batches);

TEST_P(Batches, AtomicOnesRunInOrderWithTheirErrorsLeftStanding) {
  Do(Set("high", kInt64Max));
  RanBatch ran = Run({Add("c", 1), Add("high", 1), Add("c", 2), Get("c")}, {.atomic = true});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_EQ(ran.ops[1].code, Code::kOverflow);
  EXPECT_EQ(ran.ops[3].value, 3);
  EXPECT_EQ(Value("c"), 3);
}

TEST_P(Batches, AFailedVersionCheckUndoesAnAtomicOne) {
  Do(Add("c", 5));
  uint64_t version = Do(Get("c")).version;
  Do(Add("c", 1));
  ExpectNothing({Add("c", 10, "t1"), Add("new", 1, "t2"), CheckVersion("c", version), Add("c", 20)}, {.atomic = true},
                2, Code::kConditionNotMet);
  version = Do(Get("c")).version;
  RanBatch ran =
      Run({CheckVersion("c", version), CheckVersion("new", 0), Add("c", 10), Add("new", 1)}, {.atomic = true});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_EQ(Value("c"), 16);
}

TEST_P(Batches, AnErrorUndoesAnAllOrNothingOne) {
  Do(Set("c", 5));
  Do(Set("high", kInt64Max));
  ExpectNothing({Add("c", 10, "t1"), Add("fresh", 1, "t2"), Add("high", 1, "t3"), Add("c", 1)},
                {.all_or_nothing = true}, 2, Code::kOverflow);
  ExpectNothing({Clear("c", "t4"), Delete("high", "t5"), In(99, Add("x", 1))}, {.all_or_nothing = true}, 2,
                Code::kNamespaceNotFound);
  ExpectNothing({Expire("c", ExpireRule::kSet, NowMs() + 1000, "t6"), Add("c", 1, TokenOf(NowUs() - 25 * kHour))},
                {.all_or_nothing = true}, 1, Code::kTokenExpired);
  EXPECT_EQ(Value("high"), kInt64Max);
}

// Name and token together read alike, and are two tokens.
TEST_P(Batches, AnAllOrNothingOneTellsTokensOfDifferentCountersApart) {
  Do(Set("c/d", kInt64Max));
  ExpectNothing({Add("c", 1, "d/t"), Add("c/d", 1, "t")}, {.all_or_nothing = true}, 1, Code::kOverflow);
  Do(Set("c/d", 1));
  EXPECT_EQ(Run({Add("c", 1, "d/t"), Add("c/d", 2, "t")}, {.all_or_nothing = true}).code, Code::kOk);
}

TEST_P(Batches, ARefusalIsAnErrorInAnAllOrNothingOne) {
  Do(Set("c", 5));
  ExpectNothing({Add("c", 1, "t1"), Bounded(Add("d", 11, "t2"), 0, 10)}, {.all_or_nothing = true}, 1,
                Code::kConditionNotMet);
  ExpectNothing({Bounded(Add("c", -6), 0, 10), Add("d", 1, "t3")}, {.all_or_nothing = true}, 0, Code::kConditionNotMet);
}

TEST_P(Batches, AConditionOnEachOfSeveralCountersHoldsOrNothingHappens) {
  Do(Set("c", 3));
  Do(Set("d", 1));
  std::vector<Op> take = {Bounded(Add("c", -1), 0, 99), Bounded(Add("d", -1), 0, 99)};
  EXPECT_EQ(Run(take, {.all_or_nothing = true}).code, Code::kOk);
  ExpectNothing(take, {.all_or_nothing = true}, 1, Code::kConditionNotMet);
  EXPECT_EQ(Value("c"), 2);
  EXPECT_EQ(Value("d"), 0);
}

TEST_P(Batches, AnAllOrNothingOneReplaysAsAWhole) {
  std::vector<Op> ops = {Add("c", 1, "t"), Add("d", 2, "t"), Set("e", 3, "t")};
  RanBatch first = Run(ops, {.all_or_nothing = true});
  EXPECT_EQ(first.code, Code::kOk);
  Do(Add("c", 100));
  RanBatch again = Run(ops, {.all_or_nothing = true});
  EXPECT_EQ(again.code, Code::kOk);
  for (size_t i = 0; i < ops.size(); i++) {
    EXPECT_TRUE(again.ops[i].replayed);
    EXPECT_EQ(again.ops[i].value, first.ops[i].value);
  }
  EXPECT_EQ(Value("c"), 101);
}

TEST_P(Batches, OneThatWasUndoneMayBeSentAgainWithItsTokens) {
  Do(Set("d", 10));
  std::vector<Op> ops = {Add("c", 1, "t1"), Bounded(Add("d", 1, "t2"), 0, 10)};
  EXPECT_EQ(Run(ops, {.all_or_nothing = true}).code, Code::kConditionNotMet);
  Do(Set("d", 0));
  RanBatch ran = Run(ops, {.all_or_nothing = true});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_FALSE(ran.ops[0].replayed || ran.ops[1].replayed);
}

// The engines under test hold 128 KiB in one commit.
TEST_P(Batches, AnAtomicOneNeedsNoMoreRoomThanItsRecordsTake) {
  std::vector<Op> sets, deletes;
  for (int i = 0; i < 1500; ++i) {
    sets.push_back(Set(Keep(fmt::format("c{:05}", i)), i));
    deletes.push_back(If(Condition::kIfExists, Delete(sets.back().name)));
  }
  EXPECT_EQ(Run(deletes, {.atomic = true}).code, Code::kOk);
  EXPECT_EQ(Run(sets, {.atomic = true}).code, Code::kOk);
  for (Op& op : sets) op.joined = true;
  EXPECT_EQ(Run(sets, {.atomic = true}).code, Code::kOk);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 1500u);
  EXPECT_EQ(Run(deletes, {.atomic = true}).code, Code::kOk);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
}

TEST_P(Batches, AnAtomicOneThatOneCommitCannotHoldIsRefusedWithItsSize) {
  std::vector<Op> ops;
  for (int i = 0; i < 400; ++i) ops.push_back(Set(Keep(fmt::format("{:04}{}", i, std::string(1000, 'x'))), i));
  RanBatch ran = Run(ops, {.atomic = true});
  if (store().Info().commit_bytes_max == 0) {
    EXPECT_EQ(ran.code, Code::kOk);
    return;
  }
  EXPECT_EQ(ran.code, Code::kTooLarge);
  EXPECT_GT(ran.commit_bytes, store().Info().commit_bytes_max);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
  ops.resize(20);
  EXPECT_EQ(Run(ops, {.atomic = true}).commit_bytes, 0u);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 20u);
}

TEST_P(Batches, GroupsThatABatchMakesAndDeletesAgainFitOneCommit) {
  std::vector<Op> ops;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 200; ++i) ops.push_back(Add(Keep(fmt::format("h[{}.{}]", round, i)), 1));
    ops.push_back(Delete("h"));
    ops.back().group = GroupRole::kWhole;
  }
  EXPECT_EQ(Run(ops, {.atomic = true}).code, Code::kOk);
  EXPECT_EQ(store().CountCounters(kDefaultNamespace), 0u);
}

Op Joined(Op op) {
  op.joined = true;
  return op;
}

// The names are of several shards where there are some.
TEST_P(Batches, AnErrorInARunOfJoinedOpsUndoesThatRunAndNothingElse) {
  Do(Set("high", kInt64Max));
  Do(Set("c", 5));
  RanBatch ran = Run({Add("a", 1), Set("c", 7), Joined(Set("fresh", 1)), Joined(Add("high", 1)), Joined(Set("d", 1)),
                      Add("c", 1), Set("e", 1), Joined(Set("f", 2))},
                     {.atomic = true});
  EXPECT_EQ(ran.code, Code::kOk);
  for (size_t i = 0; i < ran.ops.size(); ++i) {
    EXPECT_EQ(ran.ops[i].code, i >= 1 && i <= 4 ? Code::kOverflow : Code::kOk) << i;
  }
  EXPECT_EQ(Value("a"), 1);
  EXPECT_EQ(Value("c"), 6);
  EXPECT_FALSE(Exists("fresh") || Exists("d"));
  EXPECT_EQ(Value("high"), kInt64Max);
  EXPECT_EQ(Value("e") + Value("f"), 3);
}

TEST_P(Batches, ARunThatMeetsTheQuotaMakesNoCounter) {
  NamespaceId ns = MakeNamespace("small", {.counters_max = 3});
  Do(In(ns, Add("a", 1)));
  auto run = [&](std::vector<Op> ops) {
    for (size_t i = 0; i < ops.size(); ++i) {
      ops[i].ns = ns;
      ops[i].hash = HashCounter(ns, ops[i].name);
      ops[i].joined = i > 0;
    }
    return Run(ops, {.atomic = true});
  };
  RanBatch ran = run({Set("a", 2), Set("b", 2), Set("c", 2), Set("d", 2)});
  for (const Op& op : ran.ops) EXPECT_EQ(op.code, Code::kQuotaExceeded);
  EXPECT_EQ(Value("a", ns), 1);
  EXPECT_EQ(store().CountCounters(ns), 1u);
  for (const Op& op : run({Set("a", 2), Set("b", 2), Set("b", 3), Set("c", 2)}).ops) EXPECT_EQ(op.code, Code::kOk);
  EXPECT_EQ(Value("b", ns), 3);
  EXPECT_EQ(store().CountCounters(ns), 3u);
}

TEST_P(Batches, ARunIsJudgedByWhatTheBatchDidBeforeItAndAfterARunThatFailed) {
  Do(Set("high", kInt64Max - 1));
  uint64_t version = Do(Get("c")).version;
  RanBatch ran = Run({Add("high", 1), Set("c", 1), Joined(Add("high", 1)), Add("high", -1), Add("high", 1),
                      Joined(Set("d", 1)), CheckVersion("c", version)},
                     {.atomic = true});
  EXPECT_EQ(ran.code, Code::kOk) << "the run that would have changed c has failed";
  EXPECT_EQ(ran.ops[2].code, Code::kOverflow);
  EXPECT_EQ(ran.ops[5].code, Code::kOk);
  EXPECT_EQ(Value("d"), 1);
  EXPECT_EQ(Value("high"), kInt64Max);
}

TEST_P(Batches, ASourceAdvancesWithItsCountsAndOnlyFromWhereItStands) {
  EXPECT_EQ(RunStep(Step(0, 100), {Add("c", 1), Add("c", 1)}).source_offset, 100u);
  RanBatch again = RunStep(Step(0, 100), {Add("c", 1), Add("c", 1)});
  EXPECT_EQ(again.code, Code::kConditionNotMet);
  EXPECT_EQ(again.source_offset, 100u);
  for (const Op& op : again.ops) EXPECT_EQ(op.code, Code::kConditionNotMet);
  EXPECT_EQ(RunStep(Step(150, 200), {Add("c", 1)}).code, Code::kConditionNotMet);
  EXPECT_EQ(RunStep(Step(100, 250), {Add("c", 1)}).code, Code::kOk);
  EXPECT_EQ(Value("c"), 3);
}

TEST_P(Batches, ASourceNeverSeenStandsAtZero) {
  RanBatch ran = RunStep(Step(5, 10), {Add("c", 1)});
  EXPECT_EQ(ran.code, Code::kConditionNotMet);
  EXPECT_EQ(ran.source_offset, 0u);
  EXPECT_FALSE(Exists("c"));
  EXPECT_TRUE(SourcesOf(kAnchor).empty());
}

TEST_P(Batches, ASourceMayAdvanceWithoutCounts) {
  EXPECT_EQ(RunStep(Step(0, 10), {}).code, Code::kOk);
  EXPECT_EQ(RunStep(Step(10, 20), {}).source_offset, 20u);
}

TEST_P(Batches, ErrorsOfSingleOpsDoNotHoldASourceBack) {
  Do(Set("high", kInt64Max));
  RanBatch ran = RunStep(Step(0, 10), {Add("high", 1), Add("c", 1)});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_EQ(ran.ops[0].code, Code::kOverflow);
  EXPECT_EQ(SourcesOf(kAnchor)[0].offset, 10u);
}

TEST_P(Batches, ASourceNeedsNoTokens) {
  NamespaceId ns = MakeNamespace("strict", {.token_required = true});
  EXPECT_EQ(Do(In(ns, Add("c", 1))).code, Code::kTokenRequired);
  RanBatch ran = RunStep(Step(0, 10), {In(ns, Add("c", 1)), In(ns, Add("d", 1))});
  EXPECT_EQ(ran.code, Code::kOk);
  EXPECT_EQ(ran.ops[0].code, Code::kOk);
  EXPECT_EQ(Value("c", ns), 1);
  EXPECT_EQ(SourcesOf(kAnchor)[0].refused, 0u);
}

TEST_P(Batches, AnErrorThatMayPassHoldsASourceBackAndNothingOfItsStepHappens) {
  NamespaceId ns = MakeNamespace("small", {.counters_max = 2});
  Do(In(ns, Add("a", 1)));
  RanBatch ran = RunStep(Step(0, 10), {In(ns, Add("a", 1)), In(ns, Add("b", 1)), In(ns, Add("c", 1))});
  EXPECT_EQ(ran.code, Code::kConditionNotMet);
  EXPECT_EQ(ran.failed_index, 2u);
  EXPECT_EQ(ran.ops[2].code, Code::kQuotaExceeded);
  EXPECT_EQ(ran.source_offset, 0u);
  EXPECT_EQ(Value("a", ns), 1);
  EXPECT_FALSE(Exists("b", ns));
  EXPECT_TRUE(SourcesOf(kAnchor).empty());
  EXPECT_EQ(RunStep(Step(0, 5), {In(ns, Add("a", 1)), In(ns, Add("b", 1))}).code, Code::kOk);
}

TEST_P(Batches, ASourceStaysWhereAnAllOrNothingOneFails) {
  SourceStep step = Step(0, 10);
  ExpectNothing({Add("c", 1), Bounded(Add("d", 1), 0, 0)}, {.all_or_nothing = true, .source = &step}, 1,
                Code::kConditionNotMet);
  EXPECT_TRUE(SourcesOf(kAnchor).empty());
}

TEST_P(Batches, SourcesAreFoundByTheirAnchorFurthestFirst) {
  Micros before = NowUs();
  for (uint64_t i = 1; i <= 3; i++) {
    SourceStep step{
        .id = {7, i}, .anchor = i == 2 ? SourceId{9, 9} : kAnchor, .fingerprint = {i, i}, .to = i * 10, .label = "f"};
    Run({}, {.source = &step});
  }
  std::vector<SourceState> found = SourcesOf(kAnchor);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].id, (SourceId{7, 3}));
  EXPECT_EQ(found[0].offset, 30u);
  EXPECT_EQ(found[0].fingerprint, (SourceId{3, 3}));
  EXPECT_EQ(found[0].label, "f");
  EXPECT_GE(found[0].updated_us, before);
  EXPECT_EQ(found[1].offset, 10u);
  EXPECT_TRUE(SourcesOf({8, 8}).empty());
}

TEST_P(Batches, ASourceKeepsItsMarksAndWhereReadersEnded) {
  const std::vector<SourceMark> marks = {{.offset = 3, .fingerprint = {3, 3}, .taken = 1, .refused = 0},
                                         {.offset = 10, .fingerprint = {4, 4}, .taken = 2, .refused = 1}};
  SourceStep first = Step(0, 10);
  first.marks = marks;
  first.reader = SourceReader::kNew;
  first.refused = 1;
  EXPECT_EQ(RunStep(first, {Add("c", 1), Add("c", 1)}).code, Code::kOk);
  EXPECT_EQ(RunStep(Step(10, 20), {Add("c", 1)}).code, Code::kOk);
  const std::vector<SourceMark> more = {{.offset = 25, .fingerprint = {5, 5}, .taken = 0, .refused = 0}};
  SourceStep next = Step(20, 30);
  next.marks = more;
  next.reader = SourceReader::kNew;
  EXPECT_EQ(RunStep(next, {}).code, Code::kOk);
  EXPECT_EQ(RunStep(next, {}).code, Code::kConditionNotMet) << "a step that comes twice leaves nothing twice";
  const SourceState state = SourcesOf(kAnchor)[0];
  const SourceMark third = {.offset = 25, .fingerprint = {5, 5}, .taken = 3, .refused = 1};
  const SourceMark end = {.offset = 20, .fingerprint = {10, 20}, .taken = 3, .refused = 1};
  EXPECT_EQ(state.marks, (std::vector<SourceMark>{marks[0], marks[1], third}));
  EXPECT_EQ(state.ends, std::vector<SourceMark>{end});
}

TEST_P(Batches, ASourceKnowsHowManyRecordsWereTakenAndRefused) {
  Do(Set("high", kInt64Max));
  const std::vector<uint32_t> records = {5, 70};
  SourceStep step = Step(0, 10);
  step.refused = 2;
  step.records = records;
  RunStep(step, {Add("high", 1), Add("c", 70)});
  RunStep(Step(10, 20), {Add("c", 1), Bounded(Add("d", 1), 0, 0)});
  EXPECT_EQ(SourcesOf(kAnchor)[0].taken, 71u);
  EXPECT_EQ(SourcesOf(kAnchor)[0].refused, 2u + 5u + 1u);
}

TEST_P(Batches, AStepReplacesAnchorFingerprintAndLabel) {
  Run({}, {.source = std::make_unique<SourceStep>(Step(0, 10)).get()});
  SourceStep step{
      .id = kSource, .anchor = {5, 5}, .fingerprint = {6, 6}, .from = 10, .to = 20, .label = "access.log.1"};
  Run({}, {.source = &step});
  EXPECT_TRUE(SourcesOf(kAnchor).empty());
  std::vector<SourceState> found = SourcesOf({5, 5});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].offset, 20u);
  EXPECT_EQ(found[0].label, "access.log.1");
}

// Reads, writes and replays wait for different things, so they may be done in another order than they are decided in.
TEST_P(Batches, AreDecidedInTheOrderOfTheirSubmissionAndDoneOnceEach) {
  constexpr size_t kBatches = 21;
  struct Tracked {
    Op op;
    Batch batch;
    int times_done = 0;
    size_t* done = nullptr;
    bool* all_done = nullptr;
  };
  size_t done = 0;
  bool all_done = false;
  std::vector<Tracked> tracked(kBatches);
  for (size_t i = 0; i < kBatches; i++) {
    Tracked& t = tracked[i];
    t.op = i % 3 == 0 ? Get("c") : Add("c", 1, i % 3 == 1 ? "" : "t");
    t.op.hash = HashCounter(kDefaultNamespace, "c");
    t.batch.ops = {&t.op, 1};
    t.batch.owner = &t;
    t.batch.on_done = [](Batch* b) {
      auto* self = static_cast<Tracked*>(b->owner);
      self->times_done++;
      *self->all_done = ++*self->done == kBatches;
    };
    t.done = &done;
    t.all_done = &all_done;
  }
  auto submit_all = [&] {
    for (Tracked& t : tracked) store().Submit(&t.batch);
    EXPECT_EQ(done, 0u) << "on_done ran inside Submit";
  };
  machine_.Run(submit_all, &all_done);
  int64_t value = 0, value_of_token = 0;
  for (size_t i = 0; i < kBatches; i++) {
    const Op& op = tracked[i].op;
    EXPECT_EQ(tracked[i].times_done, 1) << i;
    EXPECT_EQ(op.replayed, i % 3 == 2 && i > 2) << i;
    if (i % 3 != 0 && !op.replayed) value++;
    if (i == 2) value_of_token = value;
    EXPECT_EQ(op.value, op.replayed ? value_of_token : value) << i;
  }
}

}  // namespace
}  // namespace quipu::store
