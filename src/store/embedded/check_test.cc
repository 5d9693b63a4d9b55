#include "store/embedded/check.h"

#include "store/embedded/settler.h"
#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

CheckReport Check(World* world) {
  auto report = CheckDataDirectory(&world->disk(), World::kDir, {});
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : CheckReport();
}
std::string Findings(const CheckReport& report) {
  std::string text;
  for (const CheckFinding& f : report.findings) text += fmt::format("{}: {}\n", f.place, f.text);
  return text;
}

// Counters of every kind, half of it settled.
void Fill(World* world) {
  ASSERT_TRUE(world->Start().ok());
  NamespaceId other = world->MakeNamespace("other", {});
  int64_t soon = world->clock().WallMicros() / 1000 + 60'000;
  for (int round = 0; round < 2; ++round) {
    world->Add("plain", 5 + round);
    world->Add("plain", 7);
    world->Add("plain", 11, fmt::format("token-{}", round));
    world->Add("plain", 11, fmt::format("token-{}", round));
    world->Add("plain", 1, "in the other", other);
    world->Add(fmt::format("new in round {}", round), -3, "x");
    world->Do({.kind = OpKind::kSet, .name = "set", .token = fmt::format("set-{}", round), .delta = 99});
    world->Do({.kind = OpKind::kClear, .name = "set"});
    world->Do({.kind = OpKind::kAdd,
               .expire_rule = ExpireRule::kSet,
               .name = "soon gone",
               .delta = 4,
               .expire_at_ms = soon + round});
    world->Add("deleted", 40);
    world->Do({.kind = OpKind::kDelete, .name = "deleted", .token = fmt::format("delete-{}", round)});
    world->Do({.kind = OpKind::kAdd,
               .bounded = true,
               .name = "bounded",
               .token = fmt::format("refused-{}", round),
               .delta = 100,
               .ceiling = 50});
    world->Do(
        {.kind = OpKind::kAdd, .saturate = true, .bounded = true, .name = "bounded", .delta = 100, .ceiling = 50});
    world->Do({.kind = OpKind::kExpire, .expire_rule = ExpireRule::kSet, .name = "plain", .expire_at_ms = soon * 2});
    if (round == 0) world->Settle();
  }
}

TEST(Check, FindsNothingInAnIntactDirectoryAndSaysWhatItRecounted) {
  World world;
  Fill(&world);
  world.Stop();
  CheckReport report = Check(&world);
  EXPECT_EQ(Findings(report), "");
  EXPECT_EQ(report.counters, 7u);
  EXPECT_EQ(report.recounted_full, 8u);  // with the deleted one
  EXPECT_EQ(report.recounted_partial, 0u);
  EXPECT_EQ(report.namespaces, 2u);
  EXPECT_EQ(report.events, 25u);
  EXPECT_EQ(report.tokens, 11u);
  EXPECT_EQ(report.journal_records, 12u);
  EXPECT_GT(report.journal_frames, 20u);
}

// Every file with its bytes.
std::map<std::string, std::string> Snapshot(World* world) {
  std::map<std::string, std::string> files;
  for (const auto& [path, size] : world->disk().Files()) files[path] = world->disk().Content(path);
  return files;
}

