// What a token promises: counted once, the first answer again, nothing quietly counted that is too old to be known.
#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Tokens : public StoreContract {
 protected:
  // The same request once more, after whatever happened since, must repeat `first` and change nothing.
  void ExpectReplay(const Op& request, const Op& first) {
    Op before = Do(In(request.ns, Get(request.name)));
    Op again = Do(request);
    EXPECT_TRUE(again.replayed);
    EXPECT_EQ(again.position, first.position);
    again.replayed = false;
    again.original_kind = first.original_kind;
    EXPECT_EQ(ResultText(again), ResultText(first));
    Op after = Do(In(request.ns, Get(request.name)));
    EXPECT_EQ(ResultText(after), ResultText(before));
    EXPECT_EQ(after.version, before.version);
  }
};
QUIPU_CONTRACT_ON_ALL_ENGINES(Tokens);

TEST_P(Tokens, AnAddSentTwiceCountsOnce) {
  Op first = Do(Add("c", 5, "t"));
  EXPECT_FALSE(first.replayed);
  EXPECT_TRUE(first.is_protected);
  ExpectReplay(Add("c", 5, "t"), first);
  EXPECT_EQ(Value("c"), 5);
}

TEST_P(Tokens, AReplayReturnsTheFirstAnswerNotTodaysValue) {
  Do(Add("c", 1));
  Op first = Do(Add("c", 5, "t"));
  Do(Add("c", 100));
  Do(Expire("c", ExpireRule::kSet, NowMs() + 900'000));
  ExpectReplay(Add("c", 5, "t"), first);
  EXPECT_EQ(Value("c"), 106);
}

TEST_P(Tokens, EveryKindOfMutationReplaysItsFirstAnswer) {
  int64_t later_ms = NowMs() + 900'000;
  std::vector<Op> requests = {
      Add("c", 5, "add"),
      Saturating(Add("c", 50, "saturated"), 0, 30),
      Bounded(Add("c", 50, "refused"), 0, 30),
      If(Condition::kIfMissing, Add("c", 1, "condition")),
      Expiring(Add("c", 1, "expiring"), ExpireRule::kSet, later_ms),
      Set("c", 12, "set"),
      Expire("c", ExpireRule::kSet, later_ms + 1, "expire"),
      Expire("c", ExpireRule::kSetIfNone, later_ms + 2, "expire refused"),
      Clear("c", "clear"),
      Add("c", 3, "add after clear"),
      Delete("c", "delete"),
      Delete("c", "delete of a missing one"),
      Clear("c", "clear of a missing one"),
      Expiring(Add("c", 7, "over at once"), ExpireRule::kSet, 1),
      At(Add("c", 8, "late"), 1000),
  };
  std::vector<Op> firsts;
  for (const Op& request : requests) firsts.push_back(Do(request));
  Do(Add("c", 1000));
  for (size_t i = 0; i < requests.size(); i++) {
    SCOPED_TRACE(requests[i].token);
    ASSERT_EQ(firsts[i].code, Code::kOk);
    ExpectReplay(requests[i], firsts[i]);
  }
}

TEST_P(Tokens, TheSameTokenTwiceInOneBatchCountsOnce) {
  RanBatch ran = Run({Add("c", 5, "t"), Add("c", 1), Add("c", 5, "t")});
  EXPECT_FALSE(ran.ops[0].replayed);
  EXPECT_TRUE(ran.ops[2].replayed);
  EXPECT_EQ(ran.ops[2].value, 5);
  EXPECT_EQ(Value("c"), 6);
}

TEST_P(Tokens, OtherContentIsAConflictAndChangesNothing) {
  Do(Set("c", 10));
  Op request = Expiring(Bounded(Add("c", 1, "t"), 0, 100), ExpireRule::kSetIfNone, NowMs() + 900'000);
  Op first = Do(request);
  auto expect_conflict = [&](auto change) {
    Op other = request;
    change(&other);
    Op op = Do(other);
    EXPECT_EQ(op.code, Code::kTokenConflict);
  };
  expect_conflict([](Op* o) { o->delta = 2; });
  expect_conflict([](Op* o) { o->floor = 1; });
  expect_conflict([](Op* o) { o->ceiling = 99; });
  expect_conflict([](Op* o) { o->saturate = true; });
  expect_conflict([](Op* o) { o->bounded = false; });
  expect_conflict([](Op* o) { o->condition = Condition::kIfExists; });
  expect_conflict([](Op* o) { o->expire_rule = ExpireRule::kSet; });
  expect_conflict([](Op* o) { o->expire_at_ms++; });
  expect_conflict([](Op* o) { o->kind = OpKind::kSet; });
  expect_conflict([](Op* o) { *o = Clear("c", "t"); });
  expect_conflict([](Op* o) { *o = Delete("c", "t"); });
  EXPECT_EQ(Value("c"), 11);
  ExpectReplay(request, first);
}

TEST_P(Tokens, TimesAreNoContent) {
  Op first = Do(At(Stamped(Add("c", 1, "t"), NowUs() - 5 * kSecond), 1000));
  Op again = Do(At(Stamped(Add("c", 1, "t"), NowUs() - 2 * kSecond), 2000));
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.event_us, first.event_us);
  EXPECT_EQ(Value("c"), 1);
}

TEST_P(Tokens, TheScopeOfATokenIsOneCounter) {
  NamespaceId other = MakeNamespace("other");
  EXPECT_FALSE(Do(Add("a", 1, "t")).replayed);
  EXPECT_FALSE(Do(Add("b", 2, "t")).replayed);
  EXPECT_FALSE(Do(In(other, Add("a", 4, "t"))).replayed);
  EXPECT_EQ(Value("a"), 1);
  EXPECT_EQ(Value("b"), 2);
  EXPECT_EQ(Value("a", other), 4);
}

TEST_P(Tokens, AreComparedByteByByte) {
  Do(Add("c", 1, "017f22e2-79b0-4cc3-98c4-dc0c0c07398f"));
  EXPECT_FALSE(Do(Add("c", 1, "017F22E2-79B0-4CC3-98C4-DC0C0C07398F")).replayed);
  EXPECT_FALSE(Do(Add("c", 1, "017f22e279b04cc398c4dc0c0c07398f")).replayed);
  EXPECT_FALSE(Do(Add("c", 1, "017f22e279b04cc398c4dc0c0c07398f ")).replayed);
  EXPECT_TRUE(Do(Add("c", 1, "017f22e2-79b0-4cc3-98c4-dc0c0c07398f")).replayed);
}

TEST_P(Tokens, OfEveryFormAndLengthAreKnownAgain) {
  std::vector<std::string_view> tokens = {TokenOf(NowUs(), 7), "d41d8cd98f00b204e9800998ecf8427e", "x",
                                          Keep(std::string(128, 'y')), "öäü 🪢"};
  for (std::string_view t : tokens) EXPECT_FALSE(Do(Add("c", 1, t)).replayed) << t;
  for (std::string_view t : tokens) EXPECT_TRUE(Do(Add("c", 1, t)).replayed) << t;
  std::vector<EventEntry> events = EventsOf("c");
  ASSERT_EQ(events.size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); i++) EXPECT_EQ(events[i].token, tokens[i]);
}

TEST_P(Tokens, ManyOnOneCounterAreAllKnown) {
  std::vector<Op> ops;
  for (uint64_t i = 0; i < 5000; i++)
    ops.push_back(Add("c", 1, i % 2 == 0 ? TokenOf(NowUs(), i) : Keep(fmt::format("t{}", i))));
  Run(ops);
  for (const Op& op : Run(ops).ops) ASSERT_TRUE(op.replayed);
  EXPECT_EQ(Value("c"), 5000);
}

TEST_P(Tokens, AReplayAfterAClearDoesNotResurrectTheAdd) {
  Op first = Do(Add("c", 5, "add"));
  Do(Clear("c", "clear"));
  ExpectReplay(Add("c", 5, "add"), first);
  EXPECT_EQ(Value("c"), 0);
}

TEST_P(Tokens, AnAddAfterAClearSurvivesTheClearsReplay) {
  Do(Add("c", 5));
  Op first = Do(Clear("c", "clear"));
  Do(Add("c", 3));
  ExpectReplay(Clear("c", "clear"), first);
  EXPECT_EQ(Value("c"), 3);
}

// Embedded engines order a clear by commit, so an old event time does not put an add before it.
TEST_P(Tokens, ANewAddDatedBeforeTheClearCounts) {
  Do(At(Clear("c", "clear"), NowUs()));
  Do(At(Add("c", 3, "late"), NowUs() - kHour));
  EXPECT_EQ(Value("c"), 3);
}

TEST_P(Tokens, SurviveDeletionAndExpiryOfTheirCounter) {
  Op add = Do(Add("c", 5, "add"));
  Do(Delete("c"));
  ExpectReplay(Add("c", 5, "add"), add);
  EXPECT_FALSE(Exists("c"));
  Op short_lived = Expiring(Add("d", 5, "add"), ExpireRule::kSet, NowMs() + 1000);
  Op first = Do(short_lived);
  Pass(2 * kSecond);
  ExpectReplay(short_lived, first);
  EXPECT_FALSE(Exists("d"));
}

TEST_P(Tokens, ARefusalIsAResultAndIsKept) {
  Do(Set("c", 10));
  Op first = Do(Bounded(Add("c", 1, "t"), 0, 10));
  EXPECT_EQ(first.outcome, Outcome::kRefused);
  EXPECT_TRUE(first.is_protected);
  Do(Set("c", 0));
  ExpectReplay(Bounded(Add("c", 1, "t"), 0, 10), first);
  EXPECT_EQ(Value("c"), 0);
}

TEST_P(Tokens, AnErrorNeverSpendsAToken) {
  Do(Set("c", kInt64Max));
  EXPECT_EQ(Do(Add("c", 1, "t")).code, Code::kOverflow);
  EXPECT_EQ(Do(TokenOutcome("c", "t")).code, Code::kNotFound);
  Do(Set("c", 5));
  Op op = Do(Add("c", 2, "t"));
  EXPECT_FALSE(op.replayed);
  EXPECT_EQ(op.value, 7);
}

TEST_P(Tokens, AreKnownForTheWholeHorizon) {
  std::string_view timed = TokenOf(NowUs());
  Do(Add("c", 1, timed));
  Do(Add("c", 1, "plain"));
  Pass(24 * kHour - kMinute);
  EXPECT_TRUE(Do(Add("c", 1, timed)).replayed);
  EXPECT_TRUE(Do(Add("c", 1, "plain")).replayed);
  EXPECT_EQ(Value("c"), 2);
}

TEST_P(Tokens, OlderThanTheHorizonAreRefusedKnownOrNot) {
  std::string_view known = TokenOf(NowUs(), 1);
  std::string_view unknown = TokenOf(NowUs(), 2);
  Do(Add("c", 1, known));
  Do(Stamped(Add("c", 1, "stamped"), NowUs()));
  Micros stamp = NowUs();
  Pass(24 * kHour + kMinute);
  EXPECT_EQ(Do(Add("c", 1, known)).code, Code::kTokenExpired);
  EXPECT_EQ(Do(Add("c", 1, unknown)).code, Code::kTokenExpired);
  EXPECT_EQ(Do(Add("c", 2, known)).code, Code::kTokenExpired);
  EXPECT_EQ(Do(Stamped(Add("c", 1, "stamped"), stamp)).code, Code::kTokenExpired);
  EXPECT_EQ(Value("c"), 2);
}

TEST_P(Tokens, AnOldClaimIsRefusedEvenWhereTheTokenIsStillKept) {
  std::string_view old = TokenOf(NowUs() - 23 * kHour);
  Op first = Do(Add("c", 1, old));
  EXPECT_EQ(first.code, Code::kOk);
  Pass(2 * kHour);
  EXPECT_EQ(Do(Add("c", 1, old)).code, Code::kTokenExpired);
  EXPECT_EQ(Do(TokenOutcome("c", old)).code, Code::kOk);
}

TEST_P(Tokens, ATokenIsKeptForTheHorizonAfterItsCommitHoweverOldItClaimedToBe) {
  Do(Stamped(Add("c", 1, "t"), NowUs() - 23 * kHour));
  Pass(23 * kHour);
  EXPECT_TRUE(Do(Stamped(Add("c", 1, "t"), NowUs())).replayed);
  EXPECT_EQ(Value("c"), 1);
}

TEST_P(Tokens, ATokenWithATimeAheadIsKnownAsLongAsItIsTaken) {
  Op own = Add("c", 1, TokenOf(NowUs() + 50 * kSecond));
  Op given = Stamped(Add("c", 1, "t"), NowUs() + 50 * kSecond);
  Do(own);
  Do(given);
  Pass(24 * kHour - 20 * kSecond);
  for (int i = 0; i < 10; i++, Pass(10 * kSecond)) {
    for (const Op& op : {Do(own), Do(given)}) EXPECT_TRUE(op.replayed || op.code == Code::kTokenExpired);
  }
  EXPECT_EQ(Value("c"), 2);
}

TEST_P(Tokens, BeyondTheSkewAreRefusedAndNotSpent) {
  std::string_view ahead = TokenOf(NowUs() + 90 * kSecond);
  EXPECT_EQ(Do(Add("c", 1, ahead)).code, Code::kTokenInFuture);
  EXPECT_EQ(Do(Stamped(Add("c", 1, "t"), NowUs() + 90 * kSecond)).code, Code::kTokenInFuture);
  EXPECT_FALSE(Exists("c"));
  Pass(60 * kSecond);
  EXPECT_FALSE(Do(Add("c", 1, ahead)).replayed);
}

TEST_P(Tokens, TheirOwnTimeWinsOverTheGivenOne) {
  EXPECT_EQ(Do(Stamped(Add("c", 1, TokenOf(NowUs() - 25 * kHour)), NowUs())).code, Code::kTokenExpired);
  EXPECT_EQ(Do(Stamped(Add("c", 1, TokenOf(NowUs())), NowUs() - 25 * kHour)).code, Code::kOk);
}

TEST_P(Tokens, GiveTheEventItsTimeUnlessOneIsGiven) {
  Micros time = NowUs() / 1000 * 1000 - kHour;
  EXPECT_EQ(Do(Add("c", 1, TokenOf(time, 1))).event_us, time);
  EXPECT_EQ(Do(Stamped(Add("c", 1, "t"), time + 1)).event_us, time + 1);
  EXPECT_EQ(Do(At(Add("c", 1, TokenOf(time, 2)), 77)).event_us, 77);
}

TEST_P(Tokens, TheOutcomeOfATokenIsItsFirstAnswer) {
  Op first = Do(Saturating(Add("c", 50, "t"), 0, 30));
  Do(Delete("c"));
  Op op = Do(TokenOutcome("c", "t"));
  EXPECT_EQ(op.code, Code::kOk);
  EXPECT_EQ(op.original_kind, OpKind::kAdd);
  EXPECT_EQ(op.outcome, Outcome::kSaturated);
  EXPECT_EQ(op.value, first.value);
  EXPECT_EQ(op.applied, first.applied);
  EXPECT_EQ(op.delta, 50);
  EXPECT_EQ(op.position, first.position);
  EXPECT_EQ(op.event_us, first.event_us);
  EXPECT_GE(op.token_expires_us, first.event_us + 24 * kHour + kMinute);
  EXPECT_LE(op.token_expires_us, NowUs() + 24 * kHour + kMinute);
  Do(Clear("d", "clear"));
  EXPECT_EQ(Do(TokenOutcome("d", "clear")).original_kind, OpKind::kClear);
  Do(Add("e", 7));
  Do(Clear("e", "clear"));
  EXPECT_EQ(Do(TokenOutcome("e", "clear")).delta, 0);
}

TEST_P(Tokens, TheOutcomeOfAnUnknownTokenIsNotFoundAndDoesNotSpendIt) {
  EXPECT_EQ(Do(TokenOutcome("c", "t")).code, Code::kNotFound);
  Do(Add("other", 1, "t"));
  EXPECT_EQ(Do(TokenOutcome("c", "t")).code, Code::kNotFound);
  EXPECT_FALSE(Do(Add("c", 1, "t")).replayed);
}

TEST_P(Tokens, AGivenTimeProtectsForTheWholeHorizonAndIsRefusedAfterIt) {
  for (Micros ahead : {-kHour, -1 * kMs, Micros{0}, 50 * kSecond}) {
    const Micros given = NowUs() + ahead;
    Op op = Stamped(Add("c", 1, Keep(fmt::format("t{}", ahead))), given);
    Do(op);
    Pass(given + 24 * kHour - 2 * kSecond - NowUs());
    EXPECT_TRUE(Do(op).replayed) << ahead;
    Pass(3 * kSecond);
    EXPECT_EQ(Do(op).code, Code::kTokenExpired) << ahead;
  }
  EXPECT_EQ(Value("c"), 4);
}

TEST_P(Tokens, AreForgottenAfterTheHorizonAndTheSkew) {
  Do(Add("c", 1, "t"));
  Pass(24 * kHour + kMinute - kSecond);
  EXPECT_EQ(Do(TokenOutcome("c", "t")).code, Code::kOk);
  Pass(2 * kSecond);
  EXPECT_EQ(Do(TokenOutcome("c", "t")).code, Code::kNotFound);
}

TEST_P(Tokens, AreDemandedOfEveryMutationWhereTheNamespaceSaysSo) {
  NamespaceId strict = MakeNamespace("strict", {.token_required = true});
  for (const Op& op :
       {Add("c", 1), Set("c", 1), Clear("c"), Delete("c"), Expire("c", ExpireRule::kSet, NowMs() + 1000)}) {
    EXPECT_EQ(Do(In(strict, op)).code, Code::kTokenRequired);
  }
  EXPECT_EQ(Do(In(strict, Get("c"))).code, Code::kOk);
  EXPECT_EQ(Do(In(strict, Add("c", 1, "t"))).value, 1);
}

TEST_P(Tokens, AreTakenButNotKeptWhereDurabilityIsMemory) {
  if (!GetParam().KeepsUnsynced()) GTEST_SKIP() << "what is in memory alone may be gone";
  NamespaceId cheap = MakeNamespace("cheap", {.durability = Durability::kMemory});
  EXPECT_FALSE(Do(In(cheap, Add("c", 1, "t"))).is_protected);
  Op again = Do(In(cheap, Add("c", 1, "t")));
  EXPECT_FALSE(again.replayed || again.is_protected);
  EXPECT_EQ(again.value, 2);
  EXPECT_EQ(Do(In(cheap, TokenOutcome("c", "t"))).code, Code::kNotFound);
}

TEST_P(Tokens, AShorterHorizonRefusesWhatTheLongerOneTook) {
  std::string_view token = TokenOf(NowUs());
  Do(Add("c", 1, token));
  Pass(2 * kHour);
  ASSERT_TRUE(Put("default", 1, {.token_horizon_ms = kHour / kMs}).ok());
  EXPECT_EQ(Do(Add("c", 1, token)).code, Code::kTokenExpired);
  EXPECT_EQ(Value("c"), 1);
}

TEST_P(Tokens, ALongerHorizonDoesNotReachBehindWhatTheShorterOneForgot) {
  ASSERT_TRUE(Put("default", 1, {.token_horizon_ms = kHour / kMs}).ok());
  std::string_view token = TokenOf(NowUs());
  Do(Add("c", 1, token));
  Do(Add("c", 1, "plain"));
  Pass(2 * kHour);
  ASSERT_TRUE(Put("default", 2, {.token_horizon_ms = 24 * kHour / kMs}).ok());
  EXPECT_EQ(Do(Add("c", 1, token)).code, Code::kTokenExpired);
  EXPECT_EQ(Do(TokenOutcome("c", "plain")).code, Code::kNotFound);
  EXPECT_EQ(Value("c"), 2);
}

TEST_P(Tokens, FromBeforeANamespaceKeptAnyAreRefused) {
  if (!GetParam().KeepsUnsynced()) GTEST_SKIP() << "what is in memory alone may be gone";
  NamespaceId ns = MakeNamespace("ns", {.durability = Durability::kMemory});
  std::string_view token = TokenOf(NowUs());
  Do(In(ns, Add("c", 1, token)));
  Pass(kMinute);
  ASSERT_TRUE(Put("ns", 1, {}).ok());
  EXPECT_EQ(Do(In(ns, Add("c", 1, token))).code, Code::kTokenExpired);
  EXPECT_EQ(Value("c", ns), 1);
}

TEST_P(Tokens, ReplaysAndConflictsAreNotCountedAsAdds) {
  if (!GetParam().troubles.empty()) GTEST_SKIP() << "the figures begin anew with the process";
  Do(Add("c", 1, "t"));
  Do(Add("c", 1, "t"));
  Do(Add("c", 2, "t"));
  Do(Add("c", 1));
  Pass(kFiguresLag);
  EXPECT_EQ(store().Info().adds, 2u);
  EXPECT_EQ(store().Info().replays, 1u);
  EXPECT_EQ(store().Info().conflicts, 1u);
}

}  // namespace
}  // namespace quipu::store
