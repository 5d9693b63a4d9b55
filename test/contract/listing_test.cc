// Pages of counters in three orders, and the events behind a counter.
#include <set>

#include "test/contract/store_contract.h"

namespace quipu::store {
namespace {

class Listing : public StoreContract {
 protected:
  std::set<std::string> Fill(int n) {
    std::vector<Op> ops;
    std::set<std::string> names;
    for (int i = 0; i < n; i++) {
      std::string name = fmt::format("c{:04}", i);
      ops.push_back(Add(Keep(name), i));
      names.insert(name);
    }
    Run(ops);
    return names;
  }
  std::vector<std::string> NamesOfPage(ScanOp op) {
    op = Scan(std::move(op));
    EXPECT_TRUE(op.status.ok()) << op.status.ToString();
    return NamesOf(op.entries);
  }
};
QUIPU_CONTRACT_ON_ALL_ENGINES(Listing);

TEST_P(Listing, AScanByHashGivesEveryCounterOnceWhateverThePageSize) {
  std::set<std::string> names = Fill(500);
  for (size_t limit : {1u, 7u, 100u, 499u, 500u, 501u, 100'000u}) {
    std::vector<std::string> found = NamesOf(EntriesByHash(limit));
    EXPECT_EQ(found.size(), names.size()) << limit;
    EXPECT_EQ(std::set<std::string>(found.begin(), found.end()), names) << limit;
  }
}

TEST_P(Listing, APageByHashHasAboutTheNumberAskedFor) {
  Fill(500);
  ScanOp page = Scan({.limit = 50});
  EXPECT_GE(page.entries.size(), 50u);
  EXPECT_LE(page.entries.size(), 60u);
  EXPECT_NE(page.next_cursor, 0u);
}

TEST_P(Listing, AScanOfAnEmptyNamespaceEnds) { EXPECT_TRUE(EntriesByHash().empty()); }

TEST_P(Listing, ACounterThatStaysComesExactlyOnceWhileOthersComeAndGo) {
  std::set<std::string> names = Fill(300);
  std::multiset<std::string> found;
  uint64_t cursor = 0;
  int page_number = 0;
  do {
    ScanOp page = Scan({.cursor = cursor, .limit = 10});
    for (const auto& e : page.entries) found.insert(e.name);
    cursor = page.next_cursor;
    std::vector<Op> ops;
    for (int i = 0; i < 20; i++) ops.push_back(Add(Keep(fmt::format("new{}-{}", page_number, i)), 1));
    for (int i = 0; i < 20 && page_number > 0; i++)
      ops.push_back(Delete(Keep(fmt::format("new{}-{}", page_number - 1, i))));
    for (const auto& n : names) ops.push_back(Add(n, 1));
    Run(ops);
    page_number++;
  } while (cursor != 0);
  for (const auto& n : names) EXPECT_EQ(found.count(n), 1u) << n;
  for (const auto& n : found) EXPECT_EQ(found.count(n), 1u) << n;
}

TEST_P(Listing, EntriesShowValueExpiryAndLastWrite) {
  int64_t at_ms = NowMs() + 100'000;
  Do(At(Expiring(Add("c", 7), ExpireRule::kSet, at_ms), 1234));
  for (auto order : {ScanOp::Order::kHash, ScanOp::Order::kName, ScanOp::Order::kTop}) {
    std::vector<CounterEntry> entries = EntriesBy(order);
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].name, "c");
    EXPECT_EQ(entries[0].value, 7);
    EXPECT_EQ(entries[0].expiry_ms, at_ms);
    EXPECT_EQ(entries[0].last_write_us, 1234);
  }
}

TEST_P(Listing, ThereAreNoEventsBeyondTheNewest) {
  Run({Add("c", 1)});
  Run({Add("c", 2)});
  const std::vector<EventEntry> events = EventsOf("c");
  ASSERT_FALSE(events.empty());
  const Position newest = events.back().position;
  EXPECT_EQ(EventsOf("c", newest - 1).size(), 1u);
  for (Position after : {newest, newest + 1, newest + 1'000'000, std::numeric_limits<Position>::max()}) {
    EXPECT_TRUE(EventsOf("c", after).empty()) << after;
  }
}

TEST_P(Listing, ByNameAscendsInPages) {
  std::set<std::string> names = Fill(250);
  std::vector<std::string> found;
  ScanOp page;
  do {
    page = Scan({.order = ScanOp::Order::kName, .after_name = found.empty() ? "" : found.back(), .limit = 100});
    for (const auto& n : NamesOf(page.entries)) found.push_back(n);
    EXPECT_TRUE(!page.more || page.entries.size() == 100u);
  } while (page.more);
  EXPECT_EQ(found, std::vector<std::string>(names.begin(), names.end()));
}

TEST_P(Listing, MoreIsExactAtTheEdgeOfAPage) {
  Fill(10);
  EXPECT_FALSE(Scan({.order = ScanOp::Order::kName, .limit = 10}).more);
  EXPECT_TRUE(Scan({.order = ScanOp::Order::kName, .limit = 9}).more);
  EXPECT_FALSE(Scan({.order = ScanOp::Order::kName, .after_name = "c0000", .limit = 9}).more);
}

TEST_P(Listing, APrefixIsComparedByteByByte) {
  for (std::string_view n :
       {"a", "ab", "abc", "abd", "b", "\xC3\xA4", "\xC3\xA4x", "\xC3\xA5", "cart[apple]", "cart[pear]", "cart"}) {
    Do(Add(n, 1));
  }
  auto with = [&](std::string prefix, std::string after = "") {
    return NamesOfPage({.order = ScanOp::Order::kName, .after_name = std::move(after), .prefix = std::move(prefix)});
  };
  EXPECT_EQ(with("ab"), (std::vector<std::string>{"ab", "abc", "abd"}));
  EXPECT_EQ(with("ab", "abc"), (std::vector<std::string>{"abd"}));
  EXPECT_EQ(with("ab", "a"), (std::vector<std::string>{"ab", "abc", "abd"}));
  EXPECT_EQ(with("ab", "b"), (std::vector<std::string>{}));
  EXPECT_EQ(with("\xC3\xA4"), (std::vector<std::string>{"\xC3\xA4", "\xC3\xA4x"}));
  EXPECT_EQ(with("cart["), (std::vector<std::string>{"cart[apple]", "cart[pear]"}));
  EXPECT_EQ(with("zz"), (std::vector<std::string>{}));
}

TEST_P(Listing, TopGivesTheLargestOrTheSmallestTiesByName) {
  Run({Add("d", 5), Add("a", 5), Add("c", -7), Add("b", 9), Add("other", 100), Add("e", kInt64Min)});
  auto top = [&](bool ascending, size_t limit, std::string prefix) {
    return NamesOfPage(
        {.order = ScanOp::Order::kTop, .prefix = std::move(prefix), .ascending = ascending, .limit = limit});
  };
  EXPECT_EQ(top(false, 4, ""), (std::vector<std::string>{"other", "b", "a", "d"}));
  EXPECT_EQ(top(false, 3, ""), (std::vector<std::string>{"other", "b", "a"}));
  EXPECT_EQ(top(true, 3, ""), (std::vector<std::string>{"e", "c", "a"}));
  EXPECT_EQ(top(false, 10, "o"), (std::vector<std::string>{"other"}));
}

TEST_P(Listing, StaysInsideItsNamespace) {
  NamespaceId other = MakeNamespace("other");
  Do(Add("here", 1));
  Do(In(other, Add("there", 1)));
  for (auto order : {ScanOp::Order::kHash, ScanOp::Order::kName, ScanOp::Order::kTop}) {
    EXPECT_EQ(NamesOf(EntriesBy(order)), std::vector<std::string>{"here"});
    EXPECT_EQ(NamesOf(EntriesBy(order, other)), std::vector<std::string>{"there"});
    EXPECT_EQ(Scan({.order = order, .ns = 55}).status.code(), Code::kNamespaceNotFound);
  }
}

TEST_P(Listing, DeletedCountersAreNotListed) {
  Do(Add("a", 1));
  Do(Add("b", 1));
  Do(Delete("a"));
  for (auto order : {ScanOp::Order::kHash, ScanOp::Order::kName, ScanOp::Order::kTop}) {
    EXPECT_EQ(NamesOf(EntriesBy(order)), std::vector<std::string>{"b"});
  }
}

TEST_P(Listing, EventsSayWhatMadeTheNumber) {
  Do(Add("c", 5, "t1"));
  Do(Bounded(Add("c", 50, "t2"), 0, 10));
  Do(Saturating(Add("c", 50, "t3"), 0, 10));
  Do(Clear("c", "t4"));
  Do(Set("c", 8, "t5"));
  Do(At(Add("c", -1, "t6"), 4321));
  std::vector<EventEntry> events = EventsOf("c");
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events[1].outcome, Outcome::kRefused);
  EXPECT_EQ(events[1].delta, 50);
  EXPECT_EQ(events[1].applied, 0);
  EXPECT_EQ(events[2].outcome, Outcome::kSaturated);
  EXPECT_EQ(events[2].applied, 5);
  EXPECT_EQ(events[3].kind, OpKind::kClear);
  EXPECT_EQ(events[3].applied, -10);
  EXPECT_EQ(events[4].kind, OpKind::kSet);
  EXPECT_EQ(events[4].delta, 8);
  EXPECT_EQ(events[5].event_us, 4321);
  int64_t sum = 0;
  Position last = 0;
  for (size_t i = 0; i < events.size(); i++) {
    EXPECT_EQ(events[i].token, fmt::format("t{}", i + 1));
    EXPECT_GT(events[i].position, last);
    last = events[i].position;
    sum += events[i].applied;
    EXPECT_EQ(events[i].value, sum);
  }
  EXPECT_EQ(Value("c"), sum);
}