TEST(Check, ChangesNothingOnTheDiskInWhateverStateItIs) {
  for (int state = 0; state < 5; ++state) {
    World world;
    Fill(&world);
    state == 0 ? world.Stop() : world.Crash(World::End::kPowerLoss);
    if (state == 1) {
      // What an interrupted settle leaves behind.
      ASSERT_TRUE(world.disk().Open("data/settled/run-7.tmp", rt::OpenMode::kCreate).ok());
    }
    if (state == 2) world.disk().Lose("data/lock");
    if (state == 3) {  // the journal still holds everything
      for (const auto& [path, size] : world.disk().Files()) {
        if (path.find("/settled/") != std::string::npos) world.disk().Lose(path);
      }
    }
    if (state == 4) world.disk().FlipBit("data/settled/CURRENT", 20, 1);
    const auto before = Snapshot(&world);
    const auto counts = world.disk().counts();
    auto report = CheckDataDirectory(&world.disk(), World::kDir, {});
    ASSERT_TRUE(report.ok()) << "state " << state << ": " << report.status().ToString();
    EXPECT_EQ(report->findings_total == 0, state < 4) << "state " << state << ": " << Findings(*report);
    EXPECT_EQ(Snapshot(&world), before) << "state " << state;
    for (const auto call :
         {sim::Call::kWrite, sim::Call::kLogWrite, sim::Call::kSync, sim::Call::kSyncDir, sim::Call::kRename}) {
      EXPECT_EQ(world.disk().counts().calls[size_t(call)], counts.calls[size_t(call)]) << "state " << state;
    }
  }
}

TEST(Check, ADirectoryThatWasNeverWrittenToIsEmptyAndInOrder) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  world.Crash(World::End::kKill);
  EXPECT_EQ(Findings(Check(&world)), "");
}

// Adds without a token are summed into one record of the frame, and the refusal stands between two of them.
TEST(Check, FindsNothingWhereARefusalStandsBetweenTwoAddsOfOneFrame) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const Op add{.kind = OpKind::kAdd, .name = "c", .delta = 5};
  const Op refused{.kind = OpKind::kAdd, .bounded = true, .name = "c", .token = "refused", .delta = 100, .ceiling = 50};
  std::vector<Op> ops = {add, add, refused, add};
  for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
  bool done = false;
  Batch batch{.ops = ops, .on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; }, .owner = &done};
  world.store()->Submit(&batch);
  world.Wait(&done);
  EXPECT_EQ(ops[1].position, ops[0].position);
  EXPECT_EQ(ops[2].outcome, Outcome::kRefused);
  EXPECT_EQ(ops[3].value, 15);
  world.Stop();
  EXPECT_EQ(Findings(Check(&world)), "");
}

// The directory of Fill with rows added to the sorted runs that no settle would write.
CheckReport CheckWith(const std::function<void(SettledStore*, SettleRun*)>& plant) {
  World world;
  Fill(&world);
  world.Stop();
  {
    auto settled = SettledStore::Open(&world.disk(), SettledDir(World::kDir), {});
    EXPECT_TRUE(settled.ok());
    auto run = (*settled)->BeginRun();
    EXPECT_TRUE(run.ok());
    plant(settled->get(), run->get());
    EXPECT_TRUE((*run)->Commit().ok());
  }
  return Check(&world);
}
CounterRef Ref(std::string_view name) { return {.ns = 0, .hash = HashCounter(0, name), .name = name}; }
// The events of a counter; their tokens point into `tokens`.
std::vector<SettledEvent> EventsOf(SettledStore* settled, const CounterRef& counter, std::deque<std::string>* tokens) {
  std::vector<SettledEvent> events;
  const auto add = [&](const SettledEvent& e) {
    events.push_back(e);
    events.back().token = PackToken(tokens->emplace_back(TokenText(e.token)));
    return true;
  };
  EXPECT_TRUE(settled->ScanEvents(counter, 0, add).ok());
  return events;
}

struct Plant {
  std::string_view name;
  void (*plant)(SettledStore*, SettleRun*);
  std::string_view place, text;  // of one of the findings
};

