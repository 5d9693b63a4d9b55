#include "store/embedded/token_window.h"

#include <gtest/gtest.h>

#include "sim/sim_random.h"

namespace quipu::store {
namespace {

struct Known {
  TokenPrint print;
  TokenResult result;
  Micros own_us;
};

Known MakeToken(sim::SimRandom* rng, Position position, Micros frame_us) {
  Known k;
  k.print = {rng->Next(), rng->Next()};
  k.own_us = rng->Next() % 2 ? frame_us - static_cast<Micros>(rng->Next() % 2000) : kNoTime;
  TokenResult& r = k.result;
  r.position = position;
  r.content = rng->Next() & 0xffffffff;
  r.delta = r.applied = static_cast<int64_t>(rng->Next() % 20001) - 10000;
  r.value = static_cast<int64_t>(rng->Next());
  r.existed = rng->Next() % 2;
  r.event_us = k.own_us == kNoTime ? frame_us : k.own_us;
  r.last_write_us = r.event_us + (rng->Next() % 4 == 0 ? 50 : 0);
  r.kept_from_us = std::max(frame_us, k.own_us == kNoTime ? frame_us : k.own_us);
  if (rng->Next() % 8 == 0) {
    r.kind = OpKind::kSet;
    r.outcome = Outcome::kRefused;
    r.applied = 17;
    r.expiry_ms = 99;
    r.exists = false;
  }
  return k;
}

void ExpectEqual(const TokenResult& a, const TokenResult& b) {
  EXPECT_EQ(a.content, b.content);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.existed, b.existed);
  EXPECT_EQ(a.exists, b.exists);
  EXPECT_EQ(a.delta, b.delta);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.applied, b.applied);
  EXPECT_EQ(a.expiry_ms, b.expiry_ms);
  EXPECT_EQ(a.event_us, b.event_us);
  EXPECT_EQ(a.last_write_us, b.last_write_us);
  EXPECT_EQ(a.kept_from_us, b.kept_from_us);
  EXPECT_EQ(a.position, b.position);
}

TEST(TokenWindow, AnswersEveryTokenWordForWordOverManyGenerations) {
  sim::SimRandom rng(11, "test");
  TokenWindow window({.places_first = 64, .places_max = 4096, .generation_us = 1'000'000});
  std::vector<Known> all;
  Micros frame_us = 1'000'000'000;
  for (Position p = 1; p <= 20'000; ++p) {
    if (rng.Next() % 16 == 0) frame_us += static_cast<Micros>(rng.Next() % 3000);
    all.push_back(MakeToken(&rng, p, frame_us));
    TokenResult found;
    ASSERT_FALSE(window.Find(all.back().print, all.back().own_us, &found));
    window.Insert(all.back().print, all.back().result, all.back().own_us, frame_us);
  }
  EXPECT_GT(window.generations(), 3u);
  EXPECT_EQ(window.size(), all.size());
  for (const Known& k : all) {
    TokenResult found;
    ASSERT_TRUE(window.Find(k.print, k.own_us, &found)) << k.result.position;
    ExpectEqual(found, k.result);
  }
}

