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

}  // namespace
}  // namespace quipu::store