void ChangeCheckpoint(SettledStore* settled, SettleRun* run, void (*change)(Checkpoint*)) {
  auto c = settled->GetCounter(Ref("plain"));
  ASSERT_TRUE(c.ok() && c->has_value());
  change(&**c);
  ASSERT_TRUE(run->PutCounter(Ref("plain"), **c).ok());
}
void ChangeLastEvent(SettledStore* settled, SettleRun* run, std::string_view name, void (*change)(SettledEvent*)) {
  std::deque<std::string> tokens;
  std::vector<SettledEvent> events = EventsOf(settled, Ref(name), &tokens);
  const Position last = events.back().position;
  change(&events.back());
  // All of them are one row, known by the position of the last: of another position it is one row more.
  if (events.back().position != last) events.erase(events.begin(), events.end() - 1);
  for (const SettledEvent& e : events) ASSERT_TRUE(run->AddEvent(Ref(name), e).ok());
}
void AddToSums(SettleRun* run, std::string_view name, int64_t sum, uint64_t events) {
  const int64_t day = IntervalStart(Interval::kDay, sim::SimClock::kWallStart);
  const int64_t within = IntervalStart(Interval::kMinute, sim::SimClock::kWallStart) - day;
  const MinuteSum minute{
      .minute = static_cast<uint16_t>(within / IntervalWidth(Interval::kMinute)), .sum = sum, .events = events};
  ASSERT_TRUE(run->AddSums(Ref(name), day, {&minute, 1}).ok());
}

const Plant kPlants[] = {
    {"ACheckpointOfAnotherValue",
     [](SettledStore* s, SettleRun* run) { ChangeCheckpoint(s, run, [](Checkpoint* c) { ++c->value; }); },
     "counter plain of namespace default", "the events add up to 23, the checkpoint says 24"},
    {"ACheckpointOfAnotherPosition",
     [](SettledStore* s, SettleRun* run) { ChangeCheckpoint(s, run, [](Checkpoint* c) { ++c->position; }); },
     "counter plain of namespace default", "its last change is at position"},
    {"ACheckpointOfAnotherExpiry",
     [](SettledStore* s, SettleRun* run) { ChangeCheckpoint(s, run, [](Checkpoint* c) { ++c->expiry_ms; }); },
     "counter plain of namespace default", "by the checkpoint"},
    {"ACheckpointThatTheIndexOfExpiriesDoesNotHave",
     [](SettledStore* s, SettleRun* run) { ChangeCheckpoint(s, run, [](Checkpoint* c) { ++c->expiry_ms; }); },
     "counter plain of namespace default", "but the index of expiries does not say so"},
    {"ACheckpointWrittenAtAnotherTime",
     [](SettledStore* s, SettleRun* run) { ChangeCheckpoint(s, run, [](Checkpoint* c) { ++c->last_write_us; }); },
     "counter plain of namespace default", "last written at"},
    {"ACounterWithoutItsCheckpoint",
     [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->DeleteCounter(Ref("plain")).ok()); },
     "counter plain of namespace default", "by its events the counter exists, but it has no checkpoint"},
    {"ACheckpointOfACounterThatWasDeleted",
     [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->PutCounter(Ref("deleted"), {.position = 2}).ok()); },
     "counter deleted of namespace default", "by its events the counter is gone, but it has a checkpoint"},
    {"AnEventThatDoesNotFollow",
     [](SettledStore* s, SettleRun* run) { ChangeLastEvent(s, run, "plain", [](SettledEvent* e) { e->value += 5; }); },
     "counter plain of namespace default", "but the value before was"},
    {"AnEventOfACounterThatDidNotExist",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "plain", [](SettledEvent* e) { e->existed = false; });
     },
     "counter plain of namespace default", "says that the counter did not exist, but before it existed"},
    {"AFirstEventThatBeginsWithAValue",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "new in round 0", [](SettledEvent* e) { e->value += 5; });
     },
     "counter new in round 0 of namespace default", "the counter begins with 5"},
    {"AnAddThatAppliedAnotherAmountThanAsked",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "new in round 0", [](SettledEvent* e) { e->delta = 7; });
     },
     "counter new in round 0 of namespace default", "do not go together"},
    {"AClearThatLeavesAValue",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "set", [](SettledEvent* e) { e->value = 1, e->applied += 1; });
     },
     "counter set of namespace default", "do not go together"},
    {"AnEventBeyondWhatIsSettled",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "plain", [](SettledEvent* e) { e->position += 1000; });
     },
     "counter plain of namespace default", "settled, but only up to"},
    {"ATokenWithoutARow",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "new in round 0", [](SettledEvent* e) { e->token = PackToken("y"); });
     },
     "counter new in round 0 of namespace default", "no row for its token y"},
    {"ATokenThatCountedTwice",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "new in round 0",
                       [](SettledEvent* e) { e->position += 1, e->existed = true, e->value += e->applied; });
     },
     "counter new in round 0 of namespace default", "took effect at position 7 and again at 8, inside its horizon"},
    {"ARowOfATokenThatTellsAnotherEvent",
     [](SettledStore* s, SettleRun* run) {
       ChangeLastEvent(s, run, "new in round 0", [](SettledEvent* e) { e->content ^= 1; });
     },
     "counter new in round 0 of namespace default", "tells another event"},
    {"ARowOfATokenThatNoEventHas",
     [](SettledStore*, SettleRun* run) {
       ASSERT_TRUE(run->AddToken({.hi = 1, .lo = 2}, {.position = 3, .commit_us = sim::SimClock::kWallStart}).ok());
     },
     "data/settled", "7 rows of tokens, but 6 events that have one"},
    {"ASumOfAMinuteThatIsTooLarge", [](SettledStore*, SettleRun* run) { AddToSums(run, "plain", 1, 0); },
     "counter plain of namespace default", "the adds make 23, the stored sum says 24"},
    {"SumsWithMoreAddsThanThereAre", [](SettledStore*, SettleRun* run) { AddToSums(run, "plain", 1, 1); },
     "counter plain of namespace default", "3 adds, the stored sum has 4"},
    {"SumsOfACounterThatHasNone", [](SettledStore*, SettleRun* run) { AddToSums(run, "set", 0, 1); },
     "counter set of namespace default", "0 adds, the stored sum has 1"},
    {"ACounterWithoutItsName", [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->DeleteName(0, "plain").ok()); },
     "counter plain of namespace default", "it is not in the index of names"},
    {"ANameWithoutACounter", [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->PutName(0, "nobody").ok()); },
     "counter nobody of namespace default", "it is in the index of names, but does not exist"},
    {"ACountThatIsWrong", [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->PutMeta(CountKey(0, 0), "\x07").ok()); },
     "namespace default", "5 counters are settled, but the count says 7"},
    {"ACountThatDoesNotDecode",
     [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->PutMeta(CountKey(0, 0), "\x80").ok()); }, "data/settled",
     "the count of a namespace does not decode"},
    {"ANamespaceThatDoesNotDecode",
     [](SettledStore*, SettleRun* run) { ASSERT_TRUE(run->PutMeta(NamespaceKey(1), "x").ok()); }, "data/settled",
     "the row of namespace 1 does not decode"},
};