TEST_P(Listing, EventsOfAddsWithoutATokenMayShareOneButAddUp) {
  Run(std::vector<Op>(100, Add("c", 3)));
  Do(Add("c", 1, "t"));
  Run(std::vector<Op>(100, Add("c", -1)));
  int64_t sum = 0;
  uint64_t count = 0;
  for (const EventEntry& e : EventsOf("c")) {
    sum += e.applied;
    count += e.events;
    EXPECT_EQ(e.value, sum);
    EXPECT_TRUE(e.token.empty() || e.events == 1);
  }
  EXPECT_EQ(count, 201u);
  EXPECT_EQ(sum, 201);
  EXPECT_EQ(Value("c"), 201);
}

TEST_P(Listing, ReplaysErrorsAndRefusalsWithoutATokenAreNoEvents) {
  Do(Add("c", 1, "t"));
  Do(Add("c", 1, "t"));
  Do(Add("c", 2, "t"));
  Do(Add("c", kInt64Max));
  EXPECT_EQ(Do(Bounded(Add("c", 1), 0, 0)).position, 0u);
  EXPECT_EQ(EventsOf("c").size(), 1u);
  EXPECT_TRUE(EventsOf("never").empty());
}

TEST_P(Listing, EventsOutliveTheirCounter) {
  Do(Add("c", 1, "t1"));
  Do(Delete("c", "t2"));
  std::vector<EventEntry> events = EventsOf("c");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].kind, OpKind::kDelete);
}

}  // namespace
}  // namespace quipu::store
