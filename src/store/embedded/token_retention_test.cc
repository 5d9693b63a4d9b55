// How long tokens are kept once they have left memory.
#include "model/token.h"
#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

// Its own time lies nearly the greatest skew after its commit, and the namespace's skew keeps it on: the sum of both is
// what retention has to wait for. A horizon that grows takes such a token for known.
TEST(TokenRetention, ATokenFromTheFutureIsKnownUntilItsOwnTimeHasPassedHorizonAndSkew) {
  World world;
  world.options().settled.slice_us = int64_t{60} * 1'000'000;
  ASSERT_TRUE(world.Start().ok());
  NamespaceSettings settings{.token_horizon_ms = 1000, .token_skew_ms = kTokenSkewMsMax};
  const NamespaceId ns = world.MakeNamespace("ahead", settings);
  NamespaceSettings shorter;
  shorter.token_horizon_ms = 1000;
  bool changed = false;
  const auto on_change = [&](Result<Namespace> r) {
    EXPECT_TRUE(r.ok()) << r.status().ToString();
    changed = true;
  };
  world.store()->PutNamespace("default", 1, shorter, on_change);
  world.Wait(&changed);
  const std::string token = MakeUuidV7(world.clock().WallMicros() / 1000 + 3500 * 1000, 1, 2);
  ASSERT_EQ(world.Add("a", 5, token, ns).code, Code::kOk);
  world.Settle();
  world.loop().RunFor(int64_t{5000} * 1'000'000);
  changed = false;
  settings.token_horizon_ms = 10'000'000;
  world.store()->PutNamespace("ahead", 1, settings, on_change);
  world.Wait(&changed);
  const Op again = world.Add("a", 5, token, ns);
  EXPECT_EQ(again.code, Code::kOk);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(world.Get("a", ns).value, 5);
}

}  // namespace
}  // namespace quipu::store