TEST(TokenWindow, TakesTheMemoryThatWasPreparedForTheNextGeneration) {
  sim::SimRandom rng(13, "test");
  TokenWindow window({.places_first = 1u << 18, .places_max = 1u << 20, .generation_us = 1'000'000'000});
  std::vector<Known> all;
  const auto insert = [&](size_t n) {
    for (size_t i = 0; i < n; ++i) {
      all.push_back(MakeToken(&rng, all.size() + 1, 1'000'000));
      window.Insert(all.back().print, all.back().result, all.back().own_us, 1'000'000);
    }
  };
  const size_t first_holds = (1u << 18) * 7 / 10;
  insert(first_holds / 2 - 1);
  EXPECT_EQ(window.next_places(), 0u) << "too early";
  insert(1);
  ASSERT_EQ(window.next_places(), 1u << 19);
  const size_t before = window.memory_bytes();
  TokenWindow::Room room(window.next_places());
  const size_t index_bytes = room.index_bytes();
  ASSERT_EQ(index_bytes, (1u << 19) * 4u);
  room.memory.Populate(0, index_bytes / 2);
  room.memory.Populate(index_bytes / 2, index_bytes);
  const void* const prepared = room.memory.data();
  window.GiveNext(std::move(room));
  EXPECT_EQ(window.memory_bytes(), before + index_bytes) << "it counts as soon as it is there";
  EXPECT_EQ(window.next_places(), 0u) << "one is enough";
  EXPECT_EQ(window.generations(), 1u);
  insert(first_holds);
  EXPECT_EQ(window.generations(), 2u);
  EXPECT_EQ(window.newest_memory(), prepared);
  EXPECT_LT(window.memory_bytes(), before + index_bytes + all.size() * 200u) << "counted once";
  for (const Known& k : all) {
    TokenResult found;
    ASSERT_TRUE(window.Find(k.print, k.own_us, &found)) << k.result.position;
    ExpectEqual(found, k.result);
  }
}

TEST(TokenWindow, TellsTokensApartThatShareTheirPlaceInTheIndex) {
  sim::SimRandom rng(14, "test");
  TokenWindow window({.places_first = 1024, .places_max = 1024, .generation_us = 1'000'000'000});
  constexpr uint64_t kHi = 0xab00'0001'0000'0002;  // the same place and the same bits beside the entry's number
  const std::vector<TokenPrint> alike = {{kHi, 1}, {kHi, 2}, {kHi + 1, 1}, {kHi - 1, 1}, {kHi, 3}};
  std::vector<Known> all;
  TokenResult found;
  for (const TokenPrint& print : alike) {
    all.push_back(MakeToken(&rng, all.size() + 1, 1'000'000));
    all.back().print = print;
    EXPECT_FALSE(window.Find(print, all.back().own_us, &found));
    window.Insert(print, all.back().result, all.back().own_us, 1'000'000);
  }
  EXPECT_FALSE(window.Find({kHi, 4}, kNoTime, &found));
  EXPECT_FALSE(window.Find({kHi + (1ull << 56), 1}, kNoTime, &found));
  for (const Known& k : all) {
    ASSERT_TRUE(window.Find(k.print, k.own_us, &found));
    ExpectEqual(found, k.result);
  }
}

TEST(TokenWindow, ReplacesATokenThatComesAgain) {
  sim::SimRandom rng(15, "test");
  TokenWindow window({.places_first = 64, .places_max = 64, .generation_us = 1'000'000'000});
  Known k = MakeToken(&rng, 1, 1'000'000);
  for (Position p = 1; p <= 200; ++p) {
    Known again = MakeToken(&rng, p, 1'000'000);
    window.Insert(k.print, again.result, again.own_us, 1'000'000);
    TokenResult found;
    ASSERT_TRUE(window.Find(k.print, again.own_us, &found));
    ExpectEqual(found, again.result);
  }
  EXPECT_EQ(window.size(), 1u);
  EXPECT_EQ(window.generations(), 1u);
}

TEST(TokenWindow, NeedsLessThan48BytesATokenHoweverFullTheNewestGenerationIs) {
  TokenWindow window({.places_first = 1u << 14, .places_max = 1u << 24, .generation_us = 1'000'000'000});
  sim::SimRandom rng(16, "test");
  TokenResult r;
  r.event_us = r.last_write_us = r.kept_from_us = 1'000'000;
  for (Position p = 1; p <= 1'000'000; ++p) {
    r.position = p;
    window.Insert({rng.Next(), rng.Next()}, r, kNoTime, 1'000'000);
    if (window.next_places() != 0) window.GiveNext(TokenWindow::Room(window.next_places()));
    if (p % 1000 != 0 || p < 100'000) continue;
    ASSERT_LE(window.memory_bytes(), p * 48) << p;
  }
}

TEST(TokenWindow, DropsOnlySettledGenerationsAndSaysFromWhenItIsComplete) {
  sim::SimRandom rng(12, "test");
  TokenWindow window({.places_first = 64, .places_max = 64, .generation_us = 1'000'000});
  std::vector<Known> all;
  for (Position p = 1; p <= 400; ++p) {
    all.push_back(MakeToken(&rng, p, static_cast<Micros>(p) * 10));
    window.Insert(all.back().print, all.back().result, all.back().own_us, static_cast<Micros>(p) * 10);
  }
  EXPECT_EQ(window.complete_since_us(), INT64_MIN);
  window.Trim(0, 100, 0);
  // Generations of 44 tokens: those that end at 44 and 88 are settled, the one that ends at 132 is not.
  EXPECT_EQ(window.complete_since_us(), 880);
  TokenResult found;
  EXPECT_FALSE(window.Find(all[87].print, all[87].own_us, &found));
  EXPECT_TRUE(window.Find(all[88].print, all[88].own_us, &found));
  window.Trim(1u << 30, 400, 1330);
  EXPECT_EQ(window.complete_since_us(), 1320) << "expired ones go even where there is room";
}

}  // namespace
}  // namespace quipu::store
