// Damage at rest: whatever happens to a file, what is read is right or kDataLoss.
#include <gtest/gtest.h>

#include "sim/sim_disk.h"
#include "store/embedded/settled_model.h"
#include "test/support/effort.h"

namespace quipu::store {
namespace {

const std::string kDir = "/settled";
constexpr SettledOptions kOptions{.slice_us = kModelSlice, .block_cache_bytes = 8 << 20, .runs_max = 2};

class SettledDamage : public testing::Test {
 protected:
  void SetUp() override {
    auto store = SettledStore::Open(&disk_, kDir, kOptions).value();
    for (const size_t events : {40, 40, 4000}) {  // the last one beyond what CURRENT seals of a run's end
      if (events > 40) model_.SetPace(100);
      const ModelRun run = model_.MakeRun(events);
      ASSERT_EQ(Write(run, store.get()).ToString(), "OK");
      model_.Apply(run);
      manifests_.push_back(disk_.Content(ManifestPath()));
    }
    store.reset();
    image_ = disk_.Save();
    for (const auto& [path, size] : disk_.Files()) {
      if (size > 0) files_.emplace_back(path, size);
    }
  }

  std::string ManifestPath() const {
    const auto files = disk_.Files();
    return std::ranges::find_if(files,
                                [](const auto& file) { return file.first.find("MANIFEST") != std::string::npos; })
        ->first;
  }

  // RocksDB keeps these for people and tools; we write nothing into its WAL and do not read its options and identity.
  static bool Matters(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    return name == "CURRENT" || name.starts_with("MANIFEST") || name.ends_with(".sst");
  }

  // Opens and reads everything; "" if all that is read is right and damage to a file that matters is told.
  std::string Judge(std::string_view path) {
    auto store = SettledStore::Open(&disk_, kDir, kOptions);
    if (!store) {
      refused_at_open_++;
      return Matters(path) && store.code() == Code::kDataLoss ? "" : store.status().ToString();
    }
    const auto state = model_.ReadState(store->get());
    if (state) {
      right_++;
      if (*state != model_.state()) return "a wrong answer";
    } else {
      refused_at_read_++;
      if (state.code() != Code::kDataLoss) return state.status().ToString();
    }
    const Status verified = (*store)->VerifyChecksums();
    const Code expected = Matters(path) ? Code::kDataLoss : Code::kOk;
    return verified.code() == expected ? "" : fmt::format("verify says {}", verified.ToString());
  }

  sim::SimClock clock_;
  sim::Trace trace_;
  sim::SimDisk disk_{&clock_, &trace_, 1};
  SettledModel model_{1};
  std::shared_ptr<const sim::SimDisk::Image> image_;
  std::vector<std::pair<std::string, uint64_t>> files_;
  std::vector<std::string> manifests_;  // after each run
  size_t refused_at_open_ = 0, refused_at_read_ = 0, right_ = 0;
};

constexpr uint64_t kStride = 499 * kEffortDivisor;

TEST_F(SettledDamage, AChangedBitIsNeverAWrongAnswer) {
  uint64_t n = 0;
  for (const auto& [path, size] : files_) {
    // Ends of files, where pointers and types stand, byte by byte (under sanitizers one in eight); the rest one
    // byte in kStride.
    for (uint64_t at = 0; at < size; at += at + 64 < size ? std::min(kStride, size - 64 - at) : kEffortDivisor) {
      disk_.Load(*image_);
      const int bit = static_cast<int>(n++ % 8);
      disk_.FlipBit(path, at, bit);
      ASSERT_EQ(Judge(path), "") << path << ": bit " << bit << " at " << at << " of " << size;
    }
  }
  fmt::print("{} changes: {} refused by open, {} by reads, {} harmless to them\n", n, refused_at_open_,
             refused_at_read_, right_);
}

TEST_F(SettledDamage, AShortenedFileIsNeverAWrongAnswer) {
  for (const auto& [path, size] : files_) {
    for (const uint64_t left : {uint64_t{0}, size / 2, size - 1}) {
      disk_.Load(*image_);
      disk_.Cut(path, left);
      ASSERT_EQ(Judge(path), "") << path << ": " << left << " of " << size;
    }
  }
}

TEST_F(SettledDamage, AFileInTheRoleOfAnotherIsNeverAWrongAnswer) {
  for (const auto& [a, size_a] : files_) {
    for (const auto& [b, size_b] : files_) {
      if (a >= b || !Matters(a) || !Matters(b)) continue;
      disk_.Load(*image_);
      disk_.SwapFiles(a, b);
      ASSERT_EQ(Judge(a), "") << a << " and " << b;
    }
  }
}

TEST_F(SettledDamage, AnOlderManifestUnderTheNameOfThisOneIsToldThoughItsRunsAreAllThere) {
  const std::string& older = manifests_[1];
  disk_.Load(*image_);
  disk_.Cut(ManifestPath(), older.size());
  disk_.Overwrite(ManifestPath(), 0, older);
  EXPECT_EQ(Judge(ManifestPath()), "");
  EXPECT_EQ(refused_at_open_, 1u);
}

TEST_F(SettledDamage, AManifestThatEndsInZerosIsNotAnOlderState) {
  const std::string now = ManifestPath();
  const std::string bytes = disk_.Content(now);
  const size_t zeros_from = bytes.find_last_not_of('\0') + 1;  // from there on nothing would be changed
  for (size_t cut = 0; cut < zeros_from; cut += 7) {
    disk_.Load(*image_);
    disk_.Overwrite(now, cut, std::string(bytes.size() - cut, '\0'));
    ASSERT_EQ(Judge(now), "") << "zeros from " << cut << " of " << bytes.size();
  }
}

}  // namespace
}  // namespace quipu::store
