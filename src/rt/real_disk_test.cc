#include "rt/real_disk.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "rt/posix_error.h"

namespace quipu::rt {
namespace {

class RealDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "quipu_disk_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  std::string Path(const std::string& name) const { return dir + "/" + name; }

  std::string dir;
  RealDisk disk{DiskOptions{}};
};

TEST_F(RealDiskTest, WhatIsWrittenIsReadBackAndTheEndOfTheFileIsShort) {
  auto file = disk.Open(Path("f"), OpenMode::kCreate);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(3, std::string_view("hello")).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ(*(*file)->Size(), 8u);
  char buffer[16];
  auto got = (*file)->ReadAt(0, buffer);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(std::string_view(buffer, *got), std::string_view("\0\0\0hello", 8));
  EXPECT_EQ(*(*file)->ReadAt(8, buffer), 0u);
  ASSERT_TRUE((*file)->Truncate(4).ok());
  EXPECT_EQ(*(*file)->Size(), 4u);
}

TEST_F(RealDiskTest, OpenModesCreateKeepOrEmptyAsTheySay) {
  EXPECT_EQ(disk.Open(Path("f"), OpenMode::kRead).code(), Code::kNotFound);
  EXPECT_EQ(disk.Open(Path("f"), OpenMode::kReadWrite).code(), Code::kNotFound);
  ASSERT_TRUE((*disk.Open(Path("f"), OpenMode::kCreate))->WriteAt(0, std::string_view("kept")).ok());
  EXPECT_EQ(*(*disk.Open(Path("f"), OpenMode::kCreate))->Size(), 4u);
  EXPECT_EQ(*(*disk.Open(Path("f"), OpenMode::kReadWrite))->Size(), 4u);
  EXPECT_EQ((*disk.Open(Path("f"), OpenMode::kRead))->WriteAt(0, std::string_view("x")).code(), Code::kUnavailable);
  EXPECT_EQ(*(*disk.Open(Path("f"), OpenMode::kTruncate))->Size(), 0u);
}

TEST_F(RealDiskTest, AnErrorNamesTheCallThePathAndTheErrno) {
  const auto missing = disk.Open(Path("no/such"), OpenMode::kRead);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(std::string(missing.status().message()),
            fmt::format("open {}: No such file or directory (errno 2)", Path("no/such")));
}

TEST_F(RealDiskTest, DirectoriesAreMadeListedSyncedAndRemoved) {
  EXPECT_TRUE(disk.MakeDir(Path("d")).ok());
  EXPECT_TRUE(disk.MakeDir(Path("d")).ok());
  EXPECT_TRUE(disk.IsDir(Path("d")));
  for (const char* name : {"b", "a", "c"}) ASSERT_TRUE(disk.Open(Path("d/") + name, OpenMode::kCreate).ok());
  EXPECT_TRUE(disk.SyncDir(Path("d")).ok());
  EXPECT_EQ(*disk.List(Path("d")), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(disk.RemoveDir(Path("d")).code(), Code::kUnavailable);
  ASSERT_TRUE(disk.Rename(Path("d/a"), Path("moved")).ok());
  EXPECT_TRUE(disk.Exists(Path("moved")));
  EXPECT_FALSE(disk.IsDir(Path("moved")));
  EXPECT_FALSE(disk.Exists(Path("d/a")));
  const Status taken = disk.MakeDir(Path("moved"));
  EXPECT_EQ(taken.code(), Code::kUnavailable);
  EXPECT_EQ(taken.message(), Path("moved") + ": is a file, not a directory");
  for (const char* name : {"d/b", "d/c"}) ASSERT_TRUE(disk.Remove(Path(name)).ok());
  EXPECT_EQ(disk.Remove(Path("d/b")).code(), Code::kNotFound);
  EXPECT_TRUE(disk.RemoveDir(Path("d")).ok());
  EXPECT_EQ(disk.List(Path("d")).code(), Code::kNotFound);
  EXPECT_EQ(disk.SyncDir(Path("d")).code(), Code::kNotFound);
}

TEST_F(RealDiskTest, SpaceIsThatOfTheFileSystem) {
  auto space = disk.Space(dir);
  ASSERT_TRUE(space.ok());
  EXPECT_GT(space->total_bytes, 0u);
  EXPECT_LE(space->free_bytes, space->total_bytes);
}

// The child's answer: 0 it got the lock, 1 kAlreadyExists, 2 anything else.
int LockInAnotherProcess(RealDisk& disk, const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = disk.Lock(path);
    ::_exit(lock.ok() ? 0 : lock.code() == Code::kAlreadyExists ? 1 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_F(RealDiskTest, ALockIsRefusedToOthersWhileItIsHeldAndFreeAfterwards) {
  auto lock = disk.Lock(Path("LOCK"));
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(LockInAnotherProcess(disk, Path("LOCK")), 1);
  EXPECT_EQ(disk.Lock(Path("LOCK")).code(), Code::kAlreadyExists);
  lock->reset();
  EXPECT_EQ(LockInAnotherProcess(disk, Path("LOCK")), 0);
  EXPECT_TRUE(disk.Lock(Path("LOCK")).ok());
}

TEST_F(RealDiskTest, SharedLocksGoTogetherButNotWithAnExclusiveOneAndMakeNoFile) {
  EXPECT_EQ(disk.LockShared(Path("LOCK")).code(), Code::kNotFound);
  EXPECT_FALSE(disk.Exists(Path("LOCK")));
  auto exclusive = disk.Lock(Path("LOCK"));
  EXPECT_EQ(disk.LockShared(Path("LOCK")).code(), Code::kAlreadyExists);
  exclusive->reset();
  auto one = disk.LockShared(Path("LOCK"));
  auto two = disk.LockShared(Path("LOCK"));
  EXPECT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(LockInAnotherProcess(disk, Path("LOCK")), 1);
}

TEST(PosixError, OnlyALackOfSpaceIsStorageFull) {
  EXPECT_EQ(PosixError("write", "f", ENOSPC).code(), Code::kStorageFull);
  EXPECT_EQ(PosixError("write", "f", EDQUOT).code(), Code::kStorageFull);
  EXPECT_EQ(PosixError("open", "f", ENOENT).code(), Code::kNotFound);
  for (int error : {EIO, EACCES, EROFS, EMFILE, EFBIG}) {
    EXPECT_EQ(PosixError("x", "f", error).code(), Code::kUnavailable);
  }
}

TEST(RealDisk, AFullDeviceIsStorageFull) {
  RealDisk disk{DiskOptions{}};
  if (!disk.Exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  auto file = disk.Open("/dev/full", OpenMode::kReadWrite);
  if (!file.ok()) GTEST_SKIP() << file.status().ToString();
  EXPECT_EQ((*file)->WriteAt(0, std::string_view("x")).code(), Code::kStorageFull);
}

}  // namespace
}  // namespace quipu::rt
