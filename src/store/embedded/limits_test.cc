// A namespace's counters_max where many counters expire at one moment.
#include <gtest/gtest.h>

#include "store/embedded/world_testing.h"

namespace quipu::store {
namespace {

constexpr int kMany = 5000;  // more than one piece of a sweep

class Limits : public testing::Test {
 protected:
  void SetUp() override {
    world_.options().shard.journal.segment_bytes = 16u << 20;
    world_.options().shard.journal.frame_bytes_max = 4u << 20;
    ASSERT_TRUE(world_.Start().ok());
    NamespaceSettings settings;
    settings.counters_max = kMany;
    limited_ = world_.MakeNamespace("limited", settings);
    soon_ms_ = world_.clock().WallMicros() / 1000 + 60'000;
    for (int i = 0; i < kMany; ++i) names_.push_back(fmt::format("c{}", i));
  }
  // All of `names_` in one batch, with this expiry.
  void DoAll(OpKind kind, NamespaceId ns, int64_t expire_at_ms) {
    std::vector<Op> ops;
    for (const std::string& name : names_) {
      ops.push_back({.kind = kind,
                     .expire_rule = ExpireRule::kSet,
                     .ns = ns,
                     .name = name,
                     .delta = 1,
                     .expire_at_ms = expire_at_ms});
    }
    world_.DoAll(ops);
    for (const Op& op : ops) ASSERT_EQ(op.code, Code::kOk) << op.name;
  }
  void PassSoon() { world_.clock().JumpWall(61'000'000); }

  World world_;
  NamespaceId limited_ = 0;
  int64_t soon_ms_ = 0;
  std::vector<std::string> names_;
};

TEST_F(Limits, ManyExpiredCountersOfAnotherNamespaceKeepNoneOut) {
  DoAll(OpKind::kAdd, 0, soon_ms_);
  DoAll(OpKind::kAdd, limited_, soon_ms_ + 1);
  EXPECT_EQ(world_.Add("b", 1, {}, limited_).code, Code::kQuotaExceeded);
  PassSoon();
  EXPECT_EQ(world_.Add("b", 1, {}, limited_).code, Code::kOk);
}

TEST_F(Limits, AllPlacesOfExpiredCountersAreFreeForOneBatch) {
  for (const bool atomic : {false, true}) {
    DoAll(OpKind::kAdd, limited_, soon_ms_);
    PassSoon();
    std::vector<std::string> others;
    for (int i = 0; i < kMany; ++i) others.push_back(fmt::format("{}{}", atomic ? "d" : "e", i));
    std::vector<Op> ops;
    for (const std::string& name : others) {
      ops.push_back({.kind = OpKind::kAdd,
                     .expire_rule = ExpireRule::kSet,
                     .ns = limited_,
                     .name = name,
                     .delta = 1,
                     .expire_at_ms = soon_ms_ + 60'000});
    }
    for (Op& op : ops) op.hash = HashCounter(op.ns, op.name);
    Batch batch;
    bool done = false;
    batch.ops = ops;
    batch.atomic = atomic;
    batch.owner = &done;
    batch.on_done = [](Batch* b) { *static_cast<bool*>(b->owner) = true; };
    world_.store()->Submit(&batch);
    world_.Wait(&done);
    ASSERT_EQ(batch.code, Code::kOk);
    for (const Op& op : ops) ASSERT_EQ(op.code, Code::kOk) << op.name;
    EXPECT_EQ(world_.Add("one more", 1, {}, limited_).code, Code::kQuotaExceeded);
    PassSoon();
    soon_ms_ += 122'000;
  }
}

// The entries of their first expiry are due, but none has expired: only after looking at all of them is that known.
TEST_F(Limits, ANamespaceIsCalledFullOnlyOnceThatIsSure) {
  DoAll(OpKind::kAdd, limited_, soon_ms_);
  DoAll(OpKind::kExpire, limited_, soon_ms_ + 3'600'000);
  PassSoon();
  EXPECT_EQ(world_.Add("b", 1, {}, limited_).code, Code::kOverloaded);
  Code code = Code::kOverloaded;
  for (int n = 0; n < 10 && code == Code::kOverloaded; ++n) code = world_.Add("b", 1, {}, limited_).code;
  EXPECT_EQ(code, Code::kQuotaExceeded);
}

}  // namespace
}  // namespace quipu::store
