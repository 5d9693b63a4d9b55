// Listings while other requests run: what exists throughout is listed, and once.
#include <gtest/gtest.h>

#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

// A name that a listing looks for in its first turn.
std::string EarlyName() {
  for (int n = 0;; ++n) {
    std::string name = fmt::format("counter-{}", n);
    if (PartitionOf(HashCounter(0, name)) == 0) return name;
  }
}

class Listing : public testing::TestWithParam<ScanOp::Order> {
 protected:
  // All by the order asked for; what `meanwhile` does comes after the first turn of it.
  std::vector<CounterEntry> ListWhile(World* world, size_t limit, const std::function<void()>& meanwhile) const {
    bool listed = false;
    ScanOp scan;
    scan.order = GetParam();
    scan.limit = limit;
    scan.owner = &listed;
    scan.on_done = [](ScanOp* op) { *static_cast<bool*>(op->owner) = true; };
    world->store()->Scan(&scan);
    meanwhile();
    world->Wait(&listed);
    EXPECT_TRUE(scan.status.ok()) << scan.status.ToString();
    return scan.entries;
  }
  // Only the sorted runs have what was counted so far.
  static void SettleAndStartAnew(World* world) {
    world->Settle();
    world->Stop();
    ASSERT_TRUE(world->Start().ok());
  }
};

TEST_P(Listing, OfACounterThatIsReadMeanwhileHasItOnce) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const std::string name = EarlyName();
  world.Add(name, 5);
  SettleAndStartAnew(&world);
  const auto entries = ListWhile(&world, 100, [&] { EXPECT_EQ(world.Get(name).value, 5); });
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].name, name);
  EXPECT_EQ(entries[0].value, 5);
}

TEST_P(Listing, OfACounterThatChangesMeanwhileHasItOnce) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const std::string name = EarlyName();
  world.Add(name, 5);
  SettleAndStartAnew(&world);
  ASSERT_EQ(world.Get(name).value, 5);
  const auto entries = ListWhile(&world, 100, [&] { EXPECT_EQ(world.Add(name, 2).value, 7); });
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_TRUE(entries[0].value == 5 || entries[0].value == 7) << entries[0].value;
}

TEST_P(Listing, ShowsNoCounterThatWasDeletedBeforeItsTurn) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const std::string name = EarlyName();
  world.Add(name, 5);
  SettleAndStartAnew(&world);
  const auto entries = ListWhile(&world, 100, [&] { world.Do({.kind = OpKind::kDelete, .name = name}); });
  EXPECT_TRUE(entries.empty());
}

TEST_P(Listing, OfFewerThanThereAreHasTheFirstOnesAlthoughValuesFall) {
  World world;
  ASSERT_TRUE(world.Start().ok());
  const std::string first = EarlyName();
  world.Add(first, 100);
  for (int i = 0; i < 20; ++i) world.Add(fmt::format("d{:02}", i), 50 - i);
  SettleAndStartAnew(&world);
  ASSERT_EQ(world.Get(first).value, 100);
  const auto entries = ListWhile(&world, 3, [&] { EXPECT_EQ(world.Add(first, -99).value, 1); });
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, first);
  EXPECT_EQ(entries[1].name, "d00");
  EXPECT_EQ(entries[2].name, "d01");
}

INSTANTIATE_TEST_SUITE_P(, Listing, testing::Values(ScanOp::Order::kName, ScanOp::Order::kTop));

}  // namespace
}  // namespace quipu::store
