#include "store/embedded/counter_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sim/sim_random.h"

namespace quipu::store {
namespace {

std::string Name(int i, bool long_name) {
  return long_name ? fmt::format("a-rather-long-counter-name/{:06}/tail", i) : fmt::format("c{}", i);
}

TEST(CounterTable, KeepsEveryCounterThroughGrowthAndErasure) {
  sim::SimRandom rng(7, "test");
  CounterTable table;
  std::map<std::string, int64_t> model;
  for (int step = 0; step < 200'000; ++step) {
    std::string name = Name(static_cast<int>(rng.Next() % 20'000), rng.Next() % 4 == 0);
    uint64_t hash = HashCounter(3, name);
    CounterSlot* slot = table.Find(hash, 3, name);
    ASSERT_EQ(slot != nullptr, model.count(name) == 1) << name;
    if (rng.Next() % 3 == 0) {
      if (slot) {
        table.Erase(slot);
        model.erase(name);
      }
    } else {
      if (!slot) slot = table.Insert(hash, 3, name);
      slot->value += step;
      model[name] += step;
      ASSERT_EQ(slot->value, model[name]);
    }
  }
  EXPECT_EQ(table.size(), model.size());
  for (const auto& [name, value] : model) EXPECT_EQ(table.Find(HashCounter(3, name), 3, name)->value, value);
}

TEST(CounterTable, TellsNamespacesAndEqualHashesApart) {
  CounterTable table;
  uint64_t hash = 0x123456789abcdef0;
  table.Insert(hash, 1, "x")->value = 1;
  table.Insert(hash, 2, "x")->value = 2;
  table.Insert(hash, 1, "y")->value = 3;
  EXPECT_EQ(table.Find(hash, 1, "x")->value, 1);
  EXPECT_EQ(table.Find(hash, 2, "x")->value, 2);
  EXPECT_EQ(table.Find(hash, 1, "y")->value, 3);
  EXPECT_EQ(table.Find(hash, 3, "x"), nullptr);
}

TEST(CounterTable, ManyEqualHashesOnlyGrowTheTable) {
  CounterTable table;
  for (int i = 0; i < 500; ++i) table.Insert(~uint64_t{0} - 5, 0, Name(i, false));
  for (int i = 0; i < 500; ++i) EXPECT_NE(table.Find(~uint64_t{0} - 5, 0, Name(i, false)), nullptr);
}

TEST(CounterTable, GapsOfAScanSeparateHashesExactly) {
  CounterTable table;
  std::set<uint64_t> hashes;
  for (int i = 0; i < 5'000; ++i) {
    // Two partitions only, so that clusters are long.
    uint64_t hash = HashCounter(0, Name(i, false));
    hash = (hash & ((uint64_t{1} << 52) - 1)) | (hash >> 63) << 52;
    hashes.insert(hash);
    table.Insert(hash, 0, Name(i, false));
  }
  for (size_t step : {1u, 7u, 100u}) {
    std::multiset<uint64_t> seen;
    uint64_t cursor = 0;
    for (int pages = 0; pages < 20'000; ++pages) {
      size_t got = 0;
      uint64_t next = 0;
      table.VisitFrom(cursor, [&](const CounterSlot* s, uint64_t gap) {
        if (s) {
          if (s->hash >= cursor) {
            seen.insert(s->hash);
            ++got;
          }
          return true;
        }
        next = gap;
        return got < step;
      });
      ASSERT_GT(next, cursor);
      cursor = next;
      if (PartitionOf(cursor) > 1) break;
    }
    EXPECT_EQ(seen.size(), 5'000u);
    EXPECT_EQ(std::set<uint64_t>(seen.begin(), seen.end()), hashes);
  }
}

TEST(CounterTable, EraseIfLooksAtEverySlotOnce) {
  CounterTable table;
  for (int i = 0; i < 3'000; ++i) {
    uint64_t hash = HashCounter(0, Name(i, false)) & ((uint64_t{1} << 52) - 1);
    table.Insert(hash, 0, Name(i, false))->value = i;
  }
  EXPECT_EQ(table.EraseIf(0, [](const CounterSlot* s) { return s->value % 3 == 0; }), 1'000u);
  for (int i = 0; i < 3'000; ++i) {
    uint64_t hash = HashCounter(0, Name(i, false)) & ((uint64_t{1} << 52) - 1);
    EXPECT_EQ(table.Find(hash, 0, Name(i, false)) != nullptr, i % 3 != 0) << i;
  }
}

TEST(CounterTable, ShrinkGivesMemoryBackAndKeepsWhatIsLeft) {
  CounterTable table;
  for (int i = 0; i < 3'000; ++i) {
    table.Insert(HashCounter(0, Name(i, false)) & ((uint64_t{1} << 52) - 1), 0, Name(i, false))->value = i;
  }
  const size_t full = table.memory_bytes();
  table.EraseIf(0, [](const CounterSlot* s) { return s->value % 10 != 0; });
  EXPECT_EQ(table.memory_bytes(), full);
  table.Shrink(0);
  EXPECT_LT(table.memory_bytes(), full / 2);
  const size_t shrunk = table.memory_bytes();
  table.Shrink(0);
  EXPECT_EQ(table.memory_bytes(), shrunk) << "a table that is not sparse stays as it is";
  for (int i = 0; i < 3'000; ++i) {
    const CounterSlot* slot = table.Find(HashCounter(0, Name(i, false)) & ((uint64_t{1} << 52) - 1), 0, Name(i, false));
    ASSERT_EQ(slot != nullptr, i % 10 == 0) << i;
    if (slot) {
      EXPECT_EQ(slot->value, i);
    }
  }
}

}  // namespace
}  // namespace quipu::store