class CheckFinds : public testing::TestWithParam<Plant> {};
void PrintTo(const Plant& p, std::ostream* out) { *out << p.name; }
TEST_P(CheckFinds, What) {
  CheckReport report = CheckWith(GetParam().plant);
  bool found = false;
  for (const CheckFinding& f : report.findings)
    found |= f.place == GetParam().place && f.text.find(GetParam().text) != std::string::npos;
  EXPECT_TRUE(found) << Findings(report);
  EXPECT_EQ(report.findings_total, report.findings.size());
}
INSTANTIATE_TEST_SUITE_P(Plants, CheckFinds, testing::ValuesIn(kPlants),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(Check, FindsARecordInTheJournalThatDoesNotFollowWhatIsSettled) {
  World world;
  Fill(&world);
  world.Settle();
  world.Add("plain", 1);
  world.Crash(World::End::kKill);
  // The last frame says another value than the add made, with a checksum that is right.
  std::string path, frame;
  FrameHeader h, last;
  uint64_t last_at = 0;
  for (const auto& [name, size] : world.disk().Files()) {
    std::string bytes = world.disk().Content(name);
    if (bytes.size() < kSegmentHeaderBytes || !DecodeSegmentHeader(bytes).ok()) continue;
    for (uint64_t at = kSegmentHeaderBytes; at < size && DecodeFrame(std::string_view(bytes).substr(at), &h);
         at += h.frame_bytes) {
      path = name;
      last_at = at;
      last = h;
      frame = bytes.substr(at, h.frame_bytes);
    }
  }
  Record r;
  const char* p = frame.data() + kFrameHeaderBytes;
  ASSERT_TRUE(DecodeRecord(&p, frame.data() + frame.size(), last.commit_us, &r));
  ++r.counter.value;
  std::string name(r.counter.name);
  r.counter.name = name;
  EncodeCounter(r.counter, last.commit_us, frame.data() + kFrameHeaderBytes);
  SealFrame(&last, frame.data());
  world.disk().Overwrite(path, last_at, frame);
  EXPECT_NE(Findings(Check(&world))
                .find("counter plain of namespace default: position 28: 49 after 1 was applied, but "
                      "the value before was 47"),
            std::string::npos)
      << Findings(Check(&world));
}

TEST(Check, RefusesWhatIsNoDataDirectoryAndOneThatIsInUse) {
  World world;
  EXPECT_EQ(CheckDataDirectory(&world.disk(), "nowhere", {}).code(), Code::kNotFound);
  ASSERT_TRUE(world.disk().MakeDir("empty").ok());
  EXPECT_EQ(CheckDataDirectory(&world.disk(), "empty", {}).code(), Code::kNotFound);
  EXPECT_FALSE(world.disk().Exists("empty/lock"));
  ASSERT_TRUE(world.Start().ok());
  EXPECT_EQ(CheckDataDirectory(&world.disk(), World::kDir, {}).code(), Code::kAlreadyExists);
}

TEST(Check, AStoreFileThatIsMissingOrDamagedIsAFinding) {
  World world;
  Fill(&world);
  world.Stop();
  world.disk().FlipBit("data/store", 20, 1);
  EXPECT_NE(Findings(Check(&world)).find("data/store: the store file is damaged"), std::string::npos);
  world.disk().Lose("data/store");
  EXPECT_EQ(Findings(Check(&world)), "data/store: missing\n");
}

TEST(Check, GoesOnFromTheFirstEventKeptWhereRetentionDroppedOthers) {
  World world;
  world.options().settled.slice_us = 1'000'000;
  Fill(&world);
  world.loop().RunFor(3'000'000);
  world.Add("plain", 1);
  world.Settle();
  Micros now = world.clock().WallMicros();
  world.Stop();
  {
    auto settled = SettledStore::Open(&world.disk(), SettledDir(World::kDir), {});
    ASSERT_TRUE((*settled)->DropTokensBefore(now - 1'000'000).ok());
    ASSERT_TRUE((*settled)->DropEventsBefore(now - 1'000'000).ok());
  }
  CheckReport report = Check(&world);
  EXPECT_EQ(Findings(report), "");
  EXPECT_EQ(report.events, 1u);
  EXPECT_EQ(report.counters, 7u);
  EXPECT_EQ(report.recounted_full, 0u);
  EXPECT_EQ(report.recounted_partial, 7u);
}

TEST(Check, KeepsTheFirstFindingsAndCountsAll) {
  World world;
  Fill(&world);
  world.Stop();
  {
    auto settled = SettledStore::Open(&world.disk(), SettledDir(World::kDir), {});
    auto run = (*settled)->BeginRun();
    for (int i = 0; i < 250; ++i) ASSERT_TRUE((*run)->PutName(0, fmt::format("nobody {:03}", i)).ok());
    ASSERT_TRUE((*run)->Commit().ok());
  }
  CheckReport report = Check(&world);
  EXPECT_EQ(report.findings.size(), 100u);
  EXPECT_EQ(report.findings_total, 250u);
}

}  // namespace
}  // namespace quipu::store
